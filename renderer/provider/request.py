"""Job x pack -> request, fingerprint, declared.

A job's values may still be open: a reference to what another job will produce, a local file that must be uploaded
first. So a request is built once, open, with those objects left where they stand, and closed as often as needed: for
its fingerprint, to be shown, and with real values to be sent. Everything is pure; requests carry no origin and no
credential (``run/transport`` adds them).
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import quote

from renderer.canonical import Json, digest
from renderer.errors import InvalidError, Problem
from renderer.manifest.job import Job, Path, Ref, Upload, leaves, plain
from renderer.manifest.levels import without
from renderer.manifest.position import spell
from renderer.manifest.template import TemplateError
from renderer.provider.pack import Listing, Operation, Pack, Query
from renderer.provider.reading import word
from renderer.provider.wire import Request

Open: TypeAlias = Any
"""JSON in which a :class:`Ref` or an :class:`Upload` may stand for a value."""

Close: TypeAlias = Callable[[Ref | Upload], Json]

LARGEST = 2**53 - 1
"""RFC 8785 keeps integers exactly up to here."""

_SLOT = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request in which values are still open. ``path`` is in parts: text is percent-encoded, objects stand alone."""

    method: str
    path: tuple[str | Ref | Upload, ...]
    query: Mapping[str, str | Ref | Upload]
    json: Open


class Identity(NamedTuple):
    """A job's open request and the two digests by which what was bought for it is found again (DESIGN 1)."""

    request: OpenRequest
    fingerprint: str
    declared: str


def build(job: Job, pack: Pack) -> OpenRequest:
    """Return the request that makes a job.

    Raises :class:`InvalidError`, with places, for values that a request cannot hold or the pack's template refuses.
    """
    if problems := [_problem(job, path, "number", why) for path, why in unfit(job)]:
        raise InvalidError(problems)
    operation = pack.operations[job.operation]
    if operation.submit is None:
        return OpenRequest("", (), {}, dict(job.values))
    submit = operation.submit
    try:
        body = None if submit.json is None else submit.json.render(job.values)
        query = {} if submit.query is None else submit.query.render(job.values)
        path = _path(submit.path, job.values)
    except (TemplateError, ValueError) as error:
        raise InvalidError([_problem(job, (), "template", f"no request can be made of `{job.id}`: {error}")]) from None
    request = OpenRequest("POST", path, {name: _flat(value) for name, value in query.items()}, body)
    if given := [(path, value) for path, value in leaves(job.values) if _is_open(value)]:
        # A template that forgets a reference would drop it silently, and buy something else.
        sent: Open = {"path": list(request.path), "query": query, "json": body}
        used = {value for _, value in leaves(sent) if _is_open(value)}
        lost = [path for path, value in given if value not in used]
        if lost:
            raise InvalidError([_problem(job, p, "unused", f"`{p[-1]}` takes no such value here") for p in lost])
    return request


def unfit(job: Job) -> Iterator[tuple[Path, str]]:
    """Yield each value that a request cannot hold exactly, with why."""
    for path, value in leaves(job.values):
        if why := _unfit(value):
            yield path, why


def substitute(request: OpenRequest, close: Close) -> Request:
    """Return a request with every open value replaced by what ``close`` gives for it.

    In the path a value is percent-encoded; one that is still a map, as :func:`shown` gives, stands there in braces.
    """
    return Request(
        request.method,
        "".join(part if isinstance(part, str) else _placed(close(part), encode=True) for part in request.path),
        {
            name: value if isinstance(value, str) else _placed(close(value), encode=False)
            for name, value in request.query.items()
        },
        _closed(request.json, close),
    )


def shown(request: OpenRequest) -> Request:
    """Return a request as a plan shows it: ``{"ref": "host.avatar"}``, ``{"upload": "media/host.mp4"}``."""
    return substitute(request, plain)


def fingerprint(request: OpenRequest, operation: Operation, *, take: int, known: Mapping[str, str]) -> str:
    """Return the fingerprint (DESIGN 1); ``known`` holds the fingerprints of the jobs that it refers to, by id."""
    close = _identified(known)
    path: Json = (
        "".join(str(part) for part in request.path)
        if all(isinstance(part, str) for part in request.path)
        else [part if isinstance(part, str) else close(part) for part in request.path]
    )
    tree: dict[str, Any] = {
        "query": {name: value if isinstance(value, str) else close(value) for name, value in request.query.items()},
        "json": _closed(request.json, close),
    }
    for place in operation.volatile:
        tree = _without(tree, place)
    return digest(
        {
            "provider": operation.provider,
            "operation": operation.name,
            "method": request.method,
            "path": path,
            "take": take,
            **tree,
        }
    )


