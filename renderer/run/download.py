"""A link -> a verified file: resumed, bounded, hashed, durable.

A download grows in a part file. Beside it, in ``<part>.etag``, stands the strong ETag (RFC 9110, 8.8.3) that its bytes
belong to, and nothing else; a part without one is started anew, since nobody could tell whether the rest still
fits. Both outlive the process: an ETag is durable before the first byte that belongs to it, and a file system
never shows a length whose bytes it has not got. They are dropped when the part proves not to be the media that was
ordered. One call is one attempt: what is worth another one is raised as :class:`Incomplete`, and the caller decides.

This module does not know providers, nor where a link comes from, nor where the file goes.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol

from renderer.run.bench import Fetched
from renderer.run.disk import DiskFull, disk_errors, write_whole
from renderer.run.gate import Clock
from renderer.run.probe import NotMedia, probe
from renderer.run.transport import Incoming, Lost, Unsent

__all__ = ["DiskFull", "Incomplete", "Limits", "LinkRefused", "NotMedia", "TooLarge", "download"]

_STRONG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_REFUSED = frozenset({401, 403, 404, 410})
_OK, _PARTIAL, _NO_SUCH_RANGE = 200, 206, 416
_PIECE = 1 << 20
_FLUSH = 1.0  # seconds after which a slow download's bytes are written although they are few


class LinkRefused(Exception):
    """The link is not, or no longer, good (401, 403, 404, 410): a fresh one may be."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the link was refused with status {status}")
        self.status = status


class Incomplete(Exception):
    """The file did not come whole. What is there is kept if it can be resumed; try again."""


class TooLarge(Exception):
    """The file is larger than a video may be. Nothing of it is kept."""


class Streams(Protocol):
    """What is needed of :class:`renderer.run.transport.Transport`."""

    def stream(
        self, provider: str, url: str, *, headers: Mapping[str, str] | None = None, stall: float = ...
    ) -> AbstractAsyncContextManager[Incoming]:
        """GET a URL and give its answer while it arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one download: its ``bytes``, and the ``seconds`` of one attempt in total.

    ``stall``: seconds in which nothing may arrive. ``rate``: bytes per second that must arrive in each ``window`` of
    seconds. ``restarts``: how often an attempt may begin anew at zero.
    """

    bytes: int = 10 << 30
    seconds: float = 7200.0
    stall: float = 60.0
    rate: float = 4096.0
    window: float = 60.0
    restarts: int = 3


async def download(
    transport: Streams,
    *,
    provider: str,
    link: str,
    part: Path,
    makes: str,
    progress: Callable[[int, int | None], None],
    clock: Clock,
    limits: Limits = Limits(),
) -> Fetched:
    """Download ``link`` to ``part``, going on with what is there, and verify that it is what the operation ``makes``.

    ``progress`` gets the bytes so far and in total (None where the answer does not say). The file is durable when this
    returns. Raises :class:`LinkRefused`, :class:`Incomplete`, :class:`NotMedia`, :class:`TooLarge`, ``DiskFull`` and
    ``DiskError``, and the transport's ``Forbidden``.
    """
    tag = part.with_name(f"{part.name}.etag")
    end = clock.monotonic() + limits.seconds
    for _ in range(limits.restarts + 1):
        have, etag = _resumable(part, tag)
        resume = {"Range": f"bytes={have}-", "If-Range": etag} if have else {}
        try:
            async with transport.stream(provider, link, headers=resume, stall=limits.stall) as answer:
                span = _judge(answer, have=have, etag=etag, most=limits.bytes)
                if span is not None:
                    pace = _Pace(clock, limits, end)
                    sha256 = await _receive(answer, part, tag, span, pace=pace, progress=progress)
                    return await _verified(part, tag, sha256, makes)
        except (Lost, Unsent) as error:
            raise Incomplete(str(error)) from None
        _drop(part, tag)
    raise Incomplete(f"the server lets the download neither go on nor start anew ({limits.restarts + 1} tries)")


@dataclass(frozen=True, slots=True)
class _Span:
    """Which bytes an answer brings: from ``begin`` on, of ``total`` where it says so."""

    begin: int
    total: int | None


class _Pace:
    """Refuses a download that takes too long, or that is too slow over a whole window."""

    def __init__(self, clock: Clock, limits: Limits, end: float) -> None:
        self.clock, self.limits, self._end = clock, limits, end
        self._since, self._bytes = clock.monotonic(), 0

    def count(self, arrived: int) -> float:
        """Count bytes; return the time. Raises :class:`Incomplete`."""
        now = self.clock.monotonic()
        self._bytes += arrived
        if now > self._end:
            raise Incomplete(f"the download took more than {self.limits.seconds:g} seconds")
        if (elapsed := now - self._since) >= self.limits.window:
            if self._bytes < self.limits.rate * elapsed:
                raise Incomplete(f"the download was slower than {self.limits.rate:g} bytes a second")
            self._since, self._bytes = now, 0
        return now


