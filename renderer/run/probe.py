"""Is this file whole, is it what was ordered, how long is it, how large?

A video is an MP4 or MOV (ISO 14496-12): top-level boxes that end exactly where the file ends, among them ``ftyp``, a
``moov`` with a duration, and ``mdat``. Walking the boxes finds a file that was cut short; decoders do not, since half
of a file whose index stands in front plays with its full duration. Audio is MP3, WAV or M4A by content. Nothing is
decoded. A box of size 0 reaches to the end of the file by definition: whether that one is whole only its sender
knows, so ``run/download`` compares lengths, too.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from renderer.manifest.localfile import audio_length

_HEADER = 8
_LARGE_HEADER = 16
_TO_THE_END = 0
_LARGE = 1
# A long fragmented file has some ten thousand boxes; more is a trap.
_MAX_BOXES = 200_000
_UNKNOWN = frozenset({0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF})
_HEAD = 512
_RIFF_UNKNOWN = frozenset({0, 0xFFFFFFFF})

_SIGNS = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x1f\x8b", "gzip data"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"%PDF", "a PDF document"),
    (b"\x1aE\xdf\xa3", "a WebM or Matroska video"),
    (b"<?xml", "an XML document"),
    (b"<", "an HTML page"),
    (b"{", "a JSON document"),
    (b"[", "a JSON document"),
)


class NotMedia(Exception):
    """The file is not what was ordered, or is not whole. Its text says why, for people."""


@dataclass(frozen=True, slots=True)
class Media:
    """A whole file: ``kind`` is ``video`` or ``audio``, ``duration`` in seconds, ``width`` and ``height`` in pixels
    where the file says so."""

    kind: str
    bytes: int
    duration: float
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class _Box:
    kind: bytes
    start: int  # of its content
    end: int


def probe(path: Path, makes: str) -> Media:
    """Return what a file is, where it is whole and of the kind that the operation ``makes`` (``video``, ``audio``).

    Raises :class:`NotMedia` where it is not, and ``OSError`` where it cannot be read.
    """
    if makes not in ("video", "audio"):
        raise ValueError(f"{makes!r} is not a kind of file")
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(_HEAD)
        if not head:
            raise NotMedia("the file is empty")
        if head[4:8] == b"ftyp":
            duration, width, height = _movie(file, size)
        elif makes == "video" or not _sounds(head):
            raise NotMedia(f"it is {_looks(head)}, not {_ORDERED[makes]}")
        else:
            _riff(head, size)
    if makes == "video":
        return Media("video", size, duration, width, height)
    length = audio_length(path)
    if length is None or length <= 0:
        raise NotMedia("it is no MP3, WAV or M4A audio file with a length")
    return Media("audio", size, length)


def _movie(file: BinaryIO, size: int) -> tuple[float, int | None, int | None]:
    """Walk an MP4's boxes; return its duration in seconds, its width and height."""
    moov, data = None, 0
    for box in _boxes(file, 0, size):
        if box.kind == b"moov" and moov is None:
            moov = box
        elif box.kind == b"mdat":
            data += box.end - box.start
    if moov is None:
        raise NotMedia("the MP4 file has no index (moov): it is cut short, or was never finished")
    if not data:
        raise NotMedia("the MP4 file has no picture or sound (mdat): it is cut short, or was never finished")
    ticks, scale, width, height = 0, 0, None, None
    for box in _boxes(file, moov.start, moov.end):
        if box.kind == b"mvhd":
            scale, ticks = _header(file, box, skip=True)
        elif box.kind == b"mvex":  # a fragmented file keeps its length here
            for inner in _boxes(file, box.start, box.end):
                if inner.kind == b"mehd" and not ticks:
                    ticks = _header(file, inner, skip=False)[1]
        elif box.kind == b"trak" and width is None:
            width, height = _size(file, box)
    if not ticks or not scale:
        raise NotMedia("the MP4 file has no duration")
    return ticks / scale, width, height


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[_Box]:
    """Yield the boxes between two offsets. Raises :class:`NotMedia` where the last does not end at ``end``."""
    for _ in range(_MAX_BOXES):
        if start == end:
            return
        file.seek(start)
        head = file.read(min(_LARGE_HEADER, end - start))
        if len(head) < _HEADER:
            raise NotMedia(f"the MP4 file is cut short: it ends inside a box's header, at byte {end}")
        length, kind = struct.unpack_from(">I4s", head)
        content = start + _HEADER
        if length == _LARGE and len(head) == _LARGE_HEADER:
            (length,) = struct.unpack_from(">Q", head, _HEADER)
            content = start + _LARGE_HEADER
        elif length == _TO_THE_END:
            length = end - start
        if length < content - start:
            raise NotMedia(f"the MP4 file is damaged: the box at byte {start} has an impossible size")
        if start + length > end:
            raise NotMedia(f"the MP4 file is cut short: it ends at byte {end}, its content at byte {start + length}")
        yield _Box(kind, content, start + length)
        start += length
    raise NotMedia(f"the MP4 file has more than {_MAX_BOXES} boxes")


def _header(file: BinaryIO, box: _Box, *, skip: bool) -> tuple[int, int]:
    """Return time scale (0 where there is none) and duration of a ``mvhd`` (which ``skip``s two dates) or ``mehd``."""
    file.seek(box.start)
    data = file.read(min(box.end - box.start, 32))
    wide = data[:1] == b"\x01"
    layout = (">4x16xIQ" if wide else ">4x8xII") if skip else (">4xQ" if wide else ">4xI")
    if len(data) < struct.calcsize(layout):
        raise NotMedia("the MP4 file is damaged: its header is too short")
    *scale, ticks = struct.unpack_from(layout, data)
    return (scale[0] if scale else 0), (0 if ticks in _UNKNOWN else ticks)


def _size(file: BinaryIO, trak: _Box) -> tuple[int | None, int | None]:
    """Return the width and height that a track is shown with; sound has none."""
    for box in _boxes(file, trak.start, trak.end):
        if box.kind == b"tkhd" and box.end - box.start >= _HEADER:
            file.seek(box.end - _HEADER)
            width, height = (value >> 16 for value in struct.unpack(">II", file.read(_HEADER)))
            if width and height:
                return width, height
    return None, None


def ending(path: Path) -> str | None:
    """Return the ending that a sound or video file should have by its content, without the dot; None for others."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[4:8] == b"ftyp":
        return "m4a" if head[8:11] == b"M4A" else "mp4"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "wav"
    return "mp3" if _sounds(head) else None


def _sounds(head: bytes) -> bool:
    """Whether a file begins as WAV, or as MP3 with or without an ID3 tag (eleven set bits: a frame)."""
    frame = len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0  # noqa: PLR2004  # the eleven bits
    return head[:3] == b"ID3" or frame or (head[:4] == b"RIFF" and head[8:12] == b"WAVE")


def _riff(head: bytes, size: int) -> None:
    """Refuse a WAV file that says that it is longer than it is."""
    if head[:4] == b"RIFF" and len(head) >= _HEADER:
        (length,) = struct.unpack_from("<I", head, 4)
        if length not in _RIFF_UNKNOWN and length + _HEADER > size:
            raise NotMedia(f"the WAV file is cut short: {size} of {length + _HEADER} bytes")


def _looks(head: bytes) -> str:
    """Return what a file that is no audio or video seems to be."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for sign, what in _SIGNS:
        if head.startswith(sign) or text.startswith(sign):
            return what
    return "something else"


_ORDERED = {"video": "a video (MP4 or MOV)", "audio": "an audio file (MP3, WAV or M4A)"}
