"""The only way out to the network: credentials at the last moment, origins, deadlines, and what was sent.

Answers come back as values whatever their status; nothing here knows what one means. What this module must get right
is the difference between :class:`Unsent` and :class:`Lost`, because a submit that is repeated after a lost answer is
paid twice. It is decided by one observation, not by the kind of an error: **was a connection (with TLS, where there
is TLS) ever handed to this request?** If not, nothing can have been sent. From then on everything but a complete
answer is lost, even if no byte left.

Sockets are aiohttp's, under httpx's request and response. httpx's client is left out on purpose: it keeps cookies,
joins default headers, normalises URLs. ``httpx-aiohttp`` alone would be wrong here, too: it reports a server that
hangs up as a connect timeout, and writes URLs anew.

Decisions:

* Redirects are never followed but by :meth:`Transport.stream`, by hand, without the credential.
* Environment proxies (``HTTPS_PROXY``, ``.netrc``) are not used: the address that is checked must be the one that is
  connected to, and a proxy's own error page must not pass for a provider's refusal.
* TLS is always verified, against certifi or, for networks with an authority of their own, ``SSL_CERT_FILE``.
* Links and upload addresses lead to public hosts over https, unless the provider's own base URL is private (or
  plain http). The check is made on the address that the socket connects to, so a name that changes cannot pass it.
"""

import asyncio
import json
import os
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, Self, TypeAlias
from urllib.parse import quote, urlencode, urljoin

import aiohttp
import httpx
import httpx_aiohttp
import yarl

import renderer
from renderer.provider.wire import Reply, Request
from renderer.run.address import Address, is_public, parse, shown
from renderer.run.service import Service

__all__ = ["Forbidden", "Incoming", "Lost", "Service", "Transport", "TransportError", "Unsent", "shown"]

_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 5
_PIECE = 1 << 20

_Kind: TypeAlias = Literal["pooled", "fresh", "guarded"]


class TransportError(Exception):
    """Base of what can happen instead of an answer. Its text is one sentence without secrets, for people."""

    @property
    def message(self) -> str:
        """The sentence."""
        return str(self)