def _resumable(part: Path, tag: Path) -> tuple[int, str]:
    """Return how many bytes can be kept and the ETag that they belong to, or 0 and an empty text."""
    try:
        etag = tag.read_bytes().decode("latin-1")
        have = part.stat().st_size
    except OSError:
        return 0, ""
    return (have, etag) if have and _STRONG.fullmatch(etag) else (0, "")


def _judge(answer: Incoming, *, have: int, etag: str, most: int) -> _Span | None:
    """Return which bytes an answer brings, or None where nothing of it fits: then all begins anew."""
    headers = answer.headers
    if answer.status in _REFUSED:
        raise LinkRefused(answer.status)
    if answer.status not in (_OK, _PARTIAL, _NO_SUCH_RANGE):
        raise Incomplete(f"the server answered {answer.status} to the download")
    if (coding := headers.get("content-encoding", "identity").strip().lower()) not in ("identity", ""):
        raise NotMedia(f"the server sent it compressed ({coding}), although it was asked not to")
    span = None
    if answer.status == _OK:
        length = headers.get("content-length", "")
        span = _Span(0, int(length) if length.isascii() and length.isdigit() else None)
    elif answer.status == _PARTIAL and have and headers.get("etag", etag) == etag:
        found = _RANGE.fullmatch(headers.get("content-range", ""))
        if found is not None and int(found[1]) == have:
            span = _Span(have, None if found[3] == "*" else int(found[3]))
    if span is not None and (span.total or 0) > most:
        raise TooLarge(f"the file has {span.total} bytes; at most {most} are taken")
    return span


async def _receive(
    answer: Incoming,
    part: Path,
    tag: Path,
    span: _Span,
    *,
    pace: _Pace,
    progress: Callable[[int, int | None], None],
) -> str:
    """Write what arrives, make it durable, and return the SHA-256 of the whole part."""
    digest = hashlib.sha256()
    if span.begin:
        await asyncio.to_thread(_hash_into, digest, part)
    else:
        _drop(part, tag)
        if _STRONG.fullmatch(etag := answer.headers.get("etag", "")):
            write_whole(tag, etag.encode("latin-1"))
    size, buffer, flushed = span.begin, bytearray(), pace.count(0)
    with disk_errors(part):
        file = part.open("ab", buffering=0)
    try:
        try:
            # Writing 1 MiB inline is quicker than handing each chunk to a thread.
            async for piece in answer.pieces:
                buffer += piece
                size += len(piece)
                if size > pace.limits.bytes:
                    raise TooLarge(f"the file has more than {pace.limits.bytes} bytes")
                now = pace.count(len(piece))
                if len(buffer) >= _PIECE or now - flushed >= _FLUSH:
                    flushed = now
                    _write(file, buffer, digest, part)
                    progress(size, span.total)
        finally:
            # Also what came before a failure: it is resumed from.
            _write(file, buffer, digest, part)
        progress(size, span.total)
        with disk_errors(part):
            await asyncio.to_thread(os.fsync, file.fileno())
    except TooLarge:
        _drop(part, tag)
        raise
    finally:
        file.close()
    if span.total is not None and size != span.total:
        if size > span.total:
            _drop(part, tag)
        raise Incomplete(f"{size} of {span.total} bytes came")
    return digest.hexdigest()


async def _verified(part: Path, tag: Path, sha256: str, makes: str) -> Fetched:
    try:
        with disk_errors(part):
            media = await asyncio.to_thread(probe, part, makes)
    except NotMedia:
        _drop(part, tag)
        raise
    _untag(tag)
    return Fetched(part, sha256, media.bytes, media.duration)


def _write(file: FileIO, buffer: bytearray, digest: "hashlib._Hash", part: Path) -> None:
    """Write the whole buffer and clear it, also of what a full disk took before it refused the rest."""
    while buffer:
        with disk_errors(part):
            written = file.write(buffer)
        digest.update(memoryview(buffer)[:written])
        del buffer[:written]


def _hash_into(digest: "hashlib._Hash", part: Path) -> None:
    with disk_errors(part), part.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)


def _drop(part: Path, tag: Path) -> None:
    """Forget what is there. The ETag goes first: without it the bytes are nothing."""
    _untag(tag)
    with disk_errors(part):
        part.unlink(missing_ok=True)


def _untag(tag: Path) -> None:
    with disk_errors(tag):
        tag.unlink(missing_ok=True)
