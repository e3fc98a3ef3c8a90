"""Servers that do exactly what a test says, byte by byte, on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
Handler = Callable[["Exchange"], Awaitable[None]]
_GUARD = 20.0


@dataclass
class Server:
    """Where a server listens, the requests it saw (head and body, as bytes), and how many connections it took."""

    port: int
    scheme: str
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def header(self, name: str, index: int = -1) -> str | None:
        """Return a header of a request that was seen."""
        for line in self.heads[index].decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip()
        return None

    def target(self, index: int = -1) -> str:
        """Return the request target as it was sent."""
        return self.heads[index].split(b" ")[1].decode("latin-1")


@dataclass
class Exchange:
    """One connection as its handler sees it."""

    server: Server
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> None:
        """Read one request and note it on the server."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.server.heads.append(head)
        size = int(self.server.header("content-length") or 0)
        self.server.bodies.append(await self.reader.readexactly(size))

    async def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = b"{}", status: str = "200 OK", **headers: str) -> None:
        """Write a whole answer; underscores in the names of headers are hyphens."""
        fields = {"Content-Length": str(len(body)), **{name.replace("_", "-"): text for name, text in headers.items()}}
        lines = "".join(f"{name}: {text}\r\n" for name, text in fields.items())
        await self.send(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode("latin-1") + body)

    def reset(self) -> None:
        """Drop the connection with a reset instead of an end."""
        self.writer.transport.abort()


@asynccontextmanager
async def serving(handler: Handler, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Serve each connection by ``handler``; it is closed when the handler returns."""
    tasks: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await handler(Exchange(server, reader, writer))
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
                await writer.wait_closed()
            tasks.discard(task)

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    server = Server(listener.sockets[0].getsockname()[1], "https" if tls else "http")
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def serve() -> Callable[..., Any]:
    """Give ``serving``."""
    return serving


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Run a coroutine, with a guard against hanging."""

    def runner(coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(asyncio.wait_for(coroutine, _GUARD))

    return runner


@pytest.fixture
def certificate() -> ssl.SSLContext:
    """Give a server's context with a certificate for localhost that nobody signed."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(Path(__file__).with_name("localhost.pem"))
    return context


@pytest.fixture
def authority() -> ssl.SSLContext:
    """Give a client's context that trusts that certificate."""
    return ssl.create_default_context(cafile=str(Path(__file__).with_name("localhost.pem")))


def box(kind: bytes, content: bytes) -> bytes:
    """Return one MP4 box."""
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def movie(size: int = 1000, *, seconds: float = 5.0, front: bool = True) -> bytes:
    """Return an MP4 of 320x240 whose ``mdat`` has ``size`` bytes, its index in front or at the end."""
    ticks = int(seconds * 1000)
    mvhd = box(b"mvhd", bytes(12) + (1000).to_bytes(4, "big") + ticks.to_bytes(4, "big") + bytes(80))
    tkhd = box(b"tkhd", bytes(76) + (320 << 16).to_bytes(4, "big") + (240 << 16).to_bytes(4, "big"))
    moov = box(b"moov", mvhd + box(b"trak", tkhd))
    mdat = box(b"mdat", (bytes(range(251)) * (size // 251 + 1))[:size])
    ftyp = box(b"ftyp", b"isom" + bytes(4) + b"isommp42")
    return ftyp + (moov + mdat if front else mdat + moov)


@pytest.fixture
def mp4() -> Callable[..., bytes]:
    """Give ``movie``."""
    return movie
