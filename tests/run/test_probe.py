import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from renderer.run.probe import NotMedia, probe

Write = Callable[[bytes], Path]
FTYP = b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write bytes to a file and return its path."""

    def writer(data: bytes) -> Path:
        path = tmp_path / "part"
        path.write_bytes(data)
        return path

    return writer


def box(kind: bytes, content: bytes = b"", *, size: int | None = None, large: bool = False) -> bytes:
    """Return a box, perhaps with a size that lies, perhaps with a 64-bit one."""
    if large:
        return struct.pack(">I4sQ", 1, kind, 16 + len(content) if size is None else size) + content
    return struct.pack(">I4s", 8 + len(content) if size is None else size, kind) + content


def mvhd(ticks: int, *, scale: int = 600, wide: bool = False) -> bytes:
    """Return a movie header of either version."""
    if wide:
        return box(b"mvhd", struct.pack(">I16xIQ", 1 << 24, scale, ticks) + bytes(80))
    return box(b"mvhd", struct.pack(">I8xII", 0, scale, ticks) + bytes(80))


MDAT = box(b"mdat", b"pictures")


@pytest.mark.parametrize("front", [True, False])
def test_a_film_is_measured(write: Write, mp4: Any, front: bool) -> None:
    """Faststart or plain: bytes, seconds, width and height."""
    media = probe(write(mp4(5000, seconds=2.5, front=front)), "video")
    assert (media.kind, media.duration, media.width, media.height) == ("video", 2.5, 320, 240)
    assert media.bytes == len(mp4(5000, front=front))


@pytest.mark.parametrize(
    "data",
    [
        FTYP + box(b"moov", mvhd(1200, wide=True)) + MDAT,
        FTYP + box(b"moov", mvhd(1200)) + box(b"mdat", b"pictures", large=True),
        FTYP + box(b"moov", mvhd(1200)) + box(b"mdat", b"pictures", size=0),
        FTYP + box(b"free") + box(b"mdat", b"a") + box(b"mdat", b"b") + box(b"moov", mvhd(1200), large=True),
        FTYP + box(b"moov", mvhd(0) + box(b"mvex", box(b"mehd", struct.pack(">II", 0, 1200)))) + MDAT,
        FTYP + box(b"moov", mvhd(0) + box(b"mvex", box(b"mehd", struct.pack(">IQ", 1 << 24, 1200)))) + MDAT,
    ],
    ids=["64-bit header", "64-bit size", "to the end", "two mdat", "fragmented", "fragmented, 64-bit"],
)
def test_every_way_to_write_a_box_is_read(write: Write, data: bytes) -> None:
    """Two seconds each; no track, so no size is known."""
    media = probe(write(data), "video")
    assert (media.duration, media.width, media.height) == (2.0, None, None)


def test_34_a_film_that_is_cut_anywhere_is_refused(write: Write, mp4: Any) -> None:
    """At every byte, index in front or at the end."""
    for front in (True, False):
        whole = mp4(60, front=front)
        for end in range(len(whole)):
            with pytest.raises(NotMedia):
                probe(write(whole[:end]), "video")


@pytest.mark.parametrize("more", [b"\x00", b"<html>", bytes(7), bytes(20)])
def test_a_film_with_something_behind_it_is_refused(write: Write, mp4: Any, more: bytes) -> None:
    """Boxes end exactly where the file ends; a size of zero hides nothing small."""
    with pytest.raises(NotMedia):
        probe(write(mp4(60) + more[:7]), "video")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><p>Sorry", "HTML page"),
        (b"\n  <html>", "HTML page"),
        (b'<?xml version="1.0"?><Error/>', "XML"),
        (b'{"code": 403}', "JSON"),
        (b"\xef\xbb\xbf[1]", "JSON"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "PNG"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "JPEG"),
        (b"\x1a\x45\xdf\xa3" + bytes(50), "WebM"),
        (b"PK\x03\x04" + bytes(50), "ZIP"),
        (b"hello there", "something else"),
        (FTYP, "no index"),
        (FTYP + MDAT, "no index"),
        (FTYP + box(b"moov", mvhd(600)), "no picture"),
        (FTYP + box(b"moov", mvhd(600)) + box(b"mdat"), "no picture"),
        (FTYP + box(b"moov", mvhd(0)) + MDAT, "no duration"),
        (FTYP + box(b"moov", mvhd(0xFFFFFFFF)) + MDAT, "no duration"),
        (FTYP + box(b"moov", mvhd(600, scale=0)) + MDAT, "no duration"),
        (FTYP + box(b"moov") + MDAT, "no duration"),
        (FTYP + box(b"moov", box(b"mvhd", bytes(4))) + MDAT, "too short"),
    ],
)
def test_33_what_is_no_film_is_refused_in_words(write: Write, data: bytes, why: str) -> None:
    """The sentence says what came instead."""
    with pytest.raises(NotMedia, match=why):
        probe(write(data), "video")


@pytest.mark.parametrize(
    "data",
    [
        FTYP + box(b"moov", size=7),
        FTYP + box(b"moov", size=0xFFFFFFFF),
        FTYP + box(b"moov", size=2**64 - 1, large=True),
        FTYP + box(b"moov", size=3, large=True),
        FTYP + struct.pack(">I4s", 1, b"moov"),
        FTYP + box(b"moov", mvhd(600) + box(b"trak", size=2**31)) + MDAT,
        FTYP + box(b"moov", mvhd(600) + box(b"trak", box(b"tkhd", b"abc", size=2**20))) + MDAT,
    ],
)
def test_a_hostile_size_is_refused(write: Write, data: bytes) -> None:
    """A box can neither be smaller than its header nor larger than what is around it."""
    with pytest.raises(NotMedia, match="MP4"):
        probe(write(data), "video")


def test_a_million_boxes_are_refused(write: Write) -> None:
    """Neither many boxes nor deep ones cost more than a moment."""
    with pytest.raises(NotMedia, match="more than"):
        probe(write(FTYP + box(b"free") * 300_000), "video")
    nested = b""
    for _ in range(3000):
        nested = box(b"trak", nested)
    assert probe(write(FTYP + box(b"moov", mvhd(600) + nested) + MDAT), "video").duration == 1.0


def wav(seconds: float, *, claims: int | None = None) -> bytes:
    """Return silence, perhaps with a wrong length in its head."""
    data = bytes(int(8000 * seconds) * 2)
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16) + b"data" + struct.pack("<I", len(data))
    size = len(head) + len(data) if claims is None else claims
    return b"RIFF" + struct.pack("<I", size) + head + data


def test_audio_is_measured_by_content(write: Write, mp4: Any) -> None:
    """WAV and MP3, whatever the file is called."""
    assert probe(write(wav(1.5)), "audio").duration == pytest.approx(1.5)
    frame = b"\xff\xfb\x90\x00" + bytes(413)
    assert probe(write(frame * 100), "audio").duration == pytest.approx(2.6, abs=0.1)
    assert probe(write(wav(1.5, claims=0xFFFFFFFF)), "audio").kind == "audio"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"<html>", "HTML page, not an audio file"),
        (b"ID3", "no MP3"),
        (b"\xff\xfb nonsense", "no MP3"),
        (wav(1.0)[:8000], "cut short: 8000 of 16044"),
        (b"fLaC" + bytes(100), "not an audio file"),
        (FTYP, "no index"),
    ],
)
def test_what_is_no_audio_is_refused(write: Write, data: bytes, why: str) -> None:
    """Also what begins like audio."""
    with pytest.raises(NotMedia, match=why):
        probe(write(data), "audio")


def test_an_unknown_kind_is_a_mistake_of_the_caller(write: Write) -> None:
    """Only ``video`` and ``audio`` are files."""
    with pytest.raises(ValueError, match="value"):
        probe(write(b"x"), "value")
