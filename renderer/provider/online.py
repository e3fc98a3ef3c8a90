"""What only providers can tell of jobs before they are bought: which questions there are, and what answers mean.

Packs say what can be asked for nothing: whether a credential is good, lists that prove a field's ids, tasks that a
status call must know, addresses that must be reachable. From jobs follow questions, each distinct value once however
many jobs have it; from answers follow problems at the places of those jobs. What a provider denies is an error, what
could not be asked is a warning that says so. Sending is ``run/proving``'s business.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import unquote

from renderer.errors import Problem, Severity
from renderer.manifest.job import Job, Path
from renderer.manifest.spelling import suggest
from renderer.provider.outcome import Denied, Failed, Gone, StatusOutcome, Unclear
from renderer.provider.pack import Listing, Operation, Pack
from renderer.provider.reading import word

Places: TypeAlias = tuple[tuple[Job, Path], ...]
"""Where a value stands: jobs, with the path inside each."""

_URLS = ("http://", "https://")
_ABSENT = frozenset({401, 403, 404, 410})
"""HTTP statuses by which a server says that an address gives nothing to whoever has no credential."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Ids of one field, by id, each of which must stand in one of the ``listings``."""

    field: tuple[str, ...]
    ids: Mapping[str, Places]
    listings: tuple[Listing, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A task that the operation's status call must know."""

    operation: Operation
    field: str
    task: str
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachable:
    """An address that must give something to whoever asks."""

    field: str
    url: str
    places: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """Everything that is to be asked about one provider; ``first`` is the job at which its credential is spoken of."""

    pack: Pack
    first: Job
    listed: tuple[Listed, ...] = ()
    known: tuple[Known, ...] = ()
    reachable: tuple[Reachable, ...] = field(default=())

    @property
    def needs_key(self) -> bool:
        """Whether the provider itself is asked, and not only addresses."""
        return bool(self.pack.check or self.listed or self.known)


def inquiries(jobs: Sequence[Job], packs: Mapping[str, Pack]) -> list[Inquiry]:
    """Return what can be asked about checked jobs, one inquiry for each provider of which something can be asked."""
    by_provider: dict[str, list[Job]] = {}
    for job in jobs:
        by_provider.setdefault(job.provider, []).append(job)
    found = [_inquiry(own, packs[provider]) for provider, own in sorted(by_provider.items())]
    return [inquiry for inquiry in found if inquiry.needs_key or inquiry.reachable]


def choices(listing: Listing) -> Iterator[dict[str, str]]:
    """Yield each way in which a list can be asked for: a word for every choice that it has."""
    for words in itertools.product(*listing.choices.values()):
        yield dict(zip(listing.choices, words, strict=True))


def proven(listed: Listed, listing: Listing, rows: Sequence[Mapping[str, str]]) -> set[str]:
    """Return the ids that rows of a list show to exist."""
    return {row[listing.proves[listed.field]] for row in rows} & listed.ids.keys()


def on_credential(inquiry: Inquiry, outcome: Denied | Unclear | None) -> list[Problem]:
    """Return what the answer to a pack's check means."""
    pack, job = inquiry.pack, inquiry.first
    variable = pack.key.variable if pack.key is not None else "its credential"
    match outcome:
        case None:
            return []
        case Denied(fault=fault):
            message = f"{pack.provider} does not take the credential in {variable}: {fault.message or fault.code}"
            return [job.problem((), "credential", message, hint=fault.remedy)]
        case Unclear(why=why):
            return _unasked(((job, ()),), f"whether {pack.provider} takes the credential in {variable}", why)


def on_list(
    inquiry: Inquiry, listed: Listed, rows: Mapping[str, Sequence[Mapping[str, str]]], why: str
) -> Iterator[Problem]:
    """Yield what lists mean, given as rows by the list's name; ``why`` says why some could not be read to their end."""
    provider, what = inquiry.pack.provider, listed.field[0]
    found = [(listing, row) for listing in listed.listings for row in rows.get(listing.name, ())]
    known = {row[listing.proves[listed.field]] for listing, row in found}
    for value, places in listed.ids.items():
        if value in known:
            continue
        if why:
            yield from _unasked(places, f"whether {provider} has the {what} `{value}`", why)
            continue
        # People write the name that they see; the id stands beside it.
        names = {
            name.casefold(): row[listing.proves[listed.field]]
            for listing, row in found
            for name in row.values()
            if name
        }
        flags = " ".join(f"--{listing.name}" for listing in listed.listings)
        listing_hint = f"see: renderer providers show {provider} {flags}"
        near = names.get(value.casefold())
        hint = f"did you mean `{near}`?" if near is not None else suggest(value, known) or listing_hint
        yield from _at(places, "unknown-id", f"{provider} has no {what} `{value}`", hint)


def on_task(inquiry: Inquiry, known: Known, outcome: StatusOutcome | str) -> list[Problem]:
    """Return what the answer about a task means; a text says why there is none."""
    provider = inquiry.pack.provider
    match outcome:
        case Gone():
            message = f"{provider} does not know the task `{known.task}`"
            return _at(known.places, "unknown-id", message, "check the id, and whose account it is of")
        case Failed():
            message = f"the task `{known.task}` has failed at {provider}"
            return _at(known.places, "task", message, "", severity="warning")
        case Denied(fault=fault):
            return _unasked(known.places, f"whether {provider} knows the task `{known.task}`", fault.message)
        case Unclear(why=why) | str(why):
            return _unasked(known.places, f"whether {provider} knows the task `{known.task}`", why)
        case _:
            return []


def on_address(asked: Reachable, outcome: int | str, *, shown: str) -> list[Problem]:
    """Return what an HTTP status means, or a text that says why there is none; ``shown`` is the address for people."""
    match outcome:
        case int() if 200 <= outcome < 300:  # noqa: PLR2004 (RFC 9110: 2xx)
            return []
        case int() if outcome in _ABSENT:
            message = f"the {asked.field} cannot be reached: {shown} answers HTTP {outcome}"
            return _at(asked.places, "unreachable", message, "it must be readable without a credential")
        case int():
            return _unasked(
                asked.places, f"whether the {asked.field} can be reached", f"{shown} answers HTTP {outcome}"
            )
        case why:
            return _unasked(asked.places, f"whether the {asked.field} can be reached", why)


def _inquiry(jobs: Sequence[Job], pack: Pack) -> Inquiry:
    if pack.embedded:
        return Inquiry(pack=pack, first=jobs[0])
    lists: dict[tuple[str, ...], list[Listing]] = {}
    for listing in pack.lists.values():
        for path in listing.proves:
            lists.setdefault(path, []).append(listing)
    ids: dict[tuple[str, ...], dict[str, list[tuple[Job, Path]]]] = {}
    tasks: dict[tuple[str, str, str], list[tuple[Job, Path]]] = {}
    addresses: dict[tuple[str, str], list[tuple[Job, Path]]] = {}
    for job in jobs:
        operation = pack.operations[job.operation]
        for path in lists:
            if (value := _id(job, path)) is not None:
                ids.setdefault(path, {}).setdefault(value, []).append((job, path))
        for name in operation.tasks:
            if (value := _id(job, (name,))) is not None:
                tasks.setdefault((operation.name, name, value), []).append((job, (name,)))
        for name, behind in operation.reaches.items():
            if isinstance(url := job.values.get(name), str):
                inner = found[1] if (found := behind.search(url)) is not None else ""
                # An address inside another may be percent-encoded or not; one that is not is taken byte for byte.
                inner = inner if inner.startswith(_URLS) else unquote(inner)
                addresses.setdefault((name, inner if inner.startswith(_URLS) else url), []).append((job, (name,)))
    return Inquiry(
        pack=pack,
        first=jobs[0],
        listed=tuple(
            Listed(
                field=path,
                ids={value: tuple(places) for value, places in values.items()},
                listings=tuple(lists[path]),
            )
            for path, values in ids.items()
        ),
        known=tuple(
            Known(operation=pack.operations[operation], field=name, task=task, places=tuple(places))
            for (operation, name, task), places in tasks.items()
        ),
        reachable=tuple(
            Reachable(field=name, url=url, places=tuple(places)) for (name, url), places in addresses.items()
        ),
    )


def _id(job: Job, path: tuple[str, ...]) -> str | None:
    """Return the id at a path of a job, or None where there is none, or something else: a URL, a file, a reference."""
    value: Any = job.values
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    text = word(value)
    return None if not text or text.casefold().startswith(_URLS) else text


def _at(places: Places, code: str, message: str, hint: str, *, severity: Severity = "error") -> list[Problem]:
    """Return one problem for each place in the files, however many jobs it makes."""
    found: dict[tuple[str, int, int], Problem] = {}
    for job, path in places:
        problem = job.problem(path, code, message, hint=hint, severity=severity)
        found.setdefault((problem.file, problem.line, problem.column), problem)
    return list(found.values())


def _unasked(places: Places, what: str, why: str) -> list[Problem]:
    return _at(places, "unasked", f"{what} could not be asked: {why}", "try again later", severity="warning")
