"""Free questions about a purchase: where it stands, and what its link is now."""

from dataclasses import replace

from renderer.provider import answer, request
from renderer.provider.outcome import (
    Denied,
    ErrorClass,
    Failed,
    Made,
    Refused,
    Rendered,
    Running,
    StatusOutcome,
    SubmitOutcome,
    Unclear,
)
from renderer.run.bench import Bench, Errand
from renderer.run.transport import Lost, Unsent

_TRIES = 4
_MOMENT = 1.5


async def ask(bench: Bench, errand: Errand, submission: str) -> StatusOutcome | Refused:
    """Ask the provider once for a submission: by its task, or, of a keyed operation, by calling again."""
    known = bench.submission(submission)
    timeout = bench.gates[errand.provider].lane.pacing.call
    now = bench.world.clock.now().timestamp()
    operation = errand.operation
    if operation.callable_again:
        if (broken := bench.world.journal.broken) is not None:
            # Its answer could not be recorded, and it may come only once.
            raise broken
        ready = bench.ready.get(submission)
        if ready is None:
            return Unclear("no job says any more what to call it with")
        try:
            reply = await bench.world.api.call(errand.provider, ready, timeout=timeout, fresh=True)
        except (Unsent, Lost) as error:
            # Its call is its poll: a timeout says that it still works.
            return Running("called") if isinstance(error, Lost) else Unclear(error.message)
        return _as_status(answer.read_submit(errand.pack, operation, reply, sent=ready, now=now))
    if known.task is None:
        return Unclear("it has no task to ask for")
    try:
        reply = await bench.world.api.call(
            errand.provider, request.status_request(operation, known.task), timeout=timeout
        )
    except (Unsent, Lost) as error:
        return Unclear(error.message)
    outcome = answer.read_status(errand.pack, operation, reply, now=now)
    if isinstance(outcome, Unclear) and reply.status in range(200, 300):
        return replace(outcome, why=outcome.why + bench.keep_answer(submission, reply.body))
    return outcome


def _as_status(outcome: SubmitOutcome) -> StatusOutcome | Refused:
    match outcome:
        case Refused(fault=fault, retry_after=retry_after):
            match fault.kind:
                case ErrorClass.AUTH | ErrorClass.CREDITS:
                    return Denied(fault)
                case ErrorClass.INPUT | ErrorClass.MISSING:
                    return outcome
                case _:
                    return Running("busy", retry_after=retry_after)
        case Made(produced=produced):
            return Rendered("", produced)
        case Rendered() | Running() | Failed() | Unclear():
            return outcome
        case _:
            return Unclear("the answer has neither a state nor a link")


async def fresh_link(bench: Bench, errand: Errand, submission: str, field: str = "url") -> str | None:
    """Ask the provider for a finished submission's link as it is now; None where it gives none."""
    for attempt in range(_TRIES):
        if attempt:
            await bench.world.clock.sleep(_MOMENT * 2**attempt)
        match await ask(bench, errand, submission):
            case Rendered() as done:
                bench.rendered[submission] = done
                return done.produced.get(field) or (done.link if field == "url" else None)
            case Unclear() | Running():
                continue
            case _:
                return None
    return None
