"""A plan is carried out: locks taken, files opened, effects wired, signals heard, and the exit code derived.

The order is the promise: everything that can be refused is refused before the first byte leaves. This module wires;
what happens in which order while it runs is the executor's.
"""

import asyncio
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from renderer.cli.picture import Picture
from renderer.errors import DiskError, Exit
from renderer.plan.plan import Act, Plan
from renderer.plan.standing import JobState, Standing, Wanted, stand
from renderer.provider.pacing import Pacing
from renderer.run.bench import Fetched, Remote, World
from renderer.run.compact import compact
from renderer.run.disk import write_whole
from renderer.run.download import download
from renderer.run.events import Sink
from renderer.run.executor import Ended, Executor
from renderer.run.journal import Journal, Pair
from renderer.run.purse import Limit, Purse
from renderer.run.service import Service
from renderer.run.sightings import Notebook
from renderer.run.transport import Transport
from renderer.state import lockfile

_PAUSE = 0.1
IGNORED = b"*\n!.gitignore\n"
_ASKING = frozenset({Act.COLLECT, Act.DOWNLOAD, Act.HOLD})
_UNFINISHED = frozenset({JobState.PLANNED, JobState.INTENDED, JobState.ACCEPTED, JobState.RENDERED, JobState.HELD})
_FAILED = frozenset({JobState.FAILED, JobState.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asked of a run. ``deadline`` is in seconds from now.

    ``waiting``: they said yes to whatever the manifests ask for, not only to the submits of one plan that they saw.
    ``speed``: how many of the providers' seconds pass in one of ours, in a rehearsal.
    """

    speed: float = 1.0
    buying: bool = True
    waiting: bool = False
    limit: Limit = field(default_factory=Limit)
    deadline: float | None = None
    fail_fast: bool = False


NOTHING = Ended(troubles={}, remotes={}, stopped=frozenset(), out_of_budget=False, interrupted=False)
"""How a run ended that had nothing to do."""


class SystemClock:
    """Time as it is."""

    def now(self) -> datetime:
        """Return the wall clock's time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        await asyncio.sleep(seconds)


def asked(plan: Plan, jobs: Iterable[Wanted], wish: Wish) -> set[str]:
    """Return the providers to which carrying out a plan may send something."""
    by_key = {wanted.key: wanted for wanted in jobs}
    buying = {Act.SUBMIT, *([Act.WAIT] if wish.waiting else [])} if wish.buying else set()
    found = {action.provider for action in plan.actions if action.act in _ASKING | buying}
    for action in plan.actions:
        if action.act in buying and action.wanted is not None:
            # A link is asked for again before it is used, and an edit in place is sent again, whoever made it.
            found |= {by_key[need].job.provider for need in action.wanted.needs if need in by_key}
    return found


@contextmanager
def open_records(picture: Picture) -> Iterator[dict[str, Pair]]:
    """Open the lockfile and the ledger of each manifest, evened out with each other, while the block runs.

    Raises :class:`~renderer.errors.DiskError` before anything is sent where they cannot be written.
    """
    project, batch = picture.batch.project, picture.batch
    folders = {project.lockfile(m.file).parent for m in batch.manifests} | {project.ledger}
    folders |= {project.output(w.output).parent for w in picture.chosen if w.output is not None}
    picture.store.check_writable(folders)
    if not project.ignored.exists():
        write_whole(project.ignored, IGNORED)
    with ExitStack() as stack:
        files: dict[str, Pair] = {}
        for manifest in batch.manifests:
            path = project.lockfile(manifest.file)
            ledger = project.ledger / f"{manifest.release}.jsonl"
            pair = files[manifest.release] = Pair(
                stack.enter_context(lockfile.Appender(path, file=project.relative(path))),
                stack.enter_context(lockfile.Appender(ledger, file=project.relative(ledger))),
            )
            for file, missing in ((pair.lockfile, picture.unlocked), (pair.ledger, picture.unledgered)):
                if lines := b"".join(map(lockfile.encode, missing.get(manifest.release, ()))):
                    file.append(lines)
        yield files


def carry_out(picture: Picture, plan: Plan, services: Mapping[str, Service], wish: Wish, sink: Sink) -> Ended:
    """Carry a plan out under the project's lock, which the caller holds; return how it ended.

    Raises :class:`~renderer.errors.DiskError` where the disk does not do what it must.
    """
    project = picture.batch.project
    with open_records(picture) as files:
        notebook = Notebook(project, monotonic=time.monotonic)
        try:
            ended = asyncio.run(_run(picture, plan, services, wish=wish, sink=sink, files=files, seen=notebook.note))
        except BaseException:
            # What could not be recorded must be told; where outputs stand can be found out again.
            with suppress(DiskError):
                picture.store.save()
            raise
        picture.store.save()
        notebook.note(ended.remotes, now=True)
    for manifest in picture.batch.manifests:
        path = project.lockfile(manifest.file)
        compact(path, file=project.relative(path))
    return ended


async def _run(
    picture: Picture,
    plan: Plan,
    services: Mapping[str, Service],
    *,
    wish: Wish,
    sink: Sink,
    files: Mapping[str, Pair],
    seen: Callable[[Mapping[str, Remote]], None],
) -> Ended:
    batch, clock = picture.batch, SystemClock()
    async with Transport(services) as transport:

        async def fetch(
            *, provider: str, link: str, part: Path, makes: str, progress: Callable[[int, int | None], None]
        ) -> Fetched:
            return await download(
                transport, provider=provider, link=link, part=part, makes=makes, progress=progress, clock=clock
            )

        world = World(
            root=batch.project.root,
            base_urls={name: service.base_url for name, service in services.items()},
            clock=clock,
            api=transport,
            fetch=fetch,
            files=picture.store,
            journal=Journal(picture.history, files),
            chance=random.SystemRandom(),
            sink=sink,
            seen=seen,
            buying=wish.buying,
            waiting=wish.waiting,
            purse=Purse(wish.limit, batch.budgets),
            deadline=None if wish.deadline is None else clock.monotonic() + wish.deadline,
            fail_fast=wish.fail_fast,
        )
        pacing = {name: _hurried(told, wish.speed) for name, told in batch.pacing.items()}
        executor = Executor(plan, world, batch.packs, pacing=pacing, others=batch.wanted)
        with _signals(executor.stop):
            return await executor.run()


def _hurried(pacing: Pacing, speed: float) -> Pacing:
    """Return a pacing in the time of a rehearsal, whose providers are quicker; nobody is asked without a pause."""

    def wait(seconds: float) -> float:
        return min(seconds, max(seconds / speed, _PAUSE))

    least, most = pacing.every
    return replace(pacing, apart=pacing.apart / speed, first=wait(pacing.first), every=(wait(least), wait(most)))


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM stop the run gently, and the second end it at once: both are safe."""
    loop = asyncio.get_running_loop()
    main = asyncio.current_task()
    heard = 0

    def hear() -> None:
        nonlocal heard
        heard += 1
        if heard == 1:
            stop()
        elif main is not None:
            main.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, hear)
    try:
        yield
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def exit_code(jobs: Sequence[Wanted], standings: Mapping[str, Standing], ended: Ended | None = None) -> Exit:
    """Return what a run, or a look at one, amounts to (DESIGN 5, precedence 130, 4, 1, 3, 0)."""
    states = [standings[wanted.key].state for wanted in jobs]
    if ended is not None and ended.interrupted:
        return Exit.INTERRUPTED
    if ended is not None and ended.out_of_budget:
        return Exit.BUDGET
    if any(state in _FAILED for state in states) or (ended is not None and ended.stopped):
        return Exit.FAILED
    troubled = ended is not None and any(wanted.key in ended.troubles for wanted in jobs)
    if troubled or any(state in _UNFINISHED for state in states):
        return Exit.UNFINISHED
    return Exit.DONE


def standings_after(picture: Picture) -> dict[str, Standing]:
    """Return what is known of each chosen job now that no writer is alive."""
    return {wanted.key: stand(wanted, picture.history, alive=False) for wanted in picture.chosen}
