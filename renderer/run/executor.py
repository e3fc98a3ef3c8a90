"""The loop: next step -> record -> effect -> record -> event, for every job of a plan at once.

What a job needs next is derived from the history each time, so a run that was killed goes on where it stood. Jobs
wait for what they refer to, then for a place at their provider. Jobs with equal fingerprints share one purchase: the
first buys, the others get the file. A provider that stops does not stop the others. This module decides only the
order of steps; each step is a module of its own (``buying``, ``lookup``, ``collecting``), and every effect is
injected (``bench``).
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from renderer.errors import RendererError
from renderer.plan.plan import Act, Action, Plan
from renderer.plan.standing import SANDBOX_ORIGIN, JobState, Standing, Wanted
from renderer.provider.outcome import Rendered
from renderer.provider.pacing import Lane, Pacing
from renderer.provider.pack import Pack
from renderer.run import collecting, recording
from renderer.run.address import parse
from renderer.run.bench import Bench, Errand, NotReady, Remote, Trouble, World
from renderer.run.buying import Bought, buy
from renderer.run.errands import errand_for, errand_of
from renderer.run.gate import Gate, Place
from renderer.run.lookup import look_up
from renderer.run.making import make
from renderer.run.resolving import resolve
from renderer.run.settling import settle
from renderer.state.lifecycle import State

_KNOWN = frozenset({JobState.RENDERED, JobState.SAVED})
_FAILED = frozenset({JobState.FAILED, JobState.REFUSED})
# How long a run that only waits for a person goes on polling, in seconds: somebody may be looking at it.
_LINGER = 60.0
_THERE = frozenset({Act.COLLECT, Act.HOLD})


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended. What it did is in the history; ``troubles`` (by job key) and ``remotes`` (by submission)
    are what it knows beyond that.
    """

    troubles: Mapping[str, Trouble]
    remotes: Mapping[str, Remote]
    stopped: frozenset[str]
    out_of_budget: bool
    interrupted: bool


@dataclass(frozen=True, slots=True)
class _Wait:
    """What a job waits for: another job's key, or None for a person; ``over`` tells whether it has come about."""

    job: str | None
    over: Callable[[], bool]


