"""What the actions of a plan ask a run to do. Values in, values out; the executor carries them out."""

from collections.abc import Mapping

from renderer.plan.plan import Action
from renderer.plan.standing import Wanted
from renderer.provider.pack import Pack
from renderer.run.bench import Errand


def errand_for(wanted: Wanted, index: int, *, over: str = "") -> Errand:
    """Return what a job asks the run to do; ``index`` is its place in the order of the manifests."""
    return Errand(
        key=wanted.key,
        id=wanted.job.id,
        manifest=wanted.job.manifest,
        release=wanted.job.release,
        pack=wanted.pack,
        operation=wanted.operation,
        wanted=wanted,
        origin=wanted.origin,
        order=(-wanted.job.priority, index),
        over=over,
    )


def errand_of(action: Action, index: int, packs: Mapping[str, Pack]) -> Errand | None:
    """Return what an action asks the run to do, or None where its pack no longer knows the operation."""
    if action.wanted is not None:
        return errand_for(action.wanted, index, over=action.over)
    submission, pack = action.submission, packs.get(action.provider)
    operation = pack.operations.get(action.operation) if pack is not None else None
    if pack is None or operation is None or submission is None:
        return None
    return Errand(
        key=submission.id,
        id=action.id,
        manifest=action.manifest,
        release=submission.job.partition("/")[0],
        pack=pack,
        operation=operation,
        wanted=None,
        origin=submission.origin,
        order=(0, index),
        submission=submission.id,
    )
