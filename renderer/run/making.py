"""A job of an embedded engine: made on this machine, by the same records as a purchase, with nothing to pay.

Its ``intended`` is ``keyed``: after a crash it is simply made again. The engine itself is injected; what it can make
is not known here.
"""

from renderer.plan.standing import Wanted, intent
from renderer.provider.outcome import Rendered
from renderer.run import collecting, recording
from renderer.run.bench import Bench, EngineFailed, Errand, Trouble


async def make(bench: Bench, errand: Errand, wanted: Wanted, submission: str = "") -> str:
    """Make a job, going on with ``submission`` where an earlier run began it; return the submission's id."""
    engine = bench.world.engines.get(errand.provider)
    if engine is None:
        bench.troubles[errand.key] = Trouble("engine", errand.pack.unavailable or "this engine is not installed")
        return ""
    if not submission:
        submission = bench.mint()
        intended = intent(wanted, at=bench.now(), over=errand.over) | {"keyed": True}
        await bench.write(errand, submission, intended=intended)
        bench.emit("submitting", errand)
    part = bench.world.files.part(submission)
    try:
        fetched = await engine.make(
            wanted, part=part, progress=lambda percent: bench.emit("polled", errand, "rendering", progress=percent)
        )
    except EngineFailed as failure:
        await recording.failed(bench, errand, submission, failure.fault)
        return submission
    await recording.rendered(bench, errand, submission, Rendered("done"))
    await collecting.keep(bench, errand, submission, fetched)
    return submission
