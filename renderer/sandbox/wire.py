"""A request and an answer as plain values, and the hand on the socket beneath them.

Providers turn a `Call` into an `Answer` and see nothing of ASGI. The `Wire` is for what no web
framework lets one say: closing in the middle, resetting, or a length that is a lie. It therefore
writes its own HTTP. Nothing here knows why anybody would want to.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import responses
from typing import Any

from starlette.types import Receive, Scope, Send

TRANSPORT = "sandbox.transport"
"""The name under which the server's protocol hands its transport to the application."""

_BACKLOG = 1 << 20  # bytes that may wait in a transport before its writer pauses


class NotJson(ValueError):
    """The body is no JSON, or does not say that it is."""


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


@dataclass(frozen=True, slots=True)
class Call:
    """One request to one provider's operation.

    ``path`` is the provider's own (no ``/fliz`` before it), ``target`` the bytes of path and query
    as they came. ``fault`` is what was planned to go wrong with it, if anything.
    """

    provider: str
    operation: str
    method: str
    path: str
    target: bytes
    origin: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    fault: object = None

    @property
    def bearer(self) -> str | None:
        """The bearer token, if it may pass for a valid one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        token = token.strip()
        return token if scheme.lower() == "bearer" and token not in {"", "invalid"} else None

    def json(self) -> Any:
        """Read the body as JSON; raises `NotJson`."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise NotJson("Content-Type must be application/json")
        try:
            return json.loads(self.body.decode("utf-8"), parse_constant=_no_constant)
        except (UnicodeDecodeError, ValueError, RecursionError) as error:
            raise NotJson(f"the body is not valid JSON: {error}") from error


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, whole.

    ``task`` names the task it is about, ``ignored`` the fields of the request that the API does not
    know and does not refuse. ``sent`` is called once the answer is out and somebody was there to
    take it.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    task: str | None = None
    ignored: tuple[str, ...] = ()
    sent: Callable[[], None] | None = field(default=None, compare=False)

    @classmethod
    def of(
        cls,
        data: Any,
        *,
        status: int = 200,
        task: str | None = None,
        ignored: Iterable[str] = (),
        headers: Iterable[tuple[str, str]] = (),
        sent: Callable[[], None] | None = None,
    ) -> "Answer":
        """Answer with JSON."""
        body = json.dumps(data, ensure_ascii=False).encode("utf-8", "backslashreplace")
        named = (("content-type", "application/json; charset=utf-8"), *headers)
        return cls(status=status, headers=named, body=body, task=task, ignored=tuple(ignored), sent=sent)

    @classmethod
    def text(cls, body: str, *, status: int = 200, kind: str = "text/plain") -> "Answer":
        """Answer with text of the media type ``kind``."""
        return cls(status=status, headers=(("content-type", f"{kind}; charset=utf-8"),), body=body.encode())


class Refused(Exception):
    """Raised by a provider to answer at once in its own words."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Wire:
    """The connection of one request."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._transport: asyncio.Transport | None = scope.get("extensions", {}).get(TRANSPORT)

    @property
    def gone(self) -> bool:
        """Whether the other side has left."""
        return self._transport is not None and self._transport.is_closing()

    async def send(self, answer: Answer) -> None:
        """Send an answer properly."""
        headers = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in answer.headers]
        if answer.status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            headers.append((b"content-length", str(len(answer.body)).encode()))
        await self._send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": answer.body})

    async def write_head(self, answer: Answer, *, length: int | None) -> None:
        """Write a status line and headers by hand, with any length or none; the connection is then ours to end."""
        phrase = responses.get(answer.status, "Unknown")
        lines = [f"HTTP/1.1 {answer.status} {phrase}", *(f"{key}: {value}" for key, value in answer.headers)]
        if length is not None:
            lines.append(f"content-length: {length}")
        await self.write("\r\n".join([*lines, "connection: close", "", ""]).encode("latin-1"))

    async def write(self, data: bytes) -> None:
        """Write bytes, waiting while the other side does not read."""
        transport = self._raw()
        # A transport tells its protocol when to go on, not us, so there is nothing to wait for.
        while not transport.is_closing() and transport.get_write_buffer_size() > _BACKLOG:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        if not transport.is_closing():
            transport.write(data)

    async def close(self) -> None:
        """End the connection in order: what was written arrives, then the end of the stream."""
        self._raw().close()
        await self._until_gone()

    async def reset(self) -> None:
        """Tear the connection down: the other side sees a reset."""
        transport = self._raw()
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        await self._until_gone()

    def _raw(self) -> asyncio.Transport:
        if self._transport is None:
            raise RuntimeError("this fault needs a real socket: run the sandbox with serve()")
        return self._transport

    async def _until_gone(self) -> None:
        # The server would answer 500 for us if we returned before it has seen the end.
        while (await self._receive())["type"] != "http.disconnect":
            pass
