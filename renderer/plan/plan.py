"""Jobs x history -> Plan: per job what would be done, why, and whether it costs.

The plan is a value. Every action carries the sentence that explains it. The rules, in this order, for each job:

- held, failed          -> ``hold``, ``failed``: nothing is done; what is behind it is ``wait``
- accepted, intended    -> ``collect``: it is at the provider; poll it, then download
- rendered              -> ``download``
- saved                 -> ``keep``, or ``rename``, ``restore``, ``download`` where its file is not where it belongs
- planned, refused      -> ``submit``; a job whose twin is bought in the same run is a ``restore`` of the twin's file

Purchases that no job shows any more are listed too: ``collect`` while they render, ``orphan`` once they are saved and
their job is gone. This module is pure: what stands on disk is an argument.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from renderer.errors import Problem
from renderer.plan.money import Cost, total
from renderer.plan.standing import JobState, Standing, Wanted, counts, stand
from renderer.state.history import History, Submission
from renderer.state.lifecycle import Fact, State


class Act(StrEnum):
    """The closed set of actions."""

    SUBMIT = "submit"
    COLLECT = "collect"
    DOWNLOAD = "download"
    RESTORE = "restore"
    RENAME = "rename"
    KEEP = "keep"
    HOLD = "hold"
    FAILED = "failed"
    WAIT = "wait"
    ORPHAN = "orphan"


CHANGES = frozenset({Act.SUBMIT, Act.COLLECT, Act.DOWNLOAD, Act.RESTORE, Act.RENAME})
# What is already paid is collected whatever stands at its target: it waits in the cache.
_NEEDS_TARGET = frozenset({Act.SUBMIT, Act.RESTORE, Act.RENAME})
_STUCK = frozenset({Act.HOLD, Act.FAILED, Act.WAIT})
# Money may have been spent on it, and a person has not put it away.
_PAID_FOR = frozenset({State.DOUBTFUL, State.ACCEPTED, State.RENDERED, State.SAVED})


class Look(StrEnum):
    """What stands at an output path."""

    ABSENT = "absent"
    OURS = "ours"
    CHANGED = "changed"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Found:
    """What stands at an output path; ``sha256`` of a file of ours, as it was recorded."""

    look: Look
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """What stands on disk: ``at(output)`` looks, ``cached(sha256)`` tells whether the cache has a file, and
    ``placed`` says where outputs stand now (path -> sha256).
    """

    at: Callable[[str], Found]
    cached: Callable[[str], bool]
    placed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What would be done about one job, or about one purchase that has no job any more (``wanted`` None).

    ``source`` is the path a ``rename`` moves from; ``over`` the submission that a ``submit`` replaces by a person's
    word.
    """

    act: Act
    reason: str
    id: str
    manifest: str
    kind: str
    provider: str
    operation: str
    paid: bool = False
    fingerprint: str = ""
    wanted: Wanted | None = None
    submission: Submission | None = None
    source: str | None = None
    over: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The actions of a run, in the order of the manifests, and the problems that forbid applying it."""

    actions: tuple[Action, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def summary(self) -> dict[str, int]:
        """How many actions there are of each kind, and how many of them may cost."""
        counted = {act.value: sum(a.act is act for a in self.actions) for act in Act}
        return {**counted, "paid": sum(a.paid for a in self.actions)}

    @property
    def cost(self) -> Cost:
        """What the paid submits cost, as far as the manifests say so."""
        return total(a.wanted.price for a in self.actions if a.paid and a.wanted is not None)

    @property
    def changes(self) -> bool:
        """Whether there is something to submit, collect, download, restore or rename."""
        return any(action.act in CHANGES for action in self.actions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asked for on the command line that changes the plan.

    ``again`` are the keys of jobs that they want bought once more, whatever became of them.
    """

    only_new: bool = False
    again: frozenset[str] = frozenset()
    origins: Mapping[str, str | None] = field(default_factory=dict)
    """Where each provider is configured, also those that no job uses any more."""
    elsewhere: frozenset[str] = frozenset()
    """The releases of manifests that are not planned now: their files are not ours to move away."""
    alive: bool = False
    whole: bool = True
    """Whether every job of the manifests is planned; with a selection, purchases without a job are not listed."""


def make_plan(jobs: Sequence[Wanted], history: History, files: Files, *, options: Options) -> Plan:
    """Return what would be done about ``jobs``."""
    standings = {wanted.key: stand(wanted, history, alive=options.alive) for wanted in jobs}
    targets = {wanted.output for wanted in jobs if wanted.output is not None}
    actions: dict[str, Action] = {}
    unmade = (JobState.PLANNED, JobState.REFUSED)
    bought = _last_bought(history, [wanted for wanted in jobs if standings[wanted.key].state in unmade])
    buyers: dict[str, str] = {}
    problems: list[Problem] = []
    for wanted in _dependencies_first(jobs):
        action = _act(wanted, standings[wanted.key], files, targets=targets, options=options)
        if action.source is not None:
            # It moves once; a twin moves from another place, or is restored.
            targets.add(action.source)
        if action.act is Act.SUBMIT:
            action = _behind(wanted, action, actions)
        if action.act is Act.SUBMIT:
            buyer = buyers.setdefault(wanted.fingerprint, wanted.key)
            if buyer != wanted.key:
                action = replace(action, act=Act.RESTORE, paid=False, reason=f"shares the purchase of {buyer}")
            else:
                why = "once more, as you asked" if action.over else _why_submit(wanted, standings[wanted.key], bought)
                action = replace(action, reason=why)
        actions[wanted.key] = action
        if (problem := _in_the_way(action, files)) is not None:
            problems.append(problem)
    without_job = _without_job(jobs, standings, history, options.origins) if options.whole else []
    return Plan((*(actions[wanted.key] for wanted in jobs), *without_job), tuple(sorted(problems)))


