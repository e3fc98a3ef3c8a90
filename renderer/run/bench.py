"""What a run works with: the seams to the world, and what the run knows beyond the history.

The seams are small protocols; the real ones are wired in ``cli``, the simulation brings its own. A :class:`Bench`
is made for one run and thrown away with it: what must outlive the run is in the journal.
"""

import asyncio
import random
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from renderer.errors import DiskError
from renderer.plan.plan import Found
from renderer.plan.standing import Standing, Wanted, stand
from renderer.provider.outcome import Fault, Rendered
from renderer.provider.pack import Operation, Pack
from renderer.provider.wire import Reply, Request
from renderer.run import gate
from renderer.run.events import Event, Kind, Sink
from renderer.run.gate import Gate
from renderer.run.journal import Journal
from renderer.run.naming import new_id, timestamp
from renderer.run.purse import Purse
from renderer.state.history import History, Record, Submission
from renderer.state.lifecycle import Fact, State, check

_T = TypeVar("_T")


class Clock(gate.Clock, Protocol):
    """Time, injected."""

    def now(self) -> datetime:
        """Return the wall clock's time in UTC. It may jump; nothing is ordered or timed by it."""


class Api(Protocol):
    """Calls to providers; see ``run/transport``. Raises its ``Unsent``, ``Lost`` and ``Forbidden``."""

    async def call(self, provider: str, request: Request, *, timeout: float, fresh: bool = False) -> Reply:  # noqa: ASYNC109 - a deadline of all of it
        """Make one call and return its whole answer."""

    async def put(self, provider: str, url: str, *, path: Path, content_type: str, timeout: float) -> Reply:  # noqa: ASYNC109 - as above
        """Send a file to an upload address."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A verified file beside the target's cache: ``duration`` is in seconds."""

    path: Path
    sha256: str
    bytes: int
    duration: float | None


class Fetch(Protocol):
    """A link -> a verified file; see ``run/download`` for what it raises."""

    async def __call__(
        self, *, provider: str, link: str, part: Path, makes: str, progress: Callable[[int, int | None], None]
    ) -> Fetched:
        """Download ``link`` to ``part``, resuming what is there."""


class FileStore(Protocol):
    """Files that appear whole or not at all; see ``run/store``."""

    def part(self, submission: str) -> Path:
        """Return where a submission's partial download stands."""

    def keep_link(self, submission: str, url: str) -> None:
        """Keep a link that the provider gives only once, durably."""

    def link(self, submission: str) -> str | None:
        """Return a kept link."""

    def drop_link(self, submission: str) -> None:
        """Forget a kept link."""

    def save_answer(self, name: str, body: bytes) -> str:
        """Keep an unusable answer, redacted; return where, relative to the root."""

    def admit(self, part: Path, sha256: str) -> Path:
        """Move a verified file into the cache; return where it is."""

    def cached(self, sha256: str) -> Path | None:
        """Return where the cache has a file."""

    def publish(self, sha256: str, output: str, *, submission: str | None = None) -> None:
        """Let a cached file appear at its output path."""

    def annotate(self, output: str, sidecar: bytes) -> None:
        """Write a sidecar beside an output."""

    def rename(self, old: str, new: str) -> None:
        """Move an output."""

    def at(self, output: str) -> Found:
        """Tell what stands at an output path."""


class EngineFailed(Exception):
    """An embedded engine cannot make a job; carries what is wrong with it."""

    def __init__(self, fault: Fault) -> None:
        """Take the verdict."""
        super().__init__(fault.message)
        self.fault = fault


class Engine(Protocol):
    """An embedded engine: makes a job's file on this machine. The core never imports one; ``cli`` hands it in."""

    async def make(self, wanted: Wanted, *, part: Path, progress: Callable[[float], None]) -> Fetched:
        """Render a job's file to ``part``. Raises :class:`EngineFailed`."""


