"""A provider's answer -> what it means, through the pack's expressions.

DESIGN 4's table stands here: what an answer to a buying call proves about money. The rule behind it: *refused* only
where the provider says so in a way that is documented or unmistakable, *accepted* as soon as there is a task, and
otherwise the answer is unclear, which after a buying call is a doubt. Nothing here acts, waits or remembers, and no
answer, however broken, raises.

``now`` is wall-clock time in seconds since the epoch; it is needed only for a ``Retry-After`` that is a date.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from renderer.provider.expression import Expression
from renderer.provider.outcome import (
    Accepted,
    Candidate,
    Denied,
    ErrorClass,
    Failed,
    Fault,
    Gone,
    Made,
    NeedsPerson,
    Refused,
    Rendered,
    Running,
    StatusOutcome,
    SubmitOutcome,
    Ticket,
    Unclear,
)
from renderer.provider.pack import ErrorPlaces, ErrorRule, Listing, Operation, Pack, Phase, StateWord, Status, Submit
from renderer.provider.reading import clean, number, phrase, read_json, retry_after, word
from renderer.provider.wire import Reply, Request

_DOUBTFUL_4XX = frozenset({408, 409, 425})
_TASK = re.compile(r"[^\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]{1,300}")
_URL = re.compile(r"https?://[^\x00-\x20\x7f]+")
_MILLISECONDS = 1e11


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What can be seen in any answer. ``failed``: it is a 2xx whose code says that it is an error."""

    status: int
    data: Any
    readable: bool
    code: str
    message: str
    request_id: str
    failed: bool
    retry_after: float | None

    @property
    def fine(self) -> bool:
        return 200 <= self.status < 300  # noqa: PLR2004 (RFC 9110: 2xx)

    @property
    def refusing(self) -> bool:
        """Whether this status says that nothing was done: a 4xx that is not about time or order."""
        return 400 <= self.status < 500 and self.status not in _DOUBTFUL_4XX  # noqa: PLR2004 (RFC 9110: 4xx)

    @property
    def why(self) -> str:
        """The answer in one sentence."""
        if self.fine and not self.readable:
            return f"the provider answered HTTP {self.status} with something that is not JSON"
        said = f": {self.message}" if self.message else ""
        code = f" with code {self.code}" if self.code and self.code != str(self.status) else ""
        return f"the provider answered HTTP {self.status}{code}{said}"


def read_submit(pack: Pack, operation: Operation, reply: Reply, *, sent: Request, now: float) -> SubmitOutcome:
    """Return what the answer to a buying call means (DESIGN 4's table). ``sent`` is the request as it was sent."""
    submit = operation.submit
    if submit is None:
        raise ValueError(f"{operation.name} is not bought by a call")
    seen = _see(reply, pack.error, now)
    if operation.keyed is not None:
        return _read_keyed(pack, operation, submit, seen)
    if seen.fine and seen.readable:
        if submit.task is not None and (task := _task(submit.task, seen.data)) is not None:
            # Also where a code beside it says failed: then the status will say so, and nothing is lost meanwhile.
            return Accepted(task)
        if not seen.failed:
            if submit.task is not None:
                return Unclear("the provider's answer has no task id that can be used")
            return _made(operation, submit, seen, sent)
    kind = _kind(pack, seen)
    if seen.failed or seen.refusing or (kind is ErrorClass.BUSY and seen.status not in _DOUBTFUL_4XX):
        # Nothing was bought, so nothing has failed yet: what would be a verdict on a task is a fault of the input.
        kind = ErrorClass.INPUT if kind in (None, ErrorClass.FAILED) else kind
        return Refused(_fault(pack, seen, kind), seen.retry_after)
    return Unclear(seen.why, seen.retry_after)


