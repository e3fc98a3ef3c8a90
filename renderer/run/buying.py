"""One job's submit: from its turn to a fact.

Before anything is sent, its ``intended`` is durable; after anything was sent, what is known is recorded before
anything else happens to it. What was seen becomes a fact by DESIGN 4's table:

=======================  ==========================================================================
never sent               ``refused`` (unsent): again as a new submission, until the lane stops
refused                  ``refused``: busy goes again in its turn; auth and credits stop the provider
accepted                 ``accepted``
made at once             ``rendered`` and ``saved``
anything else            no fact: doubtful; looked up where that is possible, else held
=======================  ==========================================================================

A ``keyed`` call is its own poll: whatever is no verdict means "call again", which is ``collecting``'s business.
"""

import asyncio
from enum import Enum, auto

from renderer.canonical import Json
from renderer.plan.standing import Wanted, intent
from renderer.provider import answer, request
from renderer.provider.outcome import (
    Accepted,
    ErrorClass,
    Failed,
    Fault,
    Made,
    Refused,
    Rendered,
    Running,
    SubmitOutcome,
    Unclear,
)
from renderer.provider.wire import Reply, Request
from renderer.run import recording
from renderer.run.bench import Bench, Errand, NotReady, Trouble
from renderer.run.resolving import resolve
from renderer.run.transport import Lost, Unsent


class Bought(Enum):
    """How a submit ended."""

    YES = auto()
    NO = auto()
    DOUBTFUL = auto()


async def buy(bench: Bench, errand: Errand, wanted: Wanted) -> tuple[Bought, str]:
    """Submit a job that has its place at the provider; return how that ended, and the submission's id."""
    gate = bench.gates[errand.provider]
    attempt = 0
    while True:
        await gate.rested()
        if _closed(bench, errand):
            return Bought.NO, ""
        try:
            ready = await resolve(bench, errand, wanted)
        except NotReady as refusal:
            bench.troubles[errand.key] = refusal.trouble
            bench.emit("trouble", errand, refusal.trouble.message, error=refusal.trouble.code)
            return Bought.NO, ""
        await gate.turn()
        if why := await bench.reserve(errand, wanted):
            bench.troubles[errand.key] = Trouble("budget", why, "raise the budget, or apply again")
            return Bought.NO, ""
        # Fetching the values took its time; after this question nothing is waited for before the intent.
        if _closed(bench, errand):
            bench.give_back(errand, wanted)
            bench.answered(errand)
            return Bought.NO, ""
        attempt += 1
        bench.troubles.pop(errand.key, None)
        send = _Send(bench, errand, wanted, ready, attempt)
        await bench.critical(asyncio.create_task(send.run()))
        match send.outcome:
            case Refused() if not send.again:
                return Bought.NO, send.id
            case Refused():
                continue
            case Unclear():
                return Bought.DOUBTFUL, send.id
            case _:
                return Bought.YES, send.id


def _closed(bench: Bench, errand: Errand) -> bool:
    """Return whether nothing more may be sent for this job in this run."""
    lane = bench.gates[errand.provider].lane
    if lane.stopped is not None:
        bench.trouble(errand, lane.stopped)
    return lane.stopped is not None or bench.stopping or bench.too_late(errand)


class _Send:
    """One send: intent, request, answer, fact. It runs to its end even if its job is cancelled meanwhile."""

    def __init__(self, bench: Bench, errand: Errand, wanted: Wanted, ready: Request, attempt: int) -> None:
        self.bench = bench
        self.errand = errand
        self.wanted = wanted
        self.ready = ready
        self.attempt = attempt
        self.id = bench.mint()
        self.outcome: SubmitOutcome = Unclear("no answer came")
        self.again = False

    async def run(self) -> None:
        """Send it and record what came of it."""
        try:
            await self._run()
        finally:
            self.bench.answered(self.errand)

    async def _run(self) -> None:
        bench, errand = self.bench, self.errand
        await bench.write(errand, self.id, intended=self._intended(), closing=errand.over)
        if (broken := bench.world.journal.broken) is not None:
            # The disk has refused somebody else's record meanwhile: an answer could not be recorded.
            raise broken
        if bench.stopping:
            # A person stopped the run while the intent was written: nothing new leaves.
            self.outcome = Refused(Fault(kind=ErrorClass.UNSENT, code="stopped", message="the run was stopped"))
            await self._record(None)
            return
        bench.ready[self.id] = self.ready
        bench.emit("submitting", errand, attempt=self.attempt)
        timeout = bench.gates[errand.provider].lane.pacing.call
        reply: Reply | None = None
        try:
            reply = await bench.world.api.call(errand.provider, self.ready, timeout=timeout, fresh=True)
        except Unsent as error:
            self.outcome = Refused(Fault(kind=ErrorClass.UNSENT, code=error.kind, message=error.message))
        except Lost as error:
            self.outcome = Unclear(error.message)
        else:
            now = bench.world.clock.now().timestamp()
            self.outcome = answer.read_submit(errand.pack, errand.operation, reply, sent=self.ready, now=now)
        if isinstance(self.outcome, Unclear) and errand.operation.callable_again:
            self.outcome = Running("called")
        await self._record(reply)

    def _intended(self) -> dict[str, Json]:
        intended = intent(self.wanted, at=self.bench.now(), over=self.errand.over)
        if marks := request.marks_hash(request.marks(self.ready, self.wanted.operation)):
            intended["marks"] = marks
        if self.wanted.operation.callable_again:
            intended["keyed"] = True
        return intended

    async def _record(self, reply: Reply | None) -> None:
        bench, errand = self.bench, self.errand
        lane = bench.gates[errand.provider].lane
        match self.outcome:
            case Accepted(task=task):
                await recording.accepted(bench, errand, self.id, task)
                lane.answered()
            case Made(produced=produced):
                await recording.rendered(bench, errand, self.id, Rendered("", produced))
                lane.answered()
            case Rendered() as done:
                await recording.rendered(bench, errand, self.id, done)
                lane.answered()
            case Failed(fault=fault):
                await recording.failed(bench, errand, self.id, fault)
                lane.answered()
            case Running(state=state):
                lane.answered()
                bench.emit("polled", errand, state)
            case Refused(fault=fault, retry_after=retry_after):
                bench.give_back(errand, self.wanted)
                await recording.refused(bench, errand, self.id, fault)
                self._pace(fault, retry_after)
            case Unclear(why=why):
                if reply is not None:
                    why += bench.keep_answer(self.id, reply.body)
                bench.emit("trouble", errand, f"whether it was bought is not known: {why}", error="doubtful")
                await bench.note(errand, self.id, "doubt", why)

    def _pace(self, fault: Fault, retry_after: float | None) -> None:
        """Let the lane take a refusal to heart."""
        bench, errand = self.bench, self.errand
        lane, now = bench.gates[errand.provider].lane, bench.world.clock.monotonic()
        jitter = bench.world.chance.random()
        match fault.kind:
            case ErrorClass.UNSENT if fault.code != "tls":
                self.again = lane.unsent(now, fault, jitter=jitter)
            case ErrorClass.BUSY:
                self.again = lane.busy(now, fault, retry_after=retry_after, jitter=jitter)
            case ErrorClass.UNSENT | ErrorClass.AUTH | ErrorClass.CREDITS:
                bench.stop_provider(errand, fault)
            case _:
                lane.answered()
        if lane.stopped is not None:
            bench.stop_provider(errand, lane.stopped)