def declared(job: Job, pack: Pack, *, known: Mapping[str, str]) -> str:
    """Return the digest of the expanded job itself; ``known`` holds those of the jobs that it refers to, by id.

    The address of a callback does not count, as in the fingerprint: whoever changes it, and takes a new pack later,
    has the same video still. All else is independent of the pack.
    """
    values = _closed(dict(job.values), _identified(known))
    if pack.webhook is not None and pack.webhook.field:
        values = without(values, tuple(pack.webhook.field.split(".")))
    return digest({"provider": job.provider, "operation": job.operation, "values": values, "take": job.take})


def unbuildable(jobs: Iterable[Job], packs: Mapping[str, Pack]) -> list[Problem]:
    """Return why no request can be made of jobs; where their references lead does not matter here."""
    problems: list[Problem] = []
    for job in jobs:
        try:
            build(job, packs[job.provider])
        except InvalidError as error:
            problems.extend(error.problems)
    return problems


def fingerprints(jobs: Iterable[Job], packs: Mapping[str, Pack]) -> dict[str, Identity]:
    """Return request, fingerprint and declared of every job by its key, in the order of the jobs.

    Raises :class:`InvalidError` with every problem of every job; references that lead nowhere or in a circle too.
    """
    by_key = {job.key: job for job in jobs}
    refs = {key: list(job.refs()) for key, job in by_key.items()}
    done: dict[str, Identity] = {}
    tried: set[str] = set()
    problems: list[Problem] = []
    for key in _references_first(by_key, refs):
        job = by_key[key]
        tried.add(key)
        for path, ref in refs[key]:
            if _key(job, ref) not in tried:
                message = f"`{ref.job}.{ref.field}` leads nowhere or in a circle"
                problems.append(_problem(job, path, "reference", message))
        try:
            request = build(job, packs[job.provider])
        except InvalidError as error:
            problems.extend(error.problems)
            continue
        needs = {ref.job: done.get(_key(job, ref)) for _, ref in refs[key]}
        known = {name: identity for name, identity in needs.items() if identity is not None}
        if len(known) == len(needs):
            operation = packs[job.provider].operations[job.operation]
            prints = {name: identity.fingerprint for name, identity in known.items()}
            declarations = {name: identity.declared for name, identity in known.items()}
            done[key] = Identity(
                request,
                fingerprint(request, operation, take=job.take, known=prints),
                declared(job, packs[job.provider], known=declarations),
            )
    if problems:
        raise InvalidError(sorted(problems))
    return {key: done[key] for key in by_key}


def _references_first(jobs: Mapping[str, Job], refs: Mapping[str, list[tuple[Path, Ref]]]) -> Iterator[str]:
    """Yield each key once, after those that its job refers to; without recursion, and through circles too."""
    entered: set[str] = set()
    left: set[str] = set()
    for first in jobs:
        stack = [first]
        while stack:
            key = stack[-1]
            ahead = [] if key in entered else [_key(jobs[key], ref) for _, ref in refs[key]]
            entered.add(key)
            ahead = [need for need in ahead if need in jobs and need not in entered]
            if ahead:
                stack.extend(ahead)
                continue
            stack.pop()
            if key not in left:
                left.add(key)
                yield key


def _key(job: Job, ref: Ref) -> str:
    return f"{job.release}/{ref.job}"


def marks(request: Request, operation: Operation) -> dict[str, str]:
    """Return by what a lookup would recognise this purchase; empty where the operation has no lookup."""
    if operation.lookup is None:
        return {}
    tree = {"path": request.path, "query": dict(request.query), "json": request.json}
    return {name: word(mark.sent.find(tree)) for name, mark in operation.lookup.marks.items()}


def marks_hash(found: Mapping[str, str]) -> str:
    """Return the hash of marks that a record may hold; "" for none."""
    return digest(dict(found)) if found else ""


def status_request(operation: Operation, task: str) -> Request:
    """Return the free call that asks for a task. Raises ``ValueError`` where the operation has none."""
    if operation.status is None:
        raise ValueError(f"{operation.name} has no status call")
    return _get(operation.status.path, operation.status.query, {"task": task})


def content_request(operation: Operation, task: str) -> Request | None:
    """Return the call that has the file where a status gives no link, or None where there is no such call."""
    return None if operation.otherwise is None else _get(operation.otherwise, {}, {"task": task})


def lookup_request(operation: Operation, *, page: int = 0) -> Request:
    """Return the call for one page (from 0) of the list in which a purchase can be found."""
    if operation.lookup is None:
        raise ValueError(f"{operation.name} has no lookup")
    return _get(operation.lookup.path, operation.lookup.query, _paged(page, operation.lookup.size))