@dataclass(frozen=True, slots=True)
class Remote:
    """What the provider said last of a task: its own word, its progress (0 to 100), and when (RFC 3339)."""

    state: str
    progress: float | None
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The seams, and what a person asked for. ``root`` is where uploads are read from.

    ``seen`` is told what providers said last, whenever that changes. ``waiting``: a job that the plan shows as waiting
    may be bought once what it waits for turns out well. ``deadline`` is in monotonic seconds.
    """

    root: Path
    base_urls: Mapping[str, str]
    clock: Clock
    api: Api
    fetch: Fetch
    files: FileStore
    journal: Journal
    chance: random.Random
    sink: Sink
    seen: Callable[[Mapping[str, Remote]], None]
    engines: Mapping[str, Engine] = field(default_factory=dict)
    buying: bool = True
    waiting: bool = False
    purse: Purse = field(default_factory=Purse)
    deadline: float | None = None
    fail_fast: bool = False

    def content_url(self, provider: str, path: str) -> str:
        """Return the URL of a path at a provider."""
        return f"{self.base_urls[provider].rstrip('/')}{path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """What the run has to do for one job, or (``wanted`` None) for one purchase that no job shows any more."""

    key: str
    id: str
    manifest: str
    release: str
    pack: Pack
    operation: Operation
    wanted: Wanted | None
    origin: str | None
    order: tuple[int, int]
    submission: str | None = None
    over: str = ""
    """The submission that this errand's purchase replaces by a person's word."""

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self.pack.provider


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong with a job in this run, for people. ``code`` is the provider's, or a class of DESIGN 4."""

    code: str
    message: str
    remedy: str = ""


class NotReady(Exception):
    """A job cannot be sent in this run; carries what a person should read."""

    def __init__(self, trouble: Trouble) -> None:
        """Take what went wrong."""
        super().__init__(trouble.message)
        self.trouble = trouble


