import asyncio
import gzip
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from renderer.run.download import DiskFull, Incomplete, Limits, LinkRefused, NotMedia, TooLarge, download
from renderer.run.transport import Service, Transport

TAG = '"v1"'
Fetch = Callable[..., Awaitable[Any]]


class Clock:
    """Stands still, or goes on by ``step`` seconds whenever it is asked."""

    def __init__(self, step: float = 0.0) -> None:
        self.time = 0.0
        self.step = step

    def monotonic(self) -> float:
        """Return its time."""
        self.time += self.step
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds


class Source:
    """A server of one file, with the faults that a test wants; it answers Range as RFC 9110 says."""

    def __init__(self, body: bytes, *, etag: str | None = TAG) -> None:
        self.body = body
        self.etag = etag
        self.cut: int | None = None  # bytes of the next answer's body before the connection ends
        self.ranges = True
        self.length = True
        self.content_range: str | None = None

    async def __call__(self, exchange: Any) -> None:
        """Answer one request."""
        await exchange.request()
        asked = exchange.server.header("range")
        headers = {} if self.etag is None else {"ETag": self.etag}
        status, body = "200 OK", self.body
        if asked and self.ranges and exchange.server.header("if-range") == self.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            status, body = "206 Partial Content", self.body[start:]
            whole = f"bytes {start}-{len(self.body) - 1}/{len(self.body)}"
            headers["Content-Range"] = self.content_range or whole
        if self.length:
            headers["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
        await exchange.send(f"HTTP/1.1 {status}\r\nConnection: close\r\n{head}\r\n".encode())
        cut, self.cut = self.cut, None
        await exchange.send(body[:cut])


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """Give the path of a part file."""
    return tmp_path / "part" / "0123"


@pytest.fixture
def fetching(run: Any, serve: Any, part: Path) -> Callable[..., Any]:
    """Run a test against a server: ``use(fetch, server)``."""
    part.parent.mkdir()

    def runner(handler: Any, use: Callable[[Fetch, Any], Awaitable[None]], **more: Any) -> None:
        async def main() -> None:
            async with serve(handler) as server, Transport({"p": Service(server.url)}) as transport:

                async def fetch(**other: Any) -> Any:
                    given = {"makes": "video", "clock": Clock(), "progress": lambda *_: None, **more, **other}
                    link = f"{server.url}/file.mp4?sig=%2B"
                    return await download(transport, provider="p", link=link, part=part, **given)

                await use(fetch, server)

        run(main())

    return runner


def sidecar(part: Path) -> Path:
    """Return where a part's ETag stands."""
    return part.with_name(f"{part.name}.etag")


def content(path: Path) -> bytes:
    """Return a file's bytes."""
    return path.read_bytes()


def size(path: Path) -> int:
    """Return how many bytes a file has."""
    return path.stat().st_size


def exists(path: Path) -> bool:
    """Return whether there is a file."""
    return path.exists()


@pytest.mark.parametrize("front", [True, False])
@pytest.mark.parametrize("length", [True, False])
def test_a_file_arrives_whole(fetching: Any, mp4: Any, part: Path, front: bool, length: bool) -> None:
    """Hashed, measured and durable, with or without a Content-Length; nothing but the file is left."""
    body = mp4(3_000_000, front=front)
    source = Source(body)
    source.length = length
    seen: list[tuple[int, int | None]] = []

    async def use(fetch: Fetch, server: Any) -> None:
        found = await fetch(progress=lambda done, total: seen.append((done, total)))
        assert found.path.read_bytes() == body
        assert (found.sha256, found.bytes) == (hashlib.sha256(body).hexdigest(), len(body))
        assert found.duration == 5.0
        assert server.target() == "/file.mp4?sig=%2B"
        assert seen[-1] == (len(body), len(body) if length else None)
        assert list(part.parent.iterdir()) == [part]

    fetching(source, use)


def test_36_a_cut_download_goes_on_where_it_was(fetching: Any, mp4: Any, part: Path) -> None:
    """Range and If-Range ask for the rest; the whole is hashed."""
    body = mp4(3_000_000)
    source = Source(body)
    source.cut = 1_234_567

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(Incomplete):
            await fetch()
        assert size(part) == 1_234_567
        assert sidecar(part).read_text() == TAG
        found = await fetch()
        assert (server.header("range"), server.header("if-range")) == ("bytes=1234567-", TAG)
        assert found.path.read_bytes() == body
        assert found.sha256 == hashlib.sha256(body).hexdigest()

    fetching(source, use)


def test_36_a_cancelled_download_keeps_what_it_has(fetching: Any, mp4: Any, part: Path) -> None:
    """Ctrl-C costs nothing: what came is on disk with its ETag."""
    body = mp4(10_000)

    async def stalls(exchange: Any) -> None:
        await exchange.request()
        await exchange.send(f"HTTP/1.1 200 OK\r\nETag: {TAG}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        await exchange.send(body[:4000])
        await asyncio.sleep(30)

    async def use(fetch: Fetch, server: Any) -> None:
        task = asyncio.ensure_future(fetch())
        while not exists(sidecar(part)):  # noqa: ASYNC110  # a file is no event
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert content(part) == body[:4000]

    fetching(stalls, use)


@pytest.mark.parametrize("etag", [None, 'W/"v1"', "v1"])
def test_36_without_a_strong_etag_nothing_is_resumed(fetching: Any, mp4: Any, part: Path, etag: str | None) -> None:
    """A weak one does not promise equal bytes: the next attempt starts at zero."""
    source = Source(mp4(5000), etag=etag)
    source.cut = 2000

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(Incomplete):
            await fetch()
        assert not exists(sidecar(part))
        await fetch()
        assert server.header("range") is None

    fetching(source, use)


def test_36_a_server_that_ignores_range_is_never_appended(fetching: Any, mp4: Any) -> None:
    """A 200 is the whole file."""
    body = mp4(5000)
    source = Source(body)
    source.cut = 2000

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(Incomplete):
            await fetch()
        source.ranges = False
        found = await fetch()
        assert server.header("range") == "bytes=2000-"
        assert found.path.read_bytes() == body

    fetching(source, use)


def test_36_a_changed_etag_starts_anew(fetching: Any, mp4: Any, part: Path) -> None:
    """The file was replaced between two attempts: nothing of the old one is left in the new."""
    source = Source(mp4(5000))
    source.cut = 2000

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(Incomplete):
            await fetch()
        source.body, source.etag = mp4(7000, seconds=9), '"v2"'
        source.cut = 3000
        with pytest.raises(Incomplete):
            await fetch()
        assert (size(part), sidecar(part).read_text()) == (3000, '"v2"')
        assert (await fetch()).path.read_bytes() == source.body

    fetching(source, use)


@pytest.mark.parametrize("wrong", ["bytes 0-4999/5000", "bytes 1999-2/x", "items 1-2/3", ""])
def test_36_a_wrong_content_range_starts_anew(fetching: Any, mp4: Any, wrong: str) -> None:
    """Bytes from the wrong place are not glued on."""
    body = mp4(5000)
    source = Source(body)
    source.cut = 2000

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(Incomplete):
            await fetch()
        source.content_range = wrong or "none"
        found = await fetch()
        assert [server.header("range", index) for index in (1, 2)] == ["bytes=2000-", None]
        assert found.path.read_bytes() == body

    fetching(source, use)


def test_36_a_206_for_another_etag_starts_anew(fetching: Any, mp4: Any) -> None:
    """A server that honours Range but not If-Range gives itself away."""
    body, other = mp4(5000), mp4(5000, seconds=9)
    answers = iter(["first", "range", "whole"])

    async def mixes(exchange: Any) -> None:
        await exchange.request()
        match next(answers):
            case "first":
                await exchange.send(f"HTTP/1.1 200 OK\r\nETag: {TAG}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
                await exchange.send(body[:2000])
            case "range":
                where = f"bytes 2000-{len(other) - 1}/{len(other)}"
                await exchange.answer(other[2000:], "206 Partial Content", ETag='"v2"', Content_Range=where)
            case _:
                await exchange.answer(other, ETag='"v2"')

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(Incomplete):
            await fetch()
        assert (await fetch()).path.read_bytes() == other

    fetching(mixes, use)


@pytest.mark.parametrize("status", ["416 Range Not Satisfiable", "206 Partial Content"])
def test_36_starting_anew_is_bounded(fetching: Any, mp4: Any, status: str) -> None:
    """A server that says so to everything is given up."""

    async def stubborn(exchange: Any) -> None:
        await exchange.request()
        await exchange.answer(b"", status)

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(Incomplete, match="3 tries"):
            await fetch(limits=Limits(restarts=2))
        assert len(server.heads) == 3

    fetching(stubborn, use)


def test_36_416_starts_anew(fetching: Any, mp4: Any, part: Path) -> None:
    """A part that is longer than the file is dropped."""
    body = mp4(5000)
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(bytes(9000))
    sidecar(part).write_text(TAG)

    async def use(fetch: Fetch, server: Any) -> None:
        assert (await fetch()).path.read_bytes() == body
        assert server.header("range", 0) == "bytes=9000-"

    async def refuses(exchange: Any) -> None:
        await exchange.request()
        if exchange.server.header("range"):
            await exchange.answer(b"", "416 Range Not Satisfiable", Content_Range=f"bytes */{len(body)}")
        else:
            await exchange.answer(body)

    fetching(refuses, use)


@pytest.mark.parametrize("status", ["401 A", "403 B", "404 C", "410 D"])
def test_32_a_refused_link_is_told_by_its_status(fetching: Any, part: Path, status: str) -> None:
    """So that a fresh one is asked for; a part that was there stays."""
    part.parent.mkdir(exist_ok=True)
    part.write_bytes(b"beginning")
    sidecar(part).write_text(TAG)

    async def refuses(exchange: Any) -> None:
        await exchange.request()
        await exchange.answer(b"<Error>AccessDenied</Error>", status)

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(LinkRefused) as error:
            await fetch()
        assert error.value.status == int(status[:3])
        assert content(part) == b"beginning"

    fetching(refuses, use)


@pytest.mark.parametrize("status", ["500 A", "502 B", "429 C", "204 D", "302 E"])
def test_another_status_is_worth_another_attempt(fetching: Any, status: str) -> None:
    """What says nothing about the file is retried by the caller."""

    async def fails(exchange: Any) -> None:
        await exchange.request()
        await exchange.answer(b"", status)

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(Incomplete, match=status[:3]):
            await fetch()

    fetching(fails, use)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"<!DOCTYPE html><html>expired</html>", "HTML"),
        (b'<?xml version="1.0"?><Error/>', "XML"),
        (b'{"error": {"message": "no"}}', "JSON"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG"),
        (b"", "empty"),
    ],
)
def test_33_a_page_called_video_is_refused(fetching: Any, part: Path, body: bytes, what: str) -> None:
    """Status 200 and video/mp4 do not make a film; nothing of it is kept, neither part nor ETag."""

    async def lies(exchange: Any) -> None:
        await exchange.request()
        await exchange.answer(body, Content_Type="video/mp4", ETag=TAG)

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(NotMedia, match=what):
            await fetch()
        assert list(part.parent.iterdir()) == []

    fetching(lies, use)


@pytest.mark.parametrize("front", [True, False])
@pytest.mark.parametrize("length", ["right", "wrong", "none"])
def test_34_a_truncated_film_is_refused(fetching: Any, mp4: Any, part: Path, front: bool, length: str) -> None:
    """Whatever the server says about its length; where only the film shows it, nothing is kept to go on from."""
    body = mp4(5000, front=front)
    half = body[: len(body) // 2]

    async def truncates(exchange: Any) -> None:
        await exchange.request()
        size = {"right": f"Content-Length: {len(body)}\r\n", "wrong": f"Content-Length: {len(half)}\r\n", "none": ""}
        head = f"HTTP/1.1 200 OK\r\nConnection: close\r\nETag: {TAG}\r\n{size[length]}\r\n"
        await exchange.send(head.encode() + half)

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(Incomplete if length == "right" else NotMedia):
            await fetch()
        assert exists(part) == exists(sidecar(part)) == (length == "right")

    fetching(truncates, use)


def test_35_a_compressed_film_is_refused(fetching: Any, mp4: Any, part: Path) -> None:
    """A gzip bomb is not unpacked."""

    async def bomb(exchange: Any) -> None:
        await exchange.request()
        assert exchange.server.header("accept-encoding") == "identity"
        await exchange.answer(gzip.compress(mp4(100_000)), Content_Encoding="gzip")

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(NotMedia, match="compressed"):
            await fetch()
        assert not exists(part)

    fetching(bomb, use)


@pytest.mark.parametrize("length", [True, False])
def test_35_a_film_beyond_the_cap_is_refused(fetching: Any, mp4: Any, part: Path, length: bool) -> None:
    """Before the first byte where the length is said, else at the cap; nothing is kept."""
    source = Source(mp4(5_000_000))
    source.length = length

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(TooLarge):
            await fetch(limits=Limits(bytes=2_000_000))
        assert list(part.parent.iterdir()) == []

    fetching(source, use)


async def _drips(exchange: Any) -> None:
    await exchange.request()
    await exchange.send(f"HTTP/1.1 200 OK\r\nETag: {TAG}\r\nContent-Length: 1000\r\n\r\n".encode())
    for _ in range(1000):
        await exchange.send(b"x")
        await asyncio.sleep(0.002)


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(seconds=100, window=1e9), "more than 100 seconds"),
        (Limits(rate=100, window=60), "slower than 100 bytes"),
    ],
)
def test_35_a_byte_a_second_is_given_up(fetching: Any, limits: Limits, why: str) -> None:
    """By a total deadline and by a minimum rate; both are measured by the clock that was handed in."""

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(Incomplete, match=why):
            await fetch(limits=limits, clock=Clock(step=1.0))

    fetching(_drips, use)