class Executor:
    """One run of one plan."""

    def __init__(
        self,
        plan: Plan,
        world: World,
        packs: Mapping[str, Pack],
        *,
        pacing: Mapping[str, Pacing],
        others: Iterable[Wanted] = (),
    ) -> None:
        """Take the plan, the seams, the packs, and each provider's pacing as the manifests have it.

        ``others`` are jobs that the plan leaves out but that its jobs may refer to.
        """
        self._world = world
        self._gates = {name: Gate(Lane(pacing[name]), world.clock) for name in packs}
        errands = {wanted.key: errand_for(wanted, 0) for wanted in others}
        self._actions: dict[str, Action] = {}
        for index, action in enumerate(plan.actions):
            if (errand := errand_of(action, index, packs)) is not None:
                errands[errand.key] = errand
                self._actions[errand.key] = action
        self.bench = Bench(world, self._gates, errands)
        self._known = {key: asyncio.Event() for key in self._actions}
        # Who starts first is first at its gate: what is there already, then by priority, which also decides what a
        # budget reaches.
        self._order = sorted(self._actions, key=lambda key: (self._actions[key].act not in _THERE, errands[key].order))
        self._ahead = _twins_ahead(self._order, errands)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sent: set[str] = set()
        # What was done for a submission is not done again for a twin of its job.
        self._tried: set[tuple[JobState, str]] = set()
        self._open = 0
        self._waits: dict[str, _Wait] = {}
        self._interrupted = False
        self._changed = asyncio.Event()

    def stop(self) -> None:
        """Submit nothing more; answers to requests that were sent are still recorded. Safe to call from a signal."""
        self._interrupted = True
        self._halt()

    def _halt(self) -> None:
        self.bench.stopping = True
        self._changed.set()

    async def run(self) -> Ended:
        """Carry the plan out. Raises :class:`~renderer.errors.DiskError` where a record could not be written."""
        bench = self.bench
        for key in self._order:
            self._tasks[key] = asyncio.create_task(self._drive(bench.errands[key]))
            self._tasks[key].add_done_callback(self._ended)
        self._open = len(self._tasks)
        watch = asyncio.create_task(self._deadline())
        results: list[Any] = []
        try:
            while self._open and not bench.stopping and bench.world.journal.broken is None:
                self._changed.clear()
                if self._stuck() and not await self._moves_on():
                    break
                await self._changed.wait()
        finally:
            bench.stopping = True
            ending: list[asyncio.Future[Any]] = [*self._tasks.values(), *bench.repeats.values(), watch]
            for task in ending:
                task.cancel()
            results = await asyncio.gather(*ending, return_exceptions=True)
            await bench.settled()
        if (broken := bench.world.journal.broken) is not None:
            raise broken
        errors = [error for error in (*results, *bench.failures) if isinstance(error, Exception)]
        if errors:
            # A bug before what a person can mend.
            raise min(errors, key=lambda error: isinstance(error, RendererError))
        stopped = frozenset(name for name, gate in self._gates.items() if gate.lane.stopped is not None)
        return Ended(bench.troubles, bench.remotes, stopped, self._world.purse.refused, self._interrupted)

    def _ended(self, _: object) -> None:
        self._open -= 1
        self._changed.set()

    def _stuck(self) -> bool:
        """Return whether every job that is not done waits, in the end, for a person: the next run asks again."""
        return 0 < len(self._waits) == self._open and all(self._waits_for_person(key) for key in self._waits)

    async def _moves_on(self) -> bool:
        """Return whether a person lets a job go on while the run lingers for them, polling on."""
        end = self._world.clock.monotonic() + _LINGER
        while self._stuck() and not self.bench.stopping and (left := end - self._world.clock.monotonic()) > 0:
            self._changed.clear()
            news = asyncio.create_task(self._changed.wait())
            rest = asyncio.create_task(self._world.clock.sleep(left))
            await asyncio.wait([news, rest], return_when=asyncio.FIRST_COMPLETED)
            news.cancel()
            rest.cancel()
        self._changed.set()
        return not self._stuck()

    def _waits_for_person(self, key: str | None) -> bool:
        while key is not None:
            wait = self._waits.get(key)
            if wait is None or wait.over():
                # It works, or is about to.
                return False
            key = wait.job
        return True

    async def _deadline(self) -> None:
        """Let the run end at its deadline."""
        deadline = self._world.deadline
        if deadline is not None:
            await self._world.clock.sleep(max(0.0, deadline - self._world.clock.monotonic()))
            self._halt()

    # --- one job -------------------------------------------------------------------------------------------------

    async def _drive(self, errand: Errand) -> None:
        """Take one errand as far as it goes."""
        try:
            if errand.wanted is None:
                await self._without_job(errand)
            else:
                await self._job(errand, errand.wanted)
        finally:
            # Whoever refers to this job looks at its standing, which may also be that nothing came of it.
            self._known[errand.key].set()
            self._waits.pop(errand.key, None)

    async def _job(self, errand: Errand, wanted: Wanted) -> None:
        if self._actions[errand.key].act is Act.WAIT and not self._world.waiting:
            self.bench.emit("waiting", errand, self._actions[errand.key].reason)
            return
        if (ahead := self._ahead.get(errand.key)) is not None:
            # Twins take turns: the second finds what the first has bought.
            await self._ended_first(errand, ahead)
        known = await self._advance(errand, wanted)
        if known.state is JobState.SAVED:
            self._known[errand.key].set()
            await settle(self.bench, errand, self._actions[errand.key], known)
        elif self._world.fail_fast and known.state in _FAILED and self._actions[errand.key].act is not Act.FAILED:
            # What had failed before this run is no news.
            self._halt()

    async def _ended_first(self, errand: Errand, other: str) -> None:
        """Wait until another job has gone as far as it goes."""
        task = self._tasks[other]
        with self._waiting(errand, _Wait(other, task.done)):
            await asyncio.wait([task])

    @contextmanager
    def _waiting(self, errand: Errand, wait: _Wait) -> Iterator[None]:
        """Mark a job as waiting for another one, or for a person: such waiting alone does not keep the run going."""
        self._waits[errand.key] = wait
        self._changed.set()
        try:
            yield
        finally:
            self._waits.pop(errand.key, None)

    async def _advance(self, errand: Errand, wanted: Wanted) -> Standing:
        """Submit, look up, poll and download until the job is saved or can go no further; return its standing."""
        bench = self.bench
        while True:
            known = bench.standing(wanted)
            found, state = known.submission, known.state
            if state in _KNOWN:
                self._known[errand.key].set()
            if found is not None and found.id == errand.over and wanted.fingerprint not in self._sent:
                # A person wants it bought once more, whatever became of it.
                state = JobState.PLANNED
            if found is not None and found.state is State.REFUSED:
                found = None
            step = (state, found.id if found is not None else errand.key)
            if step in self._tried:
                return known
            self._tried.add(step)
            match state:
                case JobState.PLANNED | JobState.REFUSED if wanted.fingerprint not in self._sent:
                    if not self._world.buying or not await self._needs(errand, wanted):
                        return known
                    bought = await self._at_provider(errand, wanted)
                    # It was polled, or looked up, there and then: not again in this run.
                    self._tried |= {(JobState.REFUSED, errand.key), (JobState.PLANNED, errand.key)}
                    self._tried |= {
                        (JobState.PLANNED, errand.over),
                        (JobState.ACCEPTED, bought),
                        (JobState.HELD, bought),
                    }
                    if bought:
                        self._sent.add(wanted.fingerprint)
                case JobState.RENDERED if found is not None:
                    await collecting.download(bench, errand, found.id)
                case JobState.ACCEPTED | JobState.HELD if found is not None and found.origin == wanted.origin:
                    if found.state is State.DOUBTFUL:
                        await look_up(bench, errand, found.id)
                    elif found.state is State.ACCEPTED:
                        with self._gates[errand.provider].occupied() as place:
                            await self._collect(errand, wanted, found.id, place=place, new=False)
                        # A call that is its own poll may have been refused: the next run sends it again.
                        self._sent.add(wanted.fingerprint)
                case _:
                    return known

    async def _needs(self, errand: Errand, wanted: Wanted) -> bool:
        """Return whether everything that the job refers to is known, once it is decided."""
        bench = self.bench
        files = {f"{errand.release}/{ref.job}" for _, ref in wanted.job.refs() if ref.field == "file"}
        for key in wanted.needs:
            needed = bench.errands[key]
            if key in self._tasks:
                if not self._known[key].is_set():
                    bench.troubles[errand.key] = Trouble("waiting", f"waits for {needed.id}")
                    bench.emit("waiting", errand, f"waits for {needed.id}")
                    with self._waiting(errand, _Wait(key, self._known[key].is_set)):
                        await self._known[key].wait()
                if key in files:
                    await self._ended_first(errand, key)
            known = bench.standing(needed.wanted) if needed.wanted is not None else Standing(JobState.FAILED)
            if known.state not in _KNOWN:
                said = f"waits for {needed.id}, which is {known.state}"
                bench.troubles[errand.key] = Trouble("waiting", said)
                bench.emit("waiting", errand, said)
                return False
        return True

    async def _at_provider(self, errand: Errand, wanted: Wanted) -> str:
        """Take a place at the provider, submit, and collect; return the submission's id, or "" where none counts."""
        bench = self.bench
        async with self._gates[errand.provider].place(errand.order) as place:
            if errand.pack.embedded:
                return await make(bench, errand, wanted)
            made = None
            if errand.operation.repeat:
                # Made in this run: its first dependent need not send it once more.
                made = bench.repeats.setdefault(errand.key, asyncio.get_running_loop().create_future())
            bought, submission = await buy(bench, errand, wanted)
            if made is not None and not made.done():
                made.set_result(bought is Bought.YES)
            if bought is Bought.DOUBTFUL and await look_up(bench, errand, submission):
                bought = Bought.YES
            if bought is Bought.YES and bench.submission(submission).state is State.ACCEPTED:
                await self._collect(errand, wanted, submission, place=place, new=True)
            return submission

    async def _collect(self, errand: Errand, wanted: Wanted, submission: str, *, place: Place, new: bool) -> None:
        """Poll until the job leaves the provider."""
        bench = self.bench
        if errand.pack.embedded:
            await make(bench, errand, wanted, submission)
            return
        if errand.operation.keyed and (link := bench.world.files.link(submission)) is not None:
            # Delivered by a call of a run that died before it could say so: calling again could buy it again.
            await recording.rendered(bench, errand, submission, Rendered("", {}, link))
            return
        if errand.operation.callable_again and submission not in bench.ready:
            try:
                bench.ready[submission] = await resolve(bench, errand, wanted)
            except NotReady as refusal:
                bench.troubles[errand.key] = refusal.trouble
                return
        await self._poll(errand, submission, place=place, new=new)
        if bench.submission(submission).state in (State.RENDERED, State.SAVED):
            self._known[errand.key].set()

    async def _poll(self, errand: Errand, submission: str, *, place: Place, new: bool) -> None:
        """Poll; while the job only waits for a person, others may have its place."""

        def idle(waits: bool) -> None:
            if waits:
                self._waits[errand.key] = _Wait(None, lambda: False)
                place.leave()
            else:
                self._waits.pop(errand.key, None)
            self._changed.set()

        await collecting.poll(self.bench, errand, submission, new=new, idle=idle)
        self._waits.pop(errand.key, None)

    async def _without_job(self, errand: Errand) -> None:
        """Collect a purchase that no job shows any more, into the cache; look it up where it is a doubt."""
        bench, id_ = self.bench, errand.submission
        if id_ is None or self._actions[errand.key].act not in _THERE:
            return
        if bench.submission(id_).state is State.ACCEPTED and errand.operation.status is None:
            # Its call was its poll, and no job says any more what to call it with.
            if (link := bench.world.files.link(id_)) is None:
                bench.troubles[errand.key] = Trouble("job", "no job says any more what to ask for", "undo the change")
                return
            await recording.rendered(bench, errand, id_, Rendered("", {}, link))
        elif errand.origin not in (SANDBOX_ORIGIN, self._origin(errand)):
            # No key goes to another place for an old task.
            said = f"it was bought at {errand.origin}, and another base URL is configured"
            bench.troubles[errand.key] = Trouble("origin", said, "set it back to collect it")
            return
        if bench.submission(id_).state is State.DOUBTFUL and errand.operation.lookup is not None:
            await look_up(bench, errand, id_)
        if bench.submission(id_).state is State.ACCEPTED:
            with self._gates[errand.provider].occupied() as place:
                await self._poll(errand, id_, place=place, new=False)
        if bench.submission(id_).state is State.RENDERED:
            await collecting.download(bench, errand, id_)

    def _origin(self, errand: Errand) -> str | None:
        url = self._world.base_urls.get(errand.provider)
        return None if url is None else parse(url).origin


def _twins_ahead(order: Iterable[str], errands: Mapping[str, Errand]) -> dict[str, str]:
    """Return for each job the one with an equal fingerprint that goes before it."""
    last: dict[str, str] = {}
    ahead = {}
    for key in order:
        wanted = errands[key].wanted
        if wanted is not None:
            if wanted.fingerprint in last:
                ahead[key] = last[wanted.fingerprint]
            last[wanted.fingerprint] = key
    return ahead
