"""A scripted world for the executor: real packs and plans, scripted providers, durable things that survive a crash.

A :class:`Scene` is what outlives a process: the disk, the market, the time. A life (:meth:`Scene.live`) replays the
records, plans, and runs an :class:`~renderer.run.executor.Executor` in virtual time; it can be made to crash at any
effect (each append, call, download and file operation has one before and one after), and the next life begins from
what was durable. Nothing sleeps, nothing is random but by a seed.
"""

import asyncio
import functools
import hashlib
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from renderer.errors import DiskError
from renderer.manifest.job import Job, Mark, Ref, Upload
from renderer.plan.plan import Files, Found, Look, Options, Plan, make_plan
from renderer.plan.standing import JobState, Standing, Wanted, stand
from renderer.provider.pack import Pack, Packs
from renderer.provider.packfile import load_packs
from renderer.provider.request import fingerprints
from renderer.provider.wire import Reply, Request
from renderer.run.address import parse
from renderer.run.bench import Fetched, World
from renderer.run.disk import DiskFull
from renderer.run.events import Event
from renderer.run.executor import Ended, Executor
from renderer.run.journal import Journal, Pair
from renderer.run.purse import Limit, Purse
from renderer.state import lockfile
from renderer.state.history import History, Submission
from tests.run.scripted_market import Market, Says
from tests.run.scripted_time import Crash, Fate, Loop

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@functools.cache
def builtin() -> Packs:
    """Return the real packs; they are frozen."""
    return load_packs()


def ref(text: str) -> Ref:
    """Return the reference ``job.field``."""
    job, _, name = text.rpartition(".")
    return Ref(job, name)


@dataclass
class Disk:
    """What is durable: record files by name, kept links, the cache, and outputs (content, and what was recorded)."""

    records: dict[str, bytearray] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    cache: dict[str, bytes] = field(default_factory=dict)
    outputs: dict[str, bytes] = field(default_factory=dict)
    placed: dict[str, str] = field(default_factory=dict)
    answers: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, bytes] = field(default_factory=dict)
    refuses: Callable[[str], bool] = lambda _: False
    full: Callable[[str], bool] = lambda _: False

    def history(self) -> History:
        """Return what every record file says."""
        history = History()
        for name, data in sorted(self.records.items()):
            for record in lockfile.decode(bytes(data), file=name).records:
                history.absorb(record)
        return history

    def texts(self) -> str:
        """Return all that stands in record files."""
        return b"".join(self.records.values()).decode()


@dataclass(frozen=True)
class Life:
    """How one life went. ``ended`` is None where it crashed or raised ``error``."""

    plan: Plan
    ended: Ended | None
    error: BaseException | None
    crashed: bool
    fate: Fate
    events: Sequence[Event]
    standings: Mapping[str, Standing]
    seconds: float

    def state(self, id_: str) -> JobState:
        """Return a job's state afterwards."""
        return self.standing(id_).state

    def standing(self, id_: str) -> Standing:
        """Return a job's standing afterwards; ``id_`` may have its release in front."""
        return self.standings[id_ if "/" in id_ else f"spring/{id_}"]

    def said(self, event: str, id_: str = "") -> list[Event]:
        """Return the events of a kind, of one job."""
        return [e for e in self.events if e.event == event and (not id_ or e.id == id_)]

    def trouble(self, id_: str) -> str:
        """Return what is wrong with a job, for people."""
        assert self.ended is not None
        found = self.ended.troubles.get(id_ if "/" in id_ else f"spring/{id_}")
        return "" if found is None else f"{found.code}: {found.message}"


