"""What a request needs before it can be sent: the values that other jobs produced, and local files.

A link is asked for again just before it is used, and never stored with its query. An operation that the pack marks
``repeat`` (it edits in place) is sent once more in each run before the first job that depends on it. Nothing here
costs anything.
"""

import asyncio

from renderer.canonical import Json
from renderer.manifest.job import Ref, Upload
from renderer.plan.standing import JobState, Wanted
from renderer.provider import answer, request
from renderer.provider.outcome import ErrorClass, Made, Refused
from renderer.provider.wire import Request
from renderer.run import asking
from renderer.run.bench import Bench, Errand, NotReady, Trouble
from renderer.run.probe import ending
from renderer.run.transport import Lost, Unsent
from renderer.run.uploading import upload
from renderer.state.history import Submission

_TRIES = 4


async def resolve(bench: Bench, errand: Errand, wanted: Wanted) -> Request:
    """Return the job's request with every reference and upload replaced by what the provider understands.

    Raises :class:`NotReady`.
    """
    values: dict[Ref | Upload, Json] = {}
    for _, ref in wanted.job.refs():
        values[ref] = await _value(bench, errand, ref)
    for _, file in wanted.job.uploads():
        path = bench.world.root / file.path
        extension = path.suffix.lstrip(".").lower()
        values[file] = await upload(bench, errand, path, sha256=file.sha256, extension=extension)
    return request.substitute(wanted.request, values.__getitem__)


async def _value(bench: Bench, errand: Errand, ref: Ref) -> Json:
    needed = bench.errands[f"{errand.release}/{ref.job}"]
    known = bench.standing(needed.wanted) if needed.wanted is not None else None
    if known is None or known.submission is None or known.state not in (JobState.RENDERED, JobState.SAVED):
        raise NotReady(Trouble("reference", f"{ref.job}.{ref.field} is not known yet"))
    if needed.operation.repeat:
        await _repeated(bench, needed)
    if ref.field == "file":
        return await _file(bench, errand, needed, known.submission)
    if ref.field == "task" and known.submission.task is not None:
        return known.submission.task
    value = known.submission.produced.get(ref.field)
    if value is not None and "://" in value and needed.operation.status is not None:
        # What is recorded of a link lacks its query; and it may have expired. Only where it was bought it is known.
        if known.submission.origin != needed.origin:
            said = f"{ref.job} was bought at {known.submission.origin}, but {needed.origin} is configured"
            raise NotReady(Trouble("reference", said, "set the base URL back"))
        value = await asking.fresh_link(bench, needed, known.submission.id, ref.field)
        if value is None:
            raise NotReady(Trouble("reference", f"the provider gave no fresh link for {ref.job}.{ref.field}"))
    if value is None:
        raise NotReady(Trouble("reference", f"{ref.job} did not produce {ref.field!r}"))
    return value


async def _file(bench: Bench, errand: Errand, needed: Errand, submission: Submission) -> str:
    path = bench.world.files.cached(submission.sha256) if submission.sha256 is not None else None
    if submission.sha256 is None or path is None:
        raise NotReady(Trouble("reference", f"the file of {needed.id} is not on this machine"))
    # By content: a provider may make another kind of sound than it usually does, and the next one is strict.
    extension = ending(path) or needed.operation.extension
    return await upload(bench, errand, path, sha256=submission.sha256, extension=extension)


async def _repeated(bench: Bench, needed: Errand) -> None:
    """Return when a ``repeat`` operation has been sent in this run. Raises :class:`NotReady`."""
    task = bench.repeats.get(needed.key)
    if task is None:
        task = bench.repeats[needed.key] = asyncio.create_task(_repeat(bench, needed))
    if not await asyncio.shield(task):
        said = bench.troubles.get(needed.key)
        why, remedy = (f": {said.message}", said.remedy) if said is not None else ("", "")
        raise NotReady(Trouble("reference", f"{needed.id} could not be sent again{why}", remedy))


async def _repeat(bench: Bench, needed: Errand) -> bool:
    """Send it again, unrecorded; return whether the provider took it."""
    if needed.wanted is None:
        return False
    gate = bench.gates[needed.provider]
    for attempt in range(_TRIES):
        if attempt:
            await bench.world.clock.sleep(2.0**attempt)
        await gate.turn()
        try:
            ready = await resolve(bench, needed, needed.wanted)
            reply = await bench.world.api.call(needed.provider, ready, timeout=gate.lane.pacing.call)
        except (Unsent, Lost):
            continue
        except NotReady as refusal:
            bench.troubles[needed.key] = refusal.trouble
            return False
        now = bench.world.clock.now().timestamp()
        match answer.read_submit(needed.pack, needed.operation, reply, sent=ready, now=now):
            case Made():
                return True
            case Refused(fault=fault) if fault.kind is not ErrorClass.BUSY:
                bench.trouble(needed, fault)
                return False
    return False
