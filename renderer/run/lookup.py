"""Doubtful purchases: was it bought after all? Asked of the provider's own list, where it has one.

A list can show that something was bought, never that it was not. So exactly one candidate that nobody else could
claim is attached; anything else is left held, with what was seen.
"""

from datetime import datetime

from renderer.provider import answer, request
from renderer.provider.outcome import Candidate
from renderer.provider.pack import Lookup
from renderer.run import recording
from renderer.run.bench import Bench, Errand
from renderer.run.transport import Lost, Unsent
from renderer.state.history import Submission
from renderer.state.lifecycle import Fact, State

_LOOKS = 3
_SLACK = 2.0


async def look_up(bench: Bench, errand: Errand, submission: str) -> bool:
    """Look for a doubtful submission; return whether it was found and attached."""
    lookup = errand.operation.lookup
    if lookup is None or not bench.submission(submission).intended.get("marks"):
        bench.emit("held", errand, "no answer came, and the provider has no list to look in", error="doubtful")
        return False
    why = ""
    for look in range(_LOOKS):
        if look:
            # A purchase may take a moment to show in the list.
            await bench.world.clock.sleep(bench.gates[errand.provider].lane.pacing.every[0])
        found = await _candidates(bench, errand, lookup, bench.submission(submission))
        if found is None:
            why = "The provider's list could not be read"
        elif len(found) == 1 and found[0].at is not None and not _twin(bench, submission):
            await recording.accepted(bench, errand, submission, found[0].task, found=True)
            return True
        elif found:
            # Several, one that two doubtful submissions could claim, or of an unknown time: more looks do not help.
            shown = ", ".join(f"{c.task} ({c.title})" if c.title else c.task for c in found[:5])
            why = f"The provider's list has {shown} that could be it"
            break
        else:
            why = "The provider's list does not show it"
    doubt = bench.submission(submission).fact(Fact.NOTE)
    before = f"{doubt['message']}. " if doubt.get("kind") == "doubt" else ""
    await bench.note(errand, submission, "lookup", f"{before}{why}")
    bench.emit("held", errand, why, error="doubtful")
    return False


def _twin(bench: Bench, submission: str) -> bool:
    """Return whether another doubtful submission of the provider carries the same marks."""
    mine = bench.submission(submission)
    return any(
        bench.submission(row.id).intended.get("marks") == mine.intended.get("marks")
        for row in bench.history.rows()
        if row.id != submission
        and (row.provider, row.origin, row.state) == (mine.provider, mine.origin, State.DOUBTFUL)
    )


async def _candidates(bench: Bench, errand: Errand, lookup: Lookup, mine: Submission) -> list[Candidate] | None:
    """Return what the provider's list has that could be this submission, or None where it could not be read."""
    sent = datetime.fromisoformat(mine.at).timestamp()
    timeout = bench.gates[errand.provider].lane.pacing.call
    listed: dict[str, Candidate] = {}
    for page in range(lookup.pages):
        ask = request.lookup_request(errand.operation, page=page)
        try:
            reply = await bench.world.api.call(errand.provider, ask, timeout=timeout)
        except (Unsent, Lost):
            return None
        now = bench.world.clock.now().timestamp()
        rows = answer.read_lookup(errand.pack, errand.operation, reply, now=now)
        if not isinstance(rows, list):
            return None
        listed.update((row.task, row) for row in rows)
        if len(rows) < lookup.size or all(row.at is not None and row.at < sent - _SLACK for row in rows):
            break
    claimed = bench.history.tasks(mine.provider, mine.origin)
    return [
        row
        for row in listed.values()
        if row.task not in claimed
        and request.marks_hash(row.marks) == mine.intended.get("marks")
        and (row.at is None or sent - _SLACK <= row.at <= sent + lookup.window + _SLACK)
    ]