def _dependencies_first(jobs: Sequence[Wanted]) -> list[Wanted]:
    """Return the jobs so that each stands behind those it refers to; expansion has refused cycles."""
    by_key = {wanted.key: wanted for wanted in jobs}
    ordered: dict[str, Wanted] = {}
    waiting = list(reversed(jobs))
    while waiting:
        wanted = waiting[-1]
        missing = [by_key[key] for key in wanted.needs if key in by_key and key not in ordered]
        if missing and wanted.key not in ordered:
            waiting.extend(missing)
        else:
            ordered.setdefault(wanted.key, waiting.pop())
    return list(ordered.values())


def _act(wanted: Wanted, known: Standing, files: Files, *, targets: set[str], options: Options) -> Action:
    job, found = wanted.job, known.submission
    action = Action(
        act=Act.SUBMIT,
        reason="new",
        id=job.id,
        manifest=job.manifest,
        kind=job.kind,
        provider=job.provider,
        operation=job.operation,
        paid=wanted.operation.paid,
        fingerprint=wanted.fingerprint,
        wanted=wanted,
        submission=found,
    )
    free = replace(action, paid=False)
    if found is not None and wanted.key in options.again and _may_be_replaced(known, found):
        return replace(action, over=found.id)
    match known.state:
        case JobState.PLANNED | JobState.REFUSED:
            return action
        case JobState.HELD if known.held is not None:
            return replace(free, act=Act.HOLD, reason=known.held.why)
        case JobState.FAILED:
            return replace(free, act=Act.FAILED, reason=_verdict(known))
        case JobState.ACCEPTED | JobState.INTENDED if found is not None:
            task = f" (task {found.task})" if found.task else ""
            return replace(free, act=Act.COLLECT, reason=f"bought {_day(found)}, at the provider{task}")
        case JobState.RENDERED:
            return replace(free, act=Act.DOWNLOAD, reason="rendered, not downloaded yet")
        case _ if found is not None:
            return _settle(wanted, free, found, known, files, targets=targets, options=options)
    raise AssertionError(known)


def _may_be_replaced(known: Standing, found: Submission) -> bool:
    """Return whether a person may have a job bought once more; what is under way is only waited for.

    What was itself bought by such a word has used it up until it ends, also where it is held: a command that was cut
    off is repeated, and must not buy a third.
    """
    return known.state in (JobState.SAVED, JobState.FAILED) or (
        known.state is JobState.HELD and not found.intended.get("over")
    )


def _settle(
    wanted: Wanted,
    action: Action,
    found: Submission,
    known: Standing,
    files: Files,
    *,
    targets: set[str],
    options: Options,
) -> Action:
    """Return what is to be done about a saved job's file."""
    keep = replace(action, act=Act.KEEP, reason=_kept(wanted, known))
    sha256 = found.sha256
    if wanted.output is None or sha256 is None:
        return keep
    here = files.at(wanted.output)
    if here.look is Look.OURS and here.sha256 == sha256:
        return keep
    if here.look is Look.CHANGED and files.placed.get(wanted.output) == sha256:
        return replace(keep, reason="changed on disk: it is left alone")
    if here.look is Look.ABSENT:
        for path, placed in files.placed.items():
            if placed == sha256 and path not in targets and _may_move(path, found, options):
                if files.at(path).look is not Look.OURS:
                    continue
                return replace(action, act=Act.RENAME, reason=f"moves from {path}", source=path)
    if options.only_new:
        return replace(keep, reason="saved before; not downloaded here (--only-new)")
    if files.cached(sha256):
        why = "its file is missing" if here.look is Look.ABSENT else "another version stands there"
        return replace(action, act=Act.RESTORE, reason=f"{why}; the cache has it")
    if _askable(found, wanted):
        return replace(action, act=Act.DOWNLOAD, reason="saved before, but its file is not on this machine")
    return replace(keep, reason="not on this machine, and the provider cannot be asked for it again")


def _may_move(path: str, found: Submission, options: Options) -> bool:
    """Return whether a file may be moved to where a job wants it: not where another manifest may want it to stay."""
    release = found.job.partition("/")[0]
    return release not in options.elsewhere and not any(path.startswith(f"renders/{r}/") for r in options.elsewhere)


def _askable(found: Submission, wanted: Wanted) -> bool:
    """Return whether the provider can be asked again for the link of a saved file."""
    same_place = wanted.origin is None or found.origin == wanted.origin
    return found.task is not None and wanted.operation.status is not None and same_place