def read_status(pack: Pack, operation: Operation, reply: Reply, *, now: float) -> StatusOutcome:
    """Return what the answer to a status call means."""
    status = operation.status
    if status is None:
        raise ValueError(f"{operation.name} has no status call")
    seen = _see(reply, pack.error, now)
    if seen.fine and seen.readable:
        inner = seen.data
        if status.within is not None and isinstance(inner, Mapping) and status.within in inner:
            inner = inner[status.within]
            if inner is None:
                return Gone(_fault(pack, replace(seen, status=404), ErrorClass.MISSING))
        state = word(status.state.find(inner))
        if (known := _known(status.states, state)) is not None:
            return _phase(pack, operation, status, known, state=state, inner=inner, seen=seen)
        if not seen.failed:
            if state:
                return Running(state, number(status.progress, inner, most=100.0), False, seen.retry_after)
            return Unclear("the provider's answer says nothing about the task's state", seen.retry_after)
    return _trouble(pack, seen)


def read_lookup(pack: Pack, operation: Operation, reply: Reply, *, now: float) -> list[Candidate] | Denied | Unclear:
    """Return what one page of the provider's own list shows, in its order."""
    lookup = operation.lookup
    if lookup is None:
        raise ValueError(f"{operation.name} has no lookup")
    seen = _see(reply, pack.error, now)
    items = lookup.items.find(seen.data) if seen.fine and not seen.failed else None
    if not isinstance(items, list):
        return _no_list(pack, seen)
    return [
        Candidate(
            task=task,
            marks={name: word(mark.listed.find(item)) for name, mark in lookup.marks.items()},
            at=_instant(lookup.at.find(item)),
            title="" if lookup.title is None else clean(word(lookup.title.find(item))),
        )
        for item in items
        if (task := _task(lookup.task, item)) is not None
    ]


def read_ticket(pack: Pack, reply: Reply, *, now: float) -> Ticket | Refused | Unclear:
    """Return where the bytes of a local file are to be put."""
    upload = pack.upload
    if upload is None:
        raise ValueError(f"{pack.provider} takes no files")
    seen = _see(reply, pack.error, now)
    kind = _kind(pack, seen)
    if seen.fine and seen.readable and not seen.failed:
        url, file_id = upload.url.find(seen.data), word(upload.file_id.find(seen.data))
        if isinstance(url, str) and _URL.fullmatch(url) and file_id:
            given = "" if upload.content_type is None else word(upload.content_type.find(seen.data))
            return Ticket(url, given or "application/octet-stream", file_id)
        return Unclear("the provider's answer names no address for the file", seen.retry_after)
    if seen.failed or seen.refusing or kind is ErrorClass.BUSY:
        return Refused(_fault(pack, seen, kind or ErrorClass.INPUT), seen.retry_after)
    return Unclear(seen.why, seen.retry_after)


def read_list(pack: Pack, listing: Listing, reply: Reply, *, now: float) -> list[dict[str, str]] | Denied | Unclear:
    """Return the rows of one page of a list, by column; what an entry does not have is an empty string."""
    seen = _see(reply, pack.error, now)
    items = listing.items.find(seen.data) if seen.fine and not seen.failed else None
    if not isinstance(items, list):
        return _no_list(pack, seen)
    return [{name: phrase(column.find(item)) for name, column in listing.columns.items()} for item in items]


def read_check(pack: Pack, reply: Reply, *, now: float) -> Denied | Unclear | None:
    """Return why a credential is not proven, or None where it is."""
    seen = _see(reply, pack.error, now)
    if (seen.fine and seen.readable and not seen.failed) or (pack.check and seen.status in pack.check.proven):
        return None
    return _no_list(pack, seen)


def _see(reply: Reply, places: ErrorPlaces, now: float) -> _Seen:
    try:
        data, readable = read_json(reply.body), True
    except ValueError:
        data, readable = None, False
    code, message, request_id = _said(places, data)
    fine = 200 <= reply.status < 300  # noqa: PLR2004 (RFC 9110: 2xx)
    if not message and not fine and not readable and not reply.body.lstrip().startswith(b"<"):
        message = clean(reply.body[:2000].decode(errors="replace"))
    return _Seen(
        status=reply.status,
        data=data,
        readable=readable,
        code=code,
        message=message,
        request_id=request_id or clean(reply.headers.get("x-request-id", "")),
        failed=fine and bool(places.ok) and bool(code),
        retry_after=retry_after(reply.headers.get("retry-after"), now),
    )