def test_35_a_server_that_falls_silent_is_given_up(fetching: Any, mp4: Any) -> None:
    """Without a byte for ``stall`` seconds the attempt ends."""

    async def silent(exchange: Any) -> None:
        await exchange.request()
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc")
        await asyncio.sleep(30)

    async def use(fetch: Fetch, server: Any) -> None:
        with pytest.raises(Incomplete, match="in time"):
            await fetch(limits=Limits(stall=0.2))

    fetching(silent, use)


def test_21_a_full_disk_keeps_what_there_is(fetching: Any, mp4: Any, part: Path) -> None:
    """DiskFull, not a broken film; after there is room again the download goes on."""
    resource = pytest.importorskip("resource")
    body = mp4(3_000_000)
    source = Source(body)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def use(fetch: Fetch, server: Any) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
        try:
            with pytest.raises(DiskFull, match="cannot be written"):
                await fetch()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert 0 < size(part) <= 1_500_000
        assert (await fetch()).path.read_bytes() == body
        assert server.header("range") is not None

    fetching(source, use)


def test_audio_is_verified_as_audio(fetching: Any, mp4: Any, part: Path) -> None:
    """A WAV passes where audio was ordered, a page does not, and no WAV where a film was."""
    rate = 8000
    data = bytes(rate * 2)
    head = b"WAVEfmt " + (16).to_bytes(4, "little") + bytes([1, 0, 1, 0]) + rate.to_bytes(4, "little")
    head += (rate * 2).to_bytes(4, "little") + bytes([2, 0, 16, 0]) + b"data" + len(data).to_bytes(4, "little")
    wav = b"RIFF" + (len(head) + len(data)).to_bytes(4, "little") + head + data

    async def use(fetch: Fetch, server: Any) -> None:
        assert (await fetch(makes="audio")).duration == pytest.approx(1.0)
        with pytest.raises(NotMedia):
            await fetch(makes="video")

    fetching(Source(wav), use)
