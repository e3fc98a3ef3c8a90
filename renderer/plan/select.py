"""One grammar for choosing jobs, the same for every command.

A selector is an id (``launch``), a glob (``launch-*``), an id with its release (``spring/launch``, globs allowed in
both halves), ``tag:x``, ``provider:y`` or ``state:failed`` (a state of DESIGN 5). Several are a union; what is
excluded is taken out of it. A selector that matches nothing is an error, and so is a plain id that two manifests
share. Jobs that a chosen one refers to come along unless they are saved already.
"""

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from renderer.errors import UsageError
from renderer.plan.standing import JobState, Standing, Wanted

_WILD = frozenset("*?[")


def choose(
    jobs: Sequence[Wanted],
    standings: Mapping[str, Standing],
    *,
    select: Iterable[str] = (),
    exclude: Iterable[str] = (),
) -> list[Wanted]:
    """Return the chosen jobs in their order. Raises :class:`UsageError`."""
    select = tuple(select)
    chosen = named(select, jobs, standings) if select else {wanted.key for wanted in jobs}
    chosen -= named(exclude, jobs, standings)
    if not select:
        return [wanted for wanted in jobs if wanted.key in chosen]
    by_key = {wanted.key: wanted for wanted in jobs}
    waiting = list(chosen)
    while waiting:
        for need in by_key[waiting.pop()].needs:
            if need in by_key and need not in chosen and standings[need].state is not JobState.SAVED:
                chosen.add(need)
                waiting.append(need)
    return [wanted for wanted in jobs if wanted.key in chosen]


def named(selectors: Iterable[str], jobs: Sequence[Wanted], standings: Mapping[str, Standing]) -> set[str]:
    """Return the keys of the jobs that selectors name. Raises :class:`UsageError`."""
    return {key for selector in selectors for key in _matches(selector, jobs, standings)}


def _matches(selector: str, jobs: Sequence[Wanted], standings: Mapping[str, Standing]) -> set[str]:
    kind, colon, word = selector.partition(":")
    match kind if colon else "":
        case "tag":
            found = {wanted.key for wanted in jobs if any(fnmatchcase(tag, word) for tag in wanted.job.tags)}
        case "provider":
            found = {wanted.key for wanted in jobs if fnmatchcase(wanted.job.provider, word)}
        case "state":
            if word not in set(JobState):
                raise UsageError(f"{selector!r}: there is no such state", hint=f"states are {', '.join(JobState)}")
            found = {wanted.key for wanted in jobs if standings[wanted.key].state == word}
        case "":
            found = _named(selector, jobs)
        case _:
            raise UsageError(
                f"{selector!r} is not a selector",
                hint="write an id, a glob, release/id, tag:x, provider:y or state:z",
            )
    if not found:
        raise UsageError(f"nothing matches {selector!r}", hint="renderer status lists the jobs and their states")
    return found


def _named(selector: str, jobs: Sequence[Wanted]) -> set[str]:
    if "/" in selector:
        return {wanted.key for wanted in jobs if fnmatchcase(wanted.key, selector)}
    found = {wanted.key for wanted in jobs if fnmatchcase(wanted.job.id, selector)}
    if len(found) > 1 and not _WILD & set(selector):
        raise UsageError(f"{selector!r} is a job of several manifests", hint=f"write {' or '.join(sorted(found))}")
    return found