def _said(places: ErrorPlaces, data: Any) -> tuple[str, str, str]:
    """Return error code, message and request id as an answer gives them, each "" where it does not."""
    found = (None if place is None else place.find(data) for place in (places.code, places.message, places.request_id))
    code, message, request_id = found
    said = clean(word(code))
    return "" if said in places.ok else said, phrase(message), clean(word(request_id))


def _rule(pack: Pack, status: int, code: str) -> ErrorRule | None:
    """Return the rule for an error: one that names its code comes before one that names only its status."""
    fitting = [
        rule
        for rule in pack.errors
        if (not rule.statuses or status in rule.statuses) and (not rule.codes or code in rule.codes)
    ]
    return next((rule for rule in fitting if rule.codes), fitting[0] if fitting else None)


def _kind(pack: Pack, seen: _Seen) -> ErrorClass | None:
    """Return the class of an error: the pack's word, else what the HTTP status means to everyone, else None."""
    if (rule := _rule(pack, seen.status, seen.code)) is not None:
        return rule.kind
    match seen.status:
        case 401:
            return ErrorClass.AUTH
        case 402:
            return ErrorClass.CREDITS
        case 404 | 410:
            return ErrorClass.MISSING
        case 429:
            return ErrorClass.BUSY
        case _:
            return None


def _fault(pack: Pack, seen: _Seen, kind: ErrorClass) -> Fault:
    rule = _rule(pack, seen.status, seen.code)
    return Fault(
        kind=kind,
        code=seen.code or ("" if seen.fine else str(seen.status)),
        message=seen.message,
        remedy=rule.remedy if rule is not None else "",
        request_id=seen.request_id,
    )


def _read_keyed(pack: Pack, operation: Operation, submit: Submit, seen: _Seen) -> SubmitOutcome:
    """Return what the answer to a call means that is also its own poll: whatever is no verdict means "call again"."""
    if seen.fine:
        if (link := _link(submit.link, seen.data)) is not None:
            state = _found_word(submit.state, seen.data)
            produced = _produced(operation, submit.produced, seen.data, link)
            return Rendered(state, produced, link, number(submit.duration, seen.data))
        if not seen.failed:
            state = _found_word(submit.state, seen.data)
            return Running(
                state or "processing", number(submit.progress, seen.data, most=100.0), seen.readable, seen.retry_after
            )
    kind = _kind(pack, seen)
    if kind is None and (seen.failed or seen.refusing):
        kind = ErrorClass.INPUT
    match kind:
        case ErrorClass.FAILED:
            return Failed(_fault(pack, seen, kind))
        case ErrorClass.INPUT | ErrorClass.MISSING | ErrorClass.AUTH | ErrorClass.CREDITS:
            return Refused(_fault(pack, seen, kind))
        case _:
            return Running(seen.code or f"HTTP {seen.status}", None, kind is ErrorClass.BUSY, seen.retry_after)


def _made(operation: Operation, submit: Submit, seen: _Seen, sent: Request) -> Made | Unclear:
    """Return what a call produced that makes its result at once."""
    request = {"path": sent.path, "query": dict(sent.query), "json": sent.json}
    echo = {name: word(place.find(request)) for name, place in submit.echo.items()}
    answered = {name: word(place.find(seen.data)) for name, place in submit.produced.items()}
    produced = {name: value for name, value in {**echo, **answered}.items() if value}
    missing = [name for name in operation.produces if name not in produced]
    if missing:
        return Unclear(f"the provider's answer has no {missing[0]}")
    return Made(produced)