class Bench:
    """One run's shared knowledge. All of it may be lost in a crash."""

    def __init__(self, world: World, gates: Mapping[str, Gate], errands: Mapping[str, Errand]) -> None:
        """Take the seams, each provider's gate, and the errands by their keys."""
        self.world = world
        self.gates = gates
        self.errands = errands
        self.stopping = False
        self.troubles: dict[str, Trouble] = {}
        self.remotes: dict[str, Remote] = {}
        self.rendered: dict[str, Rendered] = {}
        self.ready: dict[str, Request] = {}
        self.repeats: dict[str, asyncio.Future[bool]] = {}
        self.uploading: dict[tuple[str, str, str], asyncio.Lock] = {}
        self.downloads = asyncio.Semaphore(4)
        self._usual: dict[tuple[str, str], float] | None = None
        self._answer = asyncio.Event()
        self._critical: set[asyncio.Task[Any]] = set()
        self.failures: list[BaseException] = []

    @property
    def history(self) -> History:
        """What is known."""
        return self.world.journal.history

    def now(self) -> str:
        """Return the time as records write it: RFC 3339 in UTC with milliseconds."""
        return timestamp(self.world.clock.now())

    def mint(self) -> str:
        """Return a new submission's id."""
        return new_id(self.world.clock.now(), self.world.chance)

    def standing(self, wanted: Wanted) -> Standing:
        """Return what is known of a job; an open submission of an earlier run is a doubt."""
        return stand(wanted, self.history, alive=False)

    def submission(self, id_: str) -> Submission:
        """Return what is known of a submission."""
        return self.history.submissions[id_]

    async def write(self, errand: Errand, submission: str, *, closing: str = "", **facts: Mapping[str, object]) -> None:
        """Make facts about a submission durable.

        ``closing`` is another one that a person has given up for it: a doubt about that is closed in the same append,
        so that their word is carried out whole or not at all; what was accepted is still collected. Raises
        :class:`~renderer.state.lifecycle.IllegalFact` for a bug.
        """
        known = self.history.submissions.get(submission)
        check(known.facts if known is not None else {}, facts)
        records: list[Record] = [{"submission": submission, **facts}]
        old = self.history.submissions.get(closing)
        if old is not None and old.state is State.DOUBTFUL:
            records.insert(0, {"submission": closing, "closed": {"state": str(old.state), "at": self.now()}})
        await self.world.journal.write(errand.release, *records)

    def keep_answer(self, name: str, body: bytes) -> str:
        """Keep an answer that could not be used; return where it is, in words. A full disk is no reason to stop."""
        try:
            return f"; its answer is kept in {self.world.files.save_answer(name, body)}"
        except DiskError:
            return ""

    async def note(self, errand: Errand, submission: str, kind: str, message: str, next_: str = "") -> None:
        """Write a note about a submission, unless its last note says the same."""
        last = self.submission(submission).fact(Fact.NOTE)
        if (last.get("kind"), last.get("message")) == (kind, message):
            return
        note = {"n": int(last.get("n", 0)) + 1, "kind": kind, "message": message, "next": next_, "at": self.now()}
        await self.write(errand, submission, note=note)

    def emit(
        self,
        event: Kind,
        errand: Errand,
        message: str = "",
        *,
        error: str = "",
        attempt: int | None = None,
        progress: float | None = None,
    ) -> None:
        """Tell whoever listens."""
        self.world.sink(
            Event(
                t=self.now(),
                event=event,
                id=errand.id,
                manifest=errand.manifest,
                provider=errand.provider,
                attempt=attempt,
                progress=progress,
                message=message,
                error=error,
            )
        )

    def trouble(self, errand: Errand, fault: Fault) -> None:
        """Remember what a provider said about a job."""
        self.troubles[errand.key] = Trouble(fault.code or fault.kind, fault.message, fault.remedy)

    def stop_provider(self, errand: Errand, fault: Fault) -> None:
        """Let nothing more be sent to a provider in this run."""
        gate_ = self.gates[errand.provider]
        if gate_.lane.stopped is None:
            said = f"{fault.message} {fault.remedy}".strip()
            self.emit("provider-stopped", errand, said, error=fault.code or fault.kind)
        gate_.lane.stop(fault)
        gate_.stop()

    async def reserve(self, errand: Errand, wanted: Wanted) -> str:
        """Take a submit out of the budgets, before it is sent; return why that is not allowed, or "".

        What is under way may be refused, and give back what it took: its answer is waited for.
        """
        purse = self.world.purse
        while errand.operation.paid and (why := purse.take(errand.manifest, wanted.price)):
            if not purse.open:
                purse.refused = True
                return why
            self._answer.clear()
            await self._answer.wait()
        return ""

    def answered(self, errand: Errand) -> None:
        """A submit has its answer, or never left: whoever waits for what it took may look again."""
        if errand.operation.paid:
            self.world.purse.open -= 1
            self._answer.set()

    def give_back(self, errand: Errand, wanted: Wanted) -> None:
        """Give a reservation back: the send was refused."""
        if errand.operation.paid:
            self.world.purse.give_back(errand.manifest, wanted.price)

    def too_late(self, errand: Errand) -> bool:
        """Return whether what is bought now could hardly be collected before the deadline."""
        deadline = self.world.deadline
        if deadline is None:
            return False
        left = deadline - self.world.clock.monotonic()
        late = left <= self.usual_time(errand)
        if late:
            self.troubles[errand.key] = Trouble("deadline", "the deadline is too near to submit it", "apply again")
        return late

    def usual_time(self, errand: Errand) -> float:
        """Return how long such a job takes at its provider, in seconds: the median of what is known, else 0.

        Never more than polling would wait for it: what was parked overnight says nothing of the provider.
        """
        if self._usual is None:
            self._usual = _usual_times(self.history)
        usual = self._usual.get((errand.provider, errand.operation.name), 0.0)
        return min(usual, self.gates[errand.provider].lane.pacing.timeout)

    async def critical(self, work: asyncio.Task[_T]) -> _T:
        """Wait for work that must end even if whoever waits for it is cancelled."""
        self._critical.add(work)
        work.add_done_callback(self._forget)
        return await asyncio.shield(work)

    def _forget(self, work: asyncio.Task[Any]) -> None:
        self._critical.discard(work)
        # Whoever waited may be gone.
        if not work.cancelled() and (error := work.exception()) is not None:
            self.failures.append(error)

    async def settled(self) -> None:
        """Return when no critical work is under way: every answer to a request that was sent is recorded."""
        while self._critical:
            await asyncio.wait(self._critical)
        await self.world.journal.drained()


def _usual_times(history: History) -> dict[tuple[str, str], float]:
    spans: dict[tuple[str, str], list[float]] = {}
    for submission in history.submissions.values():
        saved = submission.fact(Fact.SAVED).get("at")
        accepted = submission.fact(Fact.ACCEPTED).get("at")
        if saved is not None and accepted is not None:
            span = datetime.fromisoformat(str(saved)) - datetime.fromisoformat(str(accepted))
            key = (submission.provider, str(submission.intended.get("operation", "")))
            spans.setdefault(key, []).append(max(0.0, span.total_seconds()))
    return {key: statistics.median(found) for key, found in spans.items()}