class Scene:
    """A project, its providers and its time, across any number of lives."""

    def __init__(self, root: Path, *, seed: int = 0) -> None:
        self.root = root
        self.packs = builtin()
        self.chance = random.Random(seed)
        self.market = Market(self.packs)
        self.disk = Disk()
        self.now = 1000.0
        self.jump = timedelta()
        self.origins = {
            name: parse(pack.base_url or f"https://{name}.test").origin for name, pack in self.packs.items()
        }
        self.pacing: dict[str, Mapping[str, Any]] = {}

    # --- what is declared ----------------------------------------------------------------------------------------

    def job(self, id_: str, provider: str, operation: str = "", /, **values: Any) -> Job:
        """Return a job of the release ``spring``, or of ``release``; the job's own keys are told from its values."""
        pack = self.packs[provider]
        name = operation or pack.default
        own = {key: values.pop(key) for key in ("take", "priority", "tags") if key in values}
        release = values.pop("release", "spring")
        known = pack.operations[name]
        output = values.pop("output", f"renders/{release}/{id_}.{known.extension}")
        return Job(
            id=id_,
            kind="asset" if known.makes == "value" else "video",
            manifest=f"specs/{release}.yaml",
            release=release,
            provider=provider,
            operation=name,
            values=values,
            output=None if known.makes == "value" else output,
            marks={(): Mark(1, 1)},
            **own,
        )

    def film(self, id_: str, provider: str = "yzx", **values: Any) -> Job:
        """Return a job of a provider's default operation whose words name it."""
        usual: dict[str, dict[str, Any]] = {
            "fliz": {"title": id_, "text": "A lamp.", "aspect": "16:9", "language": "en"},
            "hifly": {"text": f"Say {id_}.", "voice": "v", "avatar": "a"},
            "gen_video": {"draft": f"https://example.com/?drafId={id_}"},
            "yzx": {"model": "sora-2", "prompt": id_},
            "foxapi": {"prompt": id_},
        }
        return self.job(id_, provider, **{**usual[provider], **values})

    def upload(self, name: str, content: bytes = b"RIFF") -> Upload:
        """Return a local file as a value; it stands there afterwards."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(content)
        return Upload(name, hashlib.sha256(content).hexdigest(), len(content), 6.0)

    def wanted(self, jobs: Iterable[Job]) -> list[Wanted]:
        """Return jobs with all that the provider floor says of them."""
        jobs = list(jobs)
        identities = fingerprints(jobs, self.packs)
        return [
            Wanted(
                job=job,
                pack=self.packs[job.provider],
                operation=self.packs.operation(job.provider, job.operation),
                request=identities[job.key].request,
                fingerprint=identities[job.key].fingerprint,
                formerly=identities[job.key].fingerprint,
                declared=identities[job.key].declared,
                origin=self.origins[job.provider],
                output=job.output,
            )
            for job in jobs
        ]

    def revised(self, provider: str, **changes: Any) -> None:
        """Replace a pack by its next revision."""
        pack: Pack = replace(self.packs[provider], revision=self.packs[provider].revision + 1, **changes)
        self.packs = self.market.packs = Packs({**self.packs, provider: pack})

    # --- what is known -------------------------------------------------------------------------------------------

    def history(self) -> History:
        """Return what is durable."""
        return self.disk.history()

    def submissions(self, **intended: Any) -> list[Submission]:
        """Return the submissions whose ``intended`` has these values, oldest first."""
        found = sorted(self.history().submissions.values(), key=lambda s: (s.at, s.id))
        return [s for s in found if all(s.intended.get(name) == value for name, value in intended.items())]

    def record(self, record: Mapping[str, Any], release: str = "spring") -> None:
        """Write a record as another run, or a person, would."""
        for name in (f"{release}.lock", f"{release}.ledger"):
            self.disk.records.setdefault(name, bytearray()).extend(lockfile.encode(record))

    def files(self) -> Files:
        """Return what a plan asks about the disk."""
        store = _Store(self, Fate())
        return Files(at=store.at, cached=lambda sha: store.cached(sha) is not None, placed=self.disk.placed)

    def plan(self, jobs: Sequence[Job], **options: Any) -> Plan:
        """Return what would be done about jobs."""
        return make_plan(self.wanted(jobs), self.history(), self.files(), options=Options(**options))

    # --- what happens --------------------------------------------------------------------------------------------

    def live(
        self,
        jobs: Sequence[Job],
        *,
        crash_at: int | None = None,
        only: Sequence[str] | None = None,
        watch: Callable[[str, Executor], None] | None = None,
        before: Callable[[Executor], None] = lambda _: None,
        again: Collection[str] = (),
        **wish: Any,
    ) -> Life:
        """Plan and carry out ``jobs`` (``only`` those ids, the others may be referred to) until the run ends.

        ``watch`` hears each effect, with the executor, to stop it for instance; ``before`` is called before the run.
        ``again`` are keys of jobs that a person wants bought once more.
        What is wished goes to ``World``; a ``deadline`` is in seconds from now, ``budgets`` and ``max_submits`` count.
        """
        for data in self.disk.records.values():
            # As opening for append does: a torn last line goes, one that only lacks its end gets it.
            del data[lockfile.decode(bytes(data), file="").whole :]
            if data and not data.endswith(b"\n"):
                data.extend(b"\n")
        loop = Loop(self.now)
        begun = self.now
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            options = Options(whole=only is None, again=frozenset(again))
            story = self._live(loop, jobs, Fate(crash_at), options, only=only, watch=watch, before=before, wish=wish)
            life = runner.run(story)
        self.now = loop.now + 1.0
        assert life.crashed or not loop.unheard, loop.unheard
        return replace(life, seconds=loop.now - begun)

    async def _live(
        self,
        loop: Loop,
        jobs: Sequence[Job],
        fate: Fate,
        options: Options,
        *,
        only: Sequence[str] | None,
        watch: Callable[[str, Executor], None] | None,
        before: Callable[[Executor], None],
        wish: dict[str, Any],
    ) -> Life:
        wanted = self.wanted(jobs)
        chosen = [w for w in wanted if only is None or w.job.id in only]
        history = self.history()
        plan = make_plan(chosen, history, self.files(), options=options)
        events: list[Event] = []
        releases = {w.job.release for w in wanted} | {"spring"}
        files = {
            release: Pair(_Records(self, f"{release}.lock", fate), _Records(self, f"{release}.ledger", fate))
            for release in releases
        }
        wish = dict(wish)
        if "deadline" in wish:
            wish["deadline"] += loop.now
        budgets = {manifest: Limit(submits=most) for manifest, most in wish.pop("budgets", {}).items()}
        wish["purse"] = Purse(Limit(submits=wish.pop("max_submits", None)), budgets)
        journal = Journal(history, files)
        world = World(
            root=self.root,
            base_urls=self.origins,
            clock=_Clock(self, loop, fate),
            api=_Api(self, loop, fate),
            fetch=_Fetch(self, fate),
            files=_Store(self, fate),
            journal=journal,
            chance=random.Random(self.chance.random()),
            sink=events.append,
            seen=lambda _: None,
            **wish,
        )
        pacing = {name: replace(pack.pacing, **self.pacing.get(name, {})) for name, pack in self.packs.items()}
        executor = Executor(plan, world, self.packs, pacing=pacing, others=wanted)
        if watch is not None:
            fate.watch = lambda name: watch(name, executor)
        before(executor)
        ended, error = await _until_the_end(executor, fate)
        crashed = fate.dead.is_set()
        if not crashed and journal.broken is None:
            assert journal.history.submissions == self.history().submissions, "known but not durable"
        standings = {w.key: stand(w, self.history(), alive=False) for w in wanted}
        return Life(plan, ended, None if crashed else error, crashed, fate, events, standings, 0.0)


async def _until_the_end(executor: Executor, fate: Fate) -> tuple[Ended | None, BaseException | None]:
    """Run until the run ends, or the process does: then nothing may happen any more, and all is abandoned."""
    run = asyncio.create_task(executor.run())
    death = asyncio.create_task(fate.dead.wait())
    await asyncio.wait({run, death}, return_when=asyncio.FIRST_COMPLETED)
    while others := asyncio.all_tasks() - {asyncio.current_task()} - (set() if fate.dead.is_set() else {run}):
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
    if run.cancelled():
        return None, None
    error = run.exception()
    return (None, error) if error is not None else (run.result(), None)


class _Clock:
    def __init__(self, scene: Scene, loop: Loop, fate: Fate) -> None:
        self._scene, self._loop, self._fate = scene, loop, fate

    def now(self) -> datetime:
        return _BEGIN + timedelta(seconds=self._loop.now) + self._scene.jump

    def monotonic(self) -> float:
        return self._loop.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._fate.dead.is_set():
            raise Crash("woken", first=False)


class _Records:
    """A record file: durable when ``append`` returns, torn where the process dies in it."""

    def __init__(self, scene: Scene, name: str, fate: Fate) -> None:
        self._scene, self._name, self._fate = scene, name, fate
        self._data = scene.disk.records.setdefault(name, bytearray())

    def append(self, lines: bytes) -> None:
        try:
            self._fate.effect(f"before append to {self._name}")
        except Crash as crash:
            if crash.first:
                self._data.extend(lines[: self._scene.chance.randrange(len(lines))])
            raise
        if self._scene.disk.refuses(self._name):
            self._fate.disk_refused = True
            raise DiskError(f"{self._name} cannot be written: no space")
        self._data.extend(lines)
        self._fate.effect(f"after append to {self._name}")

    def close(self) -> None:
        """Do nothing."""


class _Api:
    def __init__(self, scene: Scene, loop: Loop, fate: Fate) -> None:
        self._scene, self._loop, self._fate = scene, loop, fate

    async def call(self, provider: str, request: Request, *, timeout: float, fresh: bool = False) -> Reply:  # noqa: ASYNC109 (the seam's)
        market = self._scene.market
        kind, operation, task = market.kind(provider, request)
        self._fate.effect(f"before {kind}")
        sale = market.of_task(provider, task) if kind == "status" else None
        market.sent.append(market.seen(provider, kind, request, self._loop.now, after_refusal=self._fate.disk_refused))
        says = market.next(provider, kind, sale.identity if sale else market.identity(provider, request), request)
        await self._travel(says.seconds / 2)
        if kind == "submit" and operation is not None and (says.sells or (says.reply or says.error) is None):
            at = (_BEGIN + timedelta(seconds=self._loop.now) + self._scene.jump).timestamp()
            sale = market.sell(provider, operation, request, at=at)
        self._fate.effect(f"during {kind}")
        answer = says.reply
        if answer is None and says.error is None:
            answer = market.answer(kind, provider, operation, sale)
        await self._travel(says.seconds / 2)
        self._fate.effect(f"after {kind}")
        if answer is None:
            raise says.error or AssertionError
        return answer

    async def put(self, provider: str, url: str, *, path: Path, content_type: str, timeout: float) -> Reply:  # noqa: ASYNC109 (the seam's)
        market = self._scene.market
        self._fate.effect("before put")
        request = Request("PUT", url)
        market.sent.append(market.seen(provider, "put", request, self._loop.now))
        says = market.next(provider, "put", url, request)
        await self._travel(says.seconds)
        if says.error is not None:
            raise says.error
        if says.reply is None:
            market.put(url, path)
        self._fate.effect("after put")
        return says.reply or Reply(200, {}, b"")

    async def _travel(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if self._fate.dead.is_set():
            raise Crash("on its way", first=False)


class _Fetch:
    def __init__(self, scene: Scene, fate: Fate) -> None:
        self._scene, self._fate = scene, fate

    async def __call__(
        self, *, provider: str, link: str, part: Path, makes: str, progress: Callable[[int, int | None], None]
    ) -> Fetched:
        market, disk = self._scene.market, self._scene.disk
        self._fate.effect("before fetch")
        request = Request("GET", link)
        market.sent.append(market.seen(provider, "fetch", request, 0.0))
        says: Says = market.next(provider, "fetch", link, request)
        await asyncio.sleep(says.seconds)
        if says.error is not None:
            raise says.error
        if disk.full("part"):
            raise DiskFull(f"{part} cannot be written: no space left")
        content = says.reply.body if says.reply is not None else link.partition("?")[0].encode()
        progress(len(content), len(content))
        disk.parts[part.name] = content
        self._fate.effect("after fetch")
        return Fetched(part, hashlib.sha256(content).hexdigest(), len(content), 5.0)


class _Store:
    """``FileStore`` over a :class:`Disk`; what is cached is also a real file, since uploads read it."""

    def __init__(self, scene: Scene, fate: Fate) -> None:
        self._scene, self._disk, self._fate = scene, scene.disk, fate

    def part(self, submission: str) -> Path:
        return self._scene.root / "part" / submission

    def keep_link(self, submission: str, url: str) -> None:
        self._fate.effect("before keep_link")
        if self._disk.full("link"):
            raise DiskFull("the link cannot be written")
        self._disk.links[submission] = url
        self._scene.market.delivered.append(url)
        self._fate.effect("after keep_link")

    def link(self, submission: str) -> str | None:
        return self._disk.links.get(submission)

    def drop_link(self, submission: str) -> None:
        self._fate.effect("before drop_link")
        self._disk.links.pop(submission, None)

    def save_answer(self, name: str, body: bytes) -> str:
        self._fate.effect("before save_answer")
        self._disk.answers[name] = body
        return f".renderer/answers/{name}"

    def admit(self, part: Path, sha256: str) -> Path:
        self._fate.effect("before admit")
        if self._disk.full("cache"):
            raise DiskFull("the cache cannot be written")
        self._disk.cache[sha256] = self._disk.parts.pop(part.name)
        self._fate.effect("after admit")
        return self._path(sha256)

    def cached(self, sha256: str) -> Path | None:
        if sha256 not in self._disk.cache:
            return None
        path = self._path(sha256)
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(self._disk.cache[sha256])
        return path

    def publish(self, sha256: str, output: str, *, submission: str | None = None) -> None:
        self._fate.effect("before publish")
        if self._disk.full("output"):
            raise DiskFull(f"{output} cannot be written")
        self._disk.outputs[output] = self._disk.cache[sha256]
        self._disk.placed[output] = sha256
        self._fate.effect("after publish")

    def annotate(self, output: str, sidecar: bytes) -> None:
        self._fate.effect("before annotate")

    def rename(self, old: str, new: str) -> None:
        self._fate.effect("before rename")
        if old not in self._disk.outputs:
            raise DiskError(f"{old} cannot be used: there is no such file")
        self._disk.outputs[new] = self._disk.outputs.pop(old)
        self._disk.placed[new] = self._disk.placed.pop(old)
        self._fate.effect("after rename")

    def at(self, output: str) -> Found:
        content, placed = self._disk.outputs.get(output), self._disk.placed.get(output)
        if content is None:
            return Found(Look.ABSENT)
        sha256 = hashlib.sha256(content).hexdigest()
        if placed is None:
            return Found(Look.OURS, sha256) if sha256 in self._disk.cache else Found(Look.FOREIGN)
        return Found(Look.OURS if sha256 == placed else Look.CHANGED, placed)

    def _path(self, sha256: str) -> Path:
        return self._scene.root / "cache" / sha256