def _phase(
    pack: Pack, operation: Operation, status: Status, known: StateWord, *, state: str, inner: Any, seen: _Seen
) -> StatusOutcome:
    """Return what a listed state means."""
    progress = number(status.progress, inner, most=100.0)
    link = _link(status.link, inner)
    match known.phase:
        case Phase.FAILED:
            return Failed(_verdict(pack, status, inner, seen), state)
        case Phase.PERSON:
            return NeedsPerson(state, known.remedy)
        case Phase.DONE:
            produced = _produced(operation, status.produced, inner, link)
            if operation.makes == "value":
                complete = operation.produces[0] in produced
            else:
                complete = link is not None or operation.otherwise is not None
            if complete:
                return Rendered(state, produced, link, number(status.duration, inner))
        case Phase.UNKNOWN if link is not None:
            produced = _produced(operation, status.produced, inner, link)
            return Rendered(state, produced, link, number(status.duration, inner))
        case _:
            pass
    return Running(state, progress, True, seen.retry_after)


def _verdict(pack: Pack, status: Status, inner: Any, seen: _Seen) -> Fault:
    """Return why a task failed, in the provider's words."""
    code, message, request_id = _said(status.error, inner)
    rule = next((rule for rule in pack.errors if code and code in rule.codes), None)
    kind = rule.kind if rule is not None and rule.kind is not ErrorClass.BUSY else ErrorClass.FAILED
    remedy = rule.remedy if rule is not None and rule.kind is not ErrorClass.BUSY else ""
    return Fault(kind=kind, code=code, message=message, remedy=remedy, request_id=request_id or seen.request_id)


def _trouble(pack: Pack, seen: _Seen) -> StatusOutcome:
    """Return what an error in answer to a status call means."""
    kind = _kind(pack, seen)
    if kind is ErrorClass.MISSING and (seen.failed or seen.refusing):
        return Gone(_fault(pack, seen, kind))
    if kind is ErrorClass.FAILED and seen.failed:
        return Failed(_fault(pack, seen, kind))
    return _no_list(pack, seen)


def _no_list(pack: Pack, seen: _Seen) -> Denied | Unclear:
    """Return why a free call came to nothing: the credential, or something that may pass."""
    kind = _kind(pack, seen)
    if kind is ErrorClass.AUTH or (kind is None and seen.status == 403):  # noqa: PLR2004 (RFC 9110: forbidden)
        return Denied(_fault(pack, seen, ErrorClass.AUTH))
    return Unclear(seen.why, seen.retry_after)


def _known(states: tuple[StateWord, ...], state: str) -> StateWord | None:
    """Return what the pack says of a state word: the word itself before one with ``*``, in any case."""
    folded = state.casefold()
    exact = (known for known in states if known.word == folded)
    like = (known for known in states if "*" in known.word and fnmatchcase(folded, known.word.replace("[", "[[]")))
    return next(exact, None) or next(like, None) if folded else None


def _task(place: Expression, data: Any) -> str | None:
    """Return a task as text, digit by digit; None for what cannot be one (nothing, zero, true, a list, a space)."""
    task = word(place.find(data))
    return task if _TASK.fullmatch(task) and task not in ("0", ".", "..") else None


def _link(place: Expression | None, data: Any) -> str | None:
    """Return a link byte for byte, or None."""
    link = None if place is None else place.find(data)
    return link if isinstance(link, str) and _URL.match(link) else None


def _produced(operation: Operation, places: Mapping[str, Expression], data: Any, link: str | None) -> dict[str, str]:
    produced = {name: value for name, place in places.items() if (value := word(place.find(data)))}
    if link is not None and "url" in operation.produces:
        produced["url"] = link
    return produced


def _found_word(place: Expression | None, data: Any) -> str:
    return "" if place is None else word(place.find(data))


def _instant(value: Any) -> float | None:
    """Return a time of a list in seconds since the epoch: RFC 3339 (UTC where it names no zone), or a number."""
    try:
        match value:
            case bool():
                return None
            case int() | float():
                return value / 1000 if value > _MILLISECONDS else float(value)
            case str():
                at = datetime.fromisoformat(value)
                return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        pass
    return None
