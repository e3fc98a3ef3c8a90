"""From an accepted task to a file: poll, download, publish. All of it is free and may be repeated.

A poll deadline parks the job as it is; the next run goes on with it. A link is used byte for byte; it is recorded
without its query, and kept in a file only where the provider gives it once. A file gets its name only when it is
whole: the cache first, then the output, then the record.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from renderer.plan.plan import Look
from renderer.provider import request
from renderer.provider.outcome import (
    Denied,
    Failed,
    Fault,
    Gone,
    NeedsPerson,
    Refused,
    Rendered,
    Running,
    StatusOutcome,
    Unclear,
)
from renderer.provider.pacing import poll_wait
from renderer.run import recording
from renderer.run.asking import ask, fresh_link
from renderer.run.bench import Bench, Errand, Fetched, Remote, Trouble
from renderer.run.disk import DiskFull
from renderer.run.download import Incomplete, LinkRefused, TooLarge
from renderer.run.probe import NotMedia
from renderer.run.transport import Forbidden, Lost, Unsent
from renderer.state.lifecycle import Fact

_TRIES = 4
_MOMENT = 1.5
_LOST = "the provider delivered this once, and its link is lost"
_LOST_NEXT = "renderer resolve --resubmit calls again, which may cost again; renderer adopt --file takes what you have"


async def poll(bench: Bench, errand: Errand, submission: str, *, new: bool, idle: Callable[[bool], None]) -> None:
    """Ask for a task until it is finished, failed or unknown, or its deadline parks it.

    ``new``: it was submitted in this run, so the first question waits as the pack says. ``idle`` is told whether the
    job only waits for a person, so that the run need not wait for it.
    """
    pacing = bench.gates[errand.provider].lane.pacing
    clock = bench.world.clock
    started = clock.monotonic()
    polls, troubles = (0 if new else 1), 0
    wait = pacing.first if new else 0.0
    outcome: StatusOutcome | Refused | None = None
    while True:
        if clock.monotonic() + wait - started > pacing.timeout:
            if isinstance(outcome, Gone):
                await _gone(bench, errand, submission, outcome.fault)
                return
            waited = f"not finished after {clock.monotonic() - started:.0f} s of polling"
            bench.troubles[errand.key] = Trouble("parked", waited)
            bench.emit("parked", errand, f"{waited}; the next run goes on with it")
            return
        await clock.sleep(wait)
        outcome = await _heard(bench, errand, submission)
        polls += 1
        asked_to_wait: float | None = None
        match outcome:
            case Rendered() | Failed() | Refused():
                return
            case Running(state=state, progress=progress, listed=listed):
                troubles, asked_to_wait = 0, outcome.retry_after
                _seen(bench, errand, submission, state, progress)
                if not listed:
                    bench.emit("warning", errand, f"unknown state {state!r}; polling goes on", error="state")
                if bench.submission(submission).fact(Fact.NOTE).get("kind") in ("person", "gone"):
                    await bench.note(errand, submission, "clear", "it goes on")
                idle(False)
            case NeedsPerson(state=state, remedy=remedy):
                troubles = 0
                _seen(bench, errand, submission, state, None)
                await bench.note(errand, submission, "person", f"the provider asks for a person ({state})", remedy)
                bench.emit("held", errand, f"{state}: {remedy}", error=state)
                idle(True)
            case Gone(fault=fault):
                status = errand.operation.status
                age = clock.monotonic() - started if new else _age(bench, submission)
                troubles = 0
                if status is None or not 0 <= age < status.grace:
                    await _gone(bench, errand, submission, fault)
                    return
            case Denied(fault=fault):
                bench.trouble(errand, fault)
                bench.stop_provider(errand, fault)
                return
            case Unclear(why=why):
                troubles, asked_to_wait = troubles + 1, outcome.retry_after
                bench.emit("trouble", errand, why, attempt=troubles)
        jitter = bench.world.chance.random()
        wait = poll_wait(pacing, polls=polls, troubles=troubles, jitter=jitter, retry_after=asked_to_wait)


async def _gone(bench: Bench, errand: Errand, submission: str, fault: Fault) -> None:
    """Hold a submission whose task its provider does not know (any more)."""
    why = f"the provider does not know task {bench.submission(submission).task}: {fault.message}"
    await bench.note(errand, submission, "gone", why, fault.remedy)
    bench.emit("held", errand, why, error=fault.code)


async def _heard(bench: Bench, errand: Errand, submission: str) -> StatusOutcome | Refused:
    """Ask once; an end is on record when this returns.

    Where the call is its own poll, its answer may come only once: it is waited for and recorded even if the job is
    cancelled meanwhile.
    """
    if errand.operation.keyed is None:
        return await _asked(bench, errand, submission)
    return await bench.critical(asyncio.create_task(_asked(bench, errand, submission)))


async def _asked(bench: Bench, errand: Errand, submission: str) -> StatusOutcome | Refused:
    outcome = await ask(bench, errand, submission)
    match outcome:
        case Rendered():
            bench.troubles.pop(errand.key, None)
            await recording.rendered(bench, errand, submission, outcome)
        case Failed(fault=fault, state=state):
            await recording.failed(bench, errand, submission, fault, state=state)
        case Refused(fault=fault):
            await recording.refused(bench, errand, submission, fault)
        case _:
            pass
    return outcome


def _seen(bench: Bench, errand: Errand, submission: str, state: str, progress: float | None) -> None:
    before = bench.remotes.get(submission)
    bench.remotes[submission] = Remote(state, progress, bench.now())
    bench.world.seen(bench.remotes)
    if before is None or (before.state, before.progress) != (state, progress):
        bench.emit("polled", errand, state, progress=progress)


def _age(bench: Bench, submission: str) -> float:
    accepted = bench.submission(submission).fact(Fact.ACCEPTED).get("at")
    if accepted is None:
        return 0.0
    return (bench.world.clock.now() - datetime.fromisoformat(str(accepted))).total_seconds()


async def download(bench: Bench, errand: Errand, submission: str) -> bool:
    """Fetch a rendered submission's file into the cache and record it; return whether it is there now."""
    files = bench.world.files
    link_refusals = 0
    why = ""
    for attempt in range(1, _TRIES + 1):
        link = await _link(bench, errand, submission)
        if link is None:
            if errand.operation.keyed:
                await bench.note(errand, submission, "lost", _LOST, _LOST_NEXT)
                bench.emit("held", errand, _LOST, error="link-lost")
            else:
                _in_trouble(bench, errand, why or "the provider gives no link for it")
            return False
        try:
            async with bench.downloads:
                fetched = await _fetch(bench, errand, submission, link, attempt)
            await keep(bench, errand, submission, fetched)
        except LinkRefused as refusal:
            why = f"its link was refused with {refusal.status}"
            link_refusals += 1
            if link_refusals == 1:
                # Right after the render a link may not be everywhere yet.
                await bench.world.clock.sleep(_MOMENT)
            elif errand.operation.keyed:
                files.drop_link(submission)
                bench.rendered.pop(submission, None)
            else:
                bench.rendered.pop(submission, None)
        except (NotMedia, Incomplete, Unsent, Lost) as error:
            why = str(error)
            bench.emit("trouble", errand, why, attempt=attempt)
            if not errand.operation.keyed:
                bench.rendered.pop(submission, None)
            await bench.world.clock.sleep(_MOMENT * attempt)
        except (Forbidden, TooLarge, DiskFull) as error:
            _in_trouble(bench, errand, str(error))
            return False
        else:
            return True
    _in_trouble(bench, errand, why)
    return False