def list_request(listing: Listing, *, chosen: Mapping[str, str] | None = None, page: int = 0) -> Request:
    """Return the call for one page (from 0) of a list; ``chosen`` holds a word per choice, else the first counts.

    Raises ``ValueError`` for a word that the list does not have.
    """
    values = _paged(page, listing.size)
    for name, words in listing.choices.items():
        picked = (chosen or {}).get(name, next(iter(words)))
        if picked not in words:
            raise ValueError(f"{name} is one of {', '.join(words)}, not {picked}")
        values[name] = words[picked]
    return _get(listing.path, listing.query, values)


def check_request(pack: Pack) -> Request | None:
    """Return a free call that proves the credential, or None where there is none."""
    return None if pack.check is None else _get(pack.check.path, pack.check.query, {})


def upload_request(pack: Pack, extension: str) -> Request:
    """Return the call that asks where to put a file; ``extension`` is without the dot, in lower case.

    Raises ``ValueError`` where the provider takes no files.
    """
    if pack.upload is None:
        raise ValueError(f"{pack.provider} takes no files")
    body = None if pack.upload.json is None else pack.upload.json.render({"extension": extension})
    return Request("POST", pack.upload.path, {}, body)


def _get(path: str, query: Query, values: Mapping[str, str]) -> Request:
    parts = _path(path, values)
    filled = {name: _SLOT.sub(lambda slot: values[slot[1]], text) for name, text in query.items()}
    return Request("GET", "".join(str(part) for part in parts), filled)


def _paged(page: int, size: int) -> dict[str, str]:
    return {"page": str(page + 1), "offset": str(page * size)}


def _path(path: str, values: Mapping[str, Any]) -> tuple[str | Ref | Upload, ...]:
    """Return a path in parts, with values in the places of their names."""
    parts: list[str | Ref | Upload] = []
    for index, piece in enumerate(_SLOT.split(path)):
        if index % 2 == 0:
            parts.append(piece)
            continue
        value = values.get(piece)
        if value is None:
            raise ValueError(f"`{piece}` is missing")
        parts.append(value if isinstance(value, Ref | Upload) else _segment(value, piece))
    return tuple(part for part in parts if part != "")


def _is_open(value: object) -> bool:
    return isinstance(value, Ref | Upload)


def _segment(value: Any, name: str) -> str:
    text = word(value)
    if text in ("", ".", ".."):
        raise ValueError(f"`{name}` cannot stand in a path: {plain(value)!r}")
    return quote(text, safe="")


def _flat(value: Any) -> str | Ref | Upload:
    """Return a value as a query has it."""
    if isinstance(value, Ref | Upload):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return word(value)


def _placed(value: Json, *, encode: bool) -> str:
    if isinstance(value, Mapping):
        return f"{{{next(iter(value.values()))}}}"
    text = word(value)
    if encode and text in ("", ".", ".."):
        raise ValueError("an empty value cannot stand in a path")
    return quote(text, safe="") if encode else text


def _closed(tree: Open, close: Close) -> Any:
    match tree:
        case Ref() | Upload():
            return close(tree)
        case Mapping():
            return {name: _closed(child, close) for name, child in tree.items()}
        case list() | tuple():
            return [_closed(child, close) for child in tree]
        case _:
            return tree


def _identified(known: Mapping[str, str]) -> Close:
    """Return what stands for an open value in a digest: content, or another digest and a field."""

    def close(value: Ref | Upload) -> Json:
        return value.sha256 if isinstance(value, Upload) else [known[value.job], value.field]

    return close


def _without(tree: dict[str, Any], place: tuple[str, ...]) -> dict[str, Any]:
    """Return a tree without the value at ``place``; the tree itself stays as it is."""
    name, *rest = place
    if name not in tree:
        return tree
    if not rest:
        return {key: child for key, child in tree.items() if key != name}
    child = tree[name]
    return {**tree, name: _without(child, tuple(rest))} if isinstance(child, dict) else tree


def _unfit(value: object) -> str:
    """Return why a request cannot hold a value exactly, or ""."""
    match value:
        case bool():
            return ""
        case int() if abs(value) > LARGEST:
            return f"{str(value)[:40]} is beyond 2^53 and could not be sent exactly"
        case float() if not math.isfinite(value):
            return f"{value} is not a number that a request can hold"
        case str() if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            return "the text holds half a character (a lone surrogate)"
        case _:
            return ""


def _problem(job: Job, path: Path, code: str, message: str) -> Problem:
    mark = job.mark(*path)
    return Problem(job.manifest, mark.line, mark.column, spell((f"{job.kind}s", job.id, *path)), code, message)