def _kept(wanted: Wanted, known: Standing) -> str:
    if known.older_pack is not None:
        return f"made with pack {known.older_pack}, now {wanted.pack.revision}; --rerender to remake"
    return "done; it was bought under its old name" if known.renamed else "done"


def _verdict(known: Standing) -> str:
    error = known.error or {}
    if known.submission is not None and known.submission.state is State.CLOSED:
        return "closed by a person; renderer retry buys it again"
    code = f"{error['code']}: " if error.get("code") else ""
    return f"the provider failed it: {code}{error.get('message') or 'no reason given'}; renderer retry buys it again"


def _last_bought(history: History, jobs: Iterable[Wanted]) -> dict[str, Submission]:
    """Return what was bought last for each of ``jobs`` (by its key, or its former one), under whatever fingerprint."""
    keys = {key for wanted in jobs for key in (wanted.key, wanted.was)}
    last: dict[str, Submission] = {}
    if not keys:
        return last
    for row in history.rows():
        if row.job in keys and row.state not in (None, State.REFUSED, State.DOUBTFUL):
            submission = history.submissions[row.id]
            before = last.get(row.job)
            if before is None or submission.at > before.at:
                last[row.job] = submission
    return last


def _why_submit(wanted: Wanted, known: Standing, bought: Mapping[str, Submission]) -> str:
    if known.error is not None:
        code = f" {known.error['code']}" if known.error.get("code") else ""
        return f"not taken last time ({known.error.get('class')}{code}): {known.error.get('message', '')}"
    earlier = bought.get(wanted.key) or bought.get(wanted.was)
    if earlier is not None and earlier.fingerprint != wanted.fingerprint and counts(earlier, wanted.origin):
        return f"changed since it was bought {_day(earlier)}"
    return "new" if wanted.job.take == 1 else f"new: take {wanted.job.take}"


def _behind(wanted: Wanted, action: Action, actions: Mapping[str, Action]) -> Action:
    """Return ``wait`` where something that the job refers to is held, failed or waiting itself."""
    for key in wanted.needs:
        if (needed := actions.get(key)) is not None and needed.act in _STUCK:
            return replace(action, act=Act.WAIT, paid=False, reason=f"waits for {needed.id}, which is {needed.act}")
    return action


def _in_the_way(action: Action, files: Files) -> Problem | None:
    """Return the problem of an action whose target is a file that this project did not make."""
    wanted = action.wanted
    if wanted is None or wanted.output is None or action.act not in _NEEDS_TARGET:
        return None
    match files.at(wanted.output).look:
        case Look.FOREIGN:
            what = "a file stands there that this project did not make"
        case Look.CHANGED:
            what = "its file was changed on disk since it was saved"
        case _:
            return None
    message = f"{wanted.output} would be written, but {what}"
    return wanted.job.problem((), "output-in-the-way", message, hint="move it away, or give the job another output")


def _without_job(
    jobs: Sequence[Wanted],
    standings: Mapping[str, Standing],
    history: History,
    configured: Mapping[str, str | None],
) -> Iterable[Action]:
    """Yield an action for each purchase of these releases that no job shows."""
    shown = {known.submission.id for known in standings.values() if known.submission is not None}
    keys = {wanted.key for wanted in jobs} | {wanted.was for wanted in jobs}
    manifests = {wanted.job.release: wanted.job.manifest for wanted in jobs}
    origins = {**configured, **{wanted.job.provider: wanted.origin for wanted in jobs}}
    found = [
        history.submissions[row.id]
        for row in history.rows()
        if row.state in _PAID_FOR
        and row.id not in shown
        and row.job.partition("/")[0] in manifests
        and (row.state is not State.SAVED or row.job not in keys)
    ]
    for submission in sorted(found, key=lambda s: (s.at, s.id)):
        release, _, id_ = submission.job.partition("/")
        origin = origins.get(submission.provider)
        if not counts(submission, origin):
            continue
        if submission.state in (State.ACCEPTED, State.RENDERED) and origin not in (None, submission.origin):
            act, reason = Act.HOLD, f"no job shows it any more; bought at {submission.origin}, not at {origin}"
        elif submission.state in (State.ACCEPTED, State.RENDERED):
            act, reason = Act.COLLECT, f"bought {_day(submission)}; no job shows it any more: it goes into the cache"
        elif submission.state is State.DOUBTFUL:
            act, reason = (
                Act.HOLD,
                f"sent {_day(submission)}, whether it was bought is not known; no job shows it any more",
            )
        else:
            act, reason = Act.ORPHAN, f"bought {_day(submission)} for a job that is gone"
        yield Action(
            act=act,
            reason=reason,
            id=id_,
            manifest=manifests[release],
            kind=str(submission.intended.get("kind", "video")),
            provider=submission.provider,
            operation=str(submission.intended.get("operation", "")),
            fingerprint=submission.fingerprint,
            submission=submission,
        )


def _day(submission: Submission) -> str:
    when = str(submission.fact(Fact.ACCEPTED).get("at") or submission.at)
    return f"on {when[:10]}"
