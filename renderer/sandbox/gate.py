"""The one way of every request to a provider: read, count, go wrong as planned, answer, log.

A `Provider` lists its `Endpoint`s; each gets a `Gate`, an ASGI application that makes a `Call` of
the request, checks that there is a token, and lets the faults have their turn before and after the
operation itself. It knows no provider by name.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from . import mischief
from .faults import Faults
from .files import Links
from .tasks import Request
from .wire import Answer, Call, Refused, Wire

_JSON_LIMIT = 32 * 1024 * 1024
_LOG_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of a provider at its method and path.

    A path that begins with ``/_/`` stands outside the provider's own. ``guarded`` operations need
    a bearer token; ``largest`` is the most that a body may have, in bytes. No method means any.
    """

    method: str | None
    path: str
    operation: str
    handle: Callable[[Call], Awaitable[Answer]]
    guarded: bool = True
    largest: int = _JSON_LIMIT


class Provider(Protocol):
    """A service, as the gate sees it."""

    @property
    def name(self) -> str:
        """The provider's name, which is also where its paths begin."""

    def endpoints(self) -> Sequence[Endpoint]:
        """List what it can do."""

    def error(self, *, status: int | None, code: int | str | None = None, message: str | None = None) -> Answer:
        """Say an error in its own shape."""

    def unauthorised(self) -> Answer:
        """Refuse a request without a valid token."""

    def unknown_task(self) -> Answer:
        """Answer about a task that it does not know."""


class Log:
    """The latest requests, in memory, without credentials, queries and bodies."""

    def __init__(self) -> None:
        self._rows: deque[dict[str, Any]] = deque(maxlen=_LOG_ROWS)

    def add(self, call: Call, outcome: Answer | mischief.Hangup, *, answer: Answer | None) -> None:
        """Remember a request and how it was answered."""
        self._rows.append({
            "time": timestamp(time.time()),
            "provider": call.provider,
            "operation": call.operation,
            "method": call.method,
            "path": call.path,
            "status": outcome.status if isinstance(outcome, Answer) else None,
            "task": answer.task if answer else None,
            "ignored": list(answer.ignored) if answer else [],
            "fault": type(call.fault).__name__.lower() if call.fault else None,
        })  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        """Return the requests, oldest first."""
        return list(self._rows)


class Gate:
    """The ASGI application of one endpoint."""

    def __init__(self, provider: Provider, endpoint: Endpoint, *, faults: Faults, links: Links, log: Log) -> None:
        self._provider = provider
        self._endpoint = endpoint
        self._faults = faults
        self._links = links
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        wire = Wire(scope, receive, send)
        try:
            body = await _read(receive, largest=self._endpoint.largest)
        except _Left:
            return
        if body is None:
            await wire.send(self._provider.error(status=413, message="the request body is too large"))
            return
        call = self._call(scope, body)
        answer: Answer | None = None
        outcome = await mischief.instead(call, self._provider, when="before")
        if outcome is None:
            answer = await self._answer(call)
            outcome = await mischief.instead(call, self._provider, when="after")
            outcome = outcome or mischief.distorted(call, answer, links=self._links)
        self._log.add(call, outcome, answer=answer)
        await mischief.deliver(call, outcome, wire)

    async def _answer(self, call: Call) -> Answer:
        try:
            if self._endpoint.guarded and call.bearer is None:
                return self._provider.unauthorised()
            return await self._endpoint.handle(call)
        except Refused as refused:
            return refused.answer

    def _call(self, scope: Scope, body: bytes) -> Call:
        raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
        query: bytes = scope["query_string"]
        host, port = scope["server"]
        own_path = scope["path"].removeprefix(f"/{self._provider.name}")
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        asked = dict(pairs)
        fault = self._faults.strike(
            provider=self._provider.name,
            operation=self._endpoint.operation,
            method=scope["method"],
            path=scope["path"],
            task=f"{scope['path']}?{asked.get('task_id', '')}",
        )
        return Call(
            provider=self._provider.name,
            operation=self._endpoint.operation,
            method=scope["method"],
            path=own_path,
            target=raw_path + (b"?" + query if query else b""),
            origin=f"{scope['scheme']}://{host}:{port}",
            params=scope.get("path_params", {}),
            query=asked,
            headers={key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]},
            body=body,
            fault=fault,
        )


def request_of(call: Call, body: Any) -> Request:
    """Take from a call what its hash is made of."""
    return Request(method=call.method, path=call.path, query=call.query, body=body)


def timestamp(seconds: float) -> str:
    """Write Unix seconds as RFC 3339 in UTC, to the millisecond."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03d}Z"


class _Left(Exception):
    """The other side went away while it was still speaking."""


async def _read(receive: Receive, *, largest: int) -> bytes | None:
    """Read a whole body, or None if it is larger."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Left
        part: bytes = message.get("body", b"")
        size += len(part)
        if size <= largest:
            parts.append(part)
        if not message.get("more_body", False):
            break
    return b"".join(parts) if size <= largest else None