class Unsent(TransportError):
    """It is certain that nothing was sent. ``kind`` is ``tls`` where the server's certificate was not accepted."""

    def __init__(self, kind: Literal["connect", "tls"], message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Lost(TransportError):
    """The request was sent, or may have been, and no complete answer came."""


class Forbidden(TransportError):
    """A link or upload address leads where none may lead. Nothing was sent there."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """An answer whose body is still to come. Header names are lower-case.

    ``pieces`` yields the body as it arrives, undecoded, and raises :class:`Lost` where it breaks off.
    """

    status: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes]


@dataclass(slots=True)
class _Wire:
    """What is known of one request's way out."""

    connected: bool = False


class Transport:
    """Calls to services by name. An async context manager; one per run.

    ``connect`` bounds in seconds how long a connection may take, TLS included; ``body_cap`` is in bytes, of a decoded
    answer; ``tls`` replaces the default context (tests bring their own authority). At most ``sockets`` connections of
    each kind are open; who waits for one has sent nothing.
    """

    def __init__(
        self,
        services: Mapping[str, Service],
        *,
        connect: float = 15.0,
        body_cap: int = 8 << 20,
        sockets: int = 100,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._services = dict(services)
        self._connect = connect
        self._body_cap = body_cap
        self._limit = sockets
        self._tls = tls
        self._sockets: dict[_Kind, _Sockets] = {}
        self._private: dict[str, bool] = {}

    async def __aenter__(self) -> Self:
        tls = self._tls or httpx.create_ssl_context()
        trace = aiohttp.TraceConfig()  # one for all; what it marks is each request's own
        trace.on_connection_create_end.append(_mark_connected)
        trace.on_connection_reuseconn.append(_mark_connected)
        for kind in ("pooled", "fresh", "guarded"):
            guard = _public_socket if kind == "guarded" else None
            connector = aiohttp.TCPConnector(
                ssl=tls, limit=self._limit, force_close=kind != "pooled", socket_factory=guard
            )
            session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[trace],
                read_bufsize=_PIECE,
                trust_env=False,
            )
            self._sockets[kind] = _Sockets(session, tls, connect=self._connect)
        return self

    async def __aexit__(self, *_: object) -> None:
        for sockets in self._sockets.values():
            await sockets.aclose()
        self._sockets.clear()

    async def call(
        self,
        provider: str,
        request: Request,
        *,
        timeout: float,  # noqa: ASYNC109  # it bounds the exchange and tells unsent from lost
        fresh: bool = False,
    ) -> Reply:
        """Send ``request`` with the provider's credential and return the whole answer, whatever its status.

        ``timeout`` bounds everything in seconds, from the name's resolution to the answer's last byte. ``fresh`` opens
        a connection for this request alone. Redirects are answers. Raises :class:`Unsent` and :class:`Lost`.
        """
        service = self._services[provider]
        query = f"?{urlencode(request.query, quote_via=quote)}" if request.query else ""
        address = parse(f"{service.base_url.rstrip('/')}{request.path}{query}")
        headers = service.credential()
        content = None
        if request.json is not None:
            content = json.dumps(request.json, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        kind: _Kind = "fresh" if fresh else "pooled"
        return await self._exchange(kind, _request(request.method, address, headers, content), within=timeout)

    async def put(
        self,
        provider: str,
        url: str,
        *,
        path: Path,
        content_type: str,
        timeout: float,  # noqa: ASYNC109  # as above
    ) -> Reply:
        """Upload a file to an address that ``provider`` gave, used byte for byte, and return the answer.

        The address is its own permission: no credential is sent, not even on the provider's own origin. The size is
        read once, and exactly so many bytes follow. Raises :class:`Unsent`, :class:`Lost`, :class:`Forbidden`, and
        ``OSError`` where the file cannot be opened.
        """
        address = await self._allowed(provider, url)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            headers = {"Content-Type": content_type, "Content-Length": str(size)}

            async def pieces() -> AsyncIterator[bytes]:
                left = size
                while left:
                    # A read of 1 MiB from the page cache is quicker than a hop to a thread and back.
                    piece = file.read(min(_PIECE, left))
                    if not piece:
                        raise OSError(f"{path.name} became shorter while it was sent")
                    left -= len(piece)
                    yield piece

            content = pieces() if size else b""
            kind = await self._kind(provider)
            return await self._exchange(kind, _request("PUT", address, headers, content), within=timeout)

    @asynccontextmanager
    async def stream(
        self, provider: str, url: str, *, headers: Mapping[str, str] | None = None, stall: float = 60.0
    ) -> AsyncIterator[Incoming]:
        """GET ``url`` byte for byte and give its answer while it arrives.

        The provider's credential goes along only while the URL stands on the provider's own origin, and never after a
        redirect; at most five redirects are followed. ``stall`` bounds in seconds how long nothing may arrive; a total
        deadline is the caller's. Raises :class:`Unsent`, :class:`Lost`, :class:`Forbidden`.
        """
        service = self._services[provider]
        address = await self._allowed(provider, url)
        credential = service.credential() if address.origin == service.address.origin else {}
        kind = await self._kind(provider)
        for _ in range(_MAX_REDIRECTS + 1):
            wire = _Wire()
            request = _request("GET", address, {**(headers or {}), **credential}, None)
            request.extensions["stall"] = stall
            try:
                response = await self._sockets[kind].send(request, wire)
            except _ERRORS as error:
                raise _failure(error, wire, address) from None
            try:
                onward = response.headers.get("location") if response.status_code in _REDIRECTS else None
                if onward is None:
                    yield Incoming(response.status_code, dict(response.headers), _pieces(response, address))
                    return
            finally:
                await response.aclose()
            base = f"{address.scheme}://{address.authority}{address.target}"
            address = await self._allowed(provider, onward if _ABSOLUTE.match(onward) else urljoin(base, onward))
            credential = {}
        raise Forbidden(f"{shown(url)} redirects more than {_MAX_REDIRECTS} times")

    async def _exchange(self, kind: _Kind, request: httpx.Request, *, within: float) -> Reply:
        wire = _Wire()
        address: Address = request.extensions["address"]
        try:
            async with asyncio.timeout(within):
                response = await self._sockets[kind].send(request, wire)
                try:
                    body = await self._body(response, address)
                finally:
                    await response.aclose()
        except _ERRORS as error:
            raise _failure(error, wire, address) from None
        return Reply(response.status_code, dict(response.headers), body)

    async def _body(self, response: httpx.Response, address: Address) -> bytes:
        """Read a whole body. Some servers compress although ``identity`` was asked for: that must not lose an id."""
        packed = response.headers.get("content-encoding", "").strip().lower() in ("gzip", "x-gzip", "deflate")
        unpack = zlib.decompressobj(wbits=47) if packed else None  # 47: zlib or gzip, by their own header
        body = bytearray()
        try:
            async for piece in _pieces(response, address):
                body += unpack.decompress(piece, self._body_cap + 1) if unpack else piece
                if len(body) > self._body_cap:
                    raise Lost(f"{address.host} sent an answer of more than {self._body_cap} bytes")
        except zlib.error:
            raise Lost(f"{address.host} sent an answer that cannot be unpacked") from None
        if unpack is not None and not unpack.eof and body:
            raise Lost(f"{address.host} sent an answer that breaks off")
        return bytes(body)

    async def _allowed(self, provider: str, url: str) -> Address:
        """Return where ``url`` leads. Raises :class:`Forbidden`. (What a name resolves to is checked at the socket.)"""
        try:
            address = parse(url)
        except ValueError as error:
            raise Forbidden(str(error)) from None
        if address.scheme == "http" and self._services[provider].address.scheme != "http":
            raise Forbidden(f"{shown(url)} is plain http; {provider} itself is reached over https only")
        return address

    async def _kind(self, provider: str) -> _Kind:
        """Return the sockets for a provider's links: unguarded where its base URL is private itself."""
        if provider not in self._private:
            address = self._services[provider].address
            try:
                loop = asyncio.get_running_loop()
                found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            except OSError:
                return "guarded"
            self._private[provider] = not all(is_public(str(info[4][0])) for info in found)
        return "fresh" if self._private[provider] else "guarded"


class _Sockets(httpx_aiohttp.AiohttpTransport):
    """httpx-aiohttp's transport with what it leaves out: targets as they were written, and what was sent."""

    def __init__(self, session: aiohttp.ClientSession, tls: ssl.SSLContext, *, connect: float) -> None:
        super().__init__(verify=tls, client=session)  # without a context it would load one of its own
        self._session = session
        self._connect = connect

    async def send(self, request: httpx.Request, wire: _Wire) -> httpx.Response:
        """Send to the ``address`` extension's target; aiohttp's errors pass as they are."""
        address: Address = request.extensions["address"]
        path, _, query = address.target.partition("?")
        where: dict[str, Any] = {"scheme": address.scheme, "host": address.bracketed, "port": address.port}
        url = yarl.URL.build(**where, path=path, query_string=query, encoded=True)
        try:
            data: bytes | httpx.AsyncByteStream | None = request.content or None
        except httpx.RequestNotRead:  # httpx's word for a body that is streamed
            data = request.stream if isinstance(request.stream, httpx.AsyncByteStream) else None
        response = await self._session.request(
            request.method,
            url,
            headers=list(request.headers.multi_items()),
            data=data,
            skip_auto_headers=("Content-Type",),
            allow_redirects=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(
                total=None,
                sock_connect=self._connect,  # waiting for a socket is bounded by the exchange's deadline, not by this
                sock_read=request.extensions.get("stall"),
            ),
            trace_request_ctx=wire,
        )
        stream = _Stream(response)
        return httpx.Response(response.status, headers=response.raw_headers, stream=stream, request=request)


class _Stream(httpx_aiohttp.transport.AiohttpResponseStream):
    CHUNK_SIZE = _PIECE


class _NotPublicError(OSError):
    pass


_ERRORS = (TimeoutError, aiohttp.ClientError, httpx.HTTPError, OSError)


def _request(
    method: str, address: Address, headers: Mapping[str, str], content: bytes | AsyncIterator[bytes] | None
) -> httpx.Request:
    plain = {
        "Host": address.authority,
        "User-Agent": f"renderer/{renderer.__version__}",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
    }
    # The URL that httpx sees is for its own messages; the address is what is sent.
    extensions = {"address": address}
    return httpx.Request(method, address.origin, headers={**plain, **headers}, content=content, extensions=extensions)


async def _mark_connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    wire: _Wire = context.trace_request_ctx
    wire.connected = True


def _public_socket(info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, address = info
    if not is_public(str(address[0])):
        raise _NotPublicError("the address is not public")
    return socket.socket(family, kind, protocol)


async def _pieces(response: httpx.Response, address: Address) -> AsyncIterator[bytes]:
    try:
        async for piece in response.aiter_raw():
            yield piece
    except _ERRORS as error:
        raise _failure(error, _Wire(connected=True), address) from None


def _failure(error: Exception, wire: _Wire, address: Address) -> Unsent | Lost | Forbidden:
    """Say what an error means. Its own text is not used: it may hold a URL with its query."""
    host = address.authority
    late = isinstance(error, (TimeoutError, httpx.TimeoutException))
    if wire.connected:
        return Lost(f"{host} gave no complete answer{' in time' if late else ': the connection ended'}")
    match error:
        case aiohttp.ClientConnectorCertificateError():
            why = getattr(error.certificate_error, "verify_message", "") or "it does not belong to this host"
            return Unsent("tls", f"the certificate of {host} was not accepted: {why}")
        case aiohttp.ClientConnectorDNSError():
            return Unsent("connect", f"the name {address.host} could not be resolved")
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, _NotPublicError):
            return Forbidden(f"{host} is a private address, where no link of a public provider may lead")
        case aiohttp.ClientConnectorError() if error.os_error.errno:
            return Unsent("connect", f"no connection to {host}: {os.strerror(error.os_error.errno)}")
        case _:
            return Unsent("connect", f"no connection to {host}{' in time' if late else ''}")