def _in_trouble(bench: Bench, errand: Errand, why: str) -> None:
    bench.troubles[errand.key] = Trouble("download", why, "the next run tries again")
    bench.emit("trouble", errand, why, error="download")


async def _link(bench: Bench, errand: Errand, submission: str) -> str | None:
    """Return where the file is: as the provider said in this run, as it was kept, or as it says now."""
    done = bench.rendered.get(submission)
    if done is None and errand.operation.keyed:
        return bench.world.files.link(submission)
    if done is None:
        link = await fresh_link(bench, errand, submission)
        if link is not None:
            return link
        done = bench.rendered.get(submission)
    if done is None:
        return None
    task = bench.submission(submission).task
    if done.link is None and task is not None:
        content = request.content_request(errand.operation, task)
        return None if content is None else bench.world.content_url(errand.provider, content.path)
    return done.link


async def _fetch(bench: Bench, errand: Errand, submission: str, link: str, attempt: int) -> Fetched:
    shown = -10

    def progress(done: int, total: int | None) -> None:
        nonlocal shown
        percent = 100 * done // total if total else None
        if percent is not None and percent >= shown + 5:
            shown = percent
            bench.emit("downloading", errand, progress=float(percent))

    bench.emit("downloading", errand, attempt=attempt)
    return await bench.world.fetch(
        provider=errand.provider,
        link=link,
        part=bench.world.files.part(submission),
        makes=errand.operation.makes,
        progress=progress,
    )


async def keep(bench: Bench, errand: Errand, submission: str, fetched: Fetched) -> None:
    """Move a verified file into the cache, publish it, and record it."""
    known = bench.submission(submission)
    output = errand.wanted.output if errand.wanted is not None else None
    await asyncio.to_thread(bench.world.files.admit, fetched.path, fetched.sha256)
    if known.sha256 is not None and known.sha256 != fetched.sha256:
        # Saved before: the record stands. The provider now serves other bytes for the same task.
        _in_trouble(bench, errand, "the provider now serves another file than the one that was saved before")
        return
    stands = output is None or await publish(bench, errand, fetched.sha256, output)
    if known.sha256 is None:
        saved: dict[str, object] = {"sha256": fetched.sha256, "bytes": fetched.bytes, "at": bench.now()}
        if fetched.duration is not None:
            saved["duration"] = round(fetched.duration, 3)
        if output is not None:
            saved["path"] = output
        await bench.write(errand, submission, saved=saved)
    bench.world.files.drop_link(submission)
    bench.rendered.pop(submission, None)
    if stands:
        bench.troubles.pop(errand.key, None)
    bench.emit("saved", errand, output if output is not None and stands else "in the cache")


async def publish(bench: Bench, errand: Errand, sha256: str, output: str) -> bool:
    """Let a cached file appear at its output, unless something stands there that is not ours to replace."""
    look = await asyncio.to_thread(bench.world.files.at, output)
    if look.look in (Look.FOREIGN, Look.CHANGED):
        said = "a file stands there that this project did not make, or that was changed"
        bench.troubles[errand.key] = Trouble("output", f"{output} was not written: {said}", "move it away")
        bench.emit("trouble", errand, f"{output} was not written: {said}; the video is in the cache", error="output")
        return False
    if look.look is Look.OURS and look.sha256 == sha256:
        return True
    try:
        await asyncio.to_thread(bench.world.files.publish, sha256, output)
    except DiskFull as error:
        _in_trouble(bench, errand, f"{error.message}; the video is in the cache")
        return False
    return True
