r"""Record files as bytes: records -> lines, and lines -> records, each line held against its checksum.

The format (version 1), shared by lockfiles (``specs/spring.lock``) and ledgers (``.renderer/ledger/spring.jsonl``):

- UTF-8, one JSON object a line, ``\n`` after each. The first line is the header ``{"renderer-lock":1}``.
- The last key of each record line is ``crc``: the CRC-32 of the line's bytes up to the comma before ``"crc"``, as 8
  lower-case hex digits. Nothing else in a line is fixed: keys may come in any order, unknown ones are kept.
- Files only grow, by whole lines that are written at once and fsynced. A last line without its ``\n`` that does not
  reach its checksum is *torn*: the write was cut. It is dropped, on disk only before the next append.
- What git may leave in it is no damage: repeated headers and records, any order, ``\r`` before ``\n``, blank lines,
  and the lines of conflict markers.
- Any other damage is refused, with its line. So is a newer version, by its number.

Considered and left out: a binary format (git could not merge it by lines), a length prefix (an editor that adds a
``\r`` would break each line), a rewritten file per run (a crash between two files loses what one knew), SQLite (no
merge at all). A file grows by about 1 KB a video; compaction folds a video's records into one line.

Reading has two lanes. A block of plain lines is decoded in one call into :class:`Sketch` values (which facts a line
has, and of ``intended`` what finds a submission), and all its checksums are compared at once. A block with anything
else in it, be it harmless or damaged, is read again line by line. The rules stand in the second lane alone.
"""

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import accumulate
from typing import Any, BinaryIO, TypeAlias

import msgspec

from renderer.errors import DiskError

Record: TypeAlias = dict[str, Any]

VERSION = 1
HEADER = b'{"renderer-lock":1}'
ANY_HEADER = re.compile(rb'\{"renderer-lock":\s*(\d+)\}')
MARKERS = (b"<<<<<<< ", b"=======", b">>>>>>> ", b"||||||| ")
_TAIL = re.compile(rb',"crc":"([0-9a-f]{8})"\}')
_TAIL_LENGTH = len(b',"crc":"00000000"}')
# What is cut into lines and decoded stays in the processor's cache: larger blocks are slower.
_BLOCK = 1 << 15


class Intended(msgspec.Struct, gc=False):
    """What finds a submission, of its ``intended``; the rest stays on disk."""

    job: str = ""
    provider: str = ""
    origin: str | None = ""
    fingerprint: str = ""
    declared: str = ""
    over: str | None = None
    keyed: bool = False


class Known(msgspec.Struct, gc=False):
    """A fact of which only its presence matters."""


class Sketch(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A record line in outline. ``more``: it has keys that this version does not know."""

    crc: str
    submission: str | None = None
    intended: Intended | None = None
    refused: Known | None = None
    accepted: Known | None = None
    failed: Known | None = None
    rendered: Known | None = None
    saved: Known | None = None
    closed: Known | None = None
    note: Known | None = None
    upload: Known | None = None
    approved: Known | None = None
    more: bool = msgspec.field(default=False, name="")


_NAMES = frozenset(field.encode_name for field in msgspec.structs.fields(Sketch)) - {"crc", ""}
_SKETCH = msgspec.json.Decoder(Sketch)
_RECORD = msgspec.json.Decoder(Record)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some record lines of a file, without their line ends; where each begins; and where the whole ones end, so far."""

    lines: Sequence[bytes]
    sketches: Sequence[Sketch]
    offsets: Sequence[int]
    end: int


@dataclass(frozen=True, slots=True)
class Contents:
    """What a record file holds: its records, and how many of its bytes are whole (a torn tail follows them)."""

    records: tuple[Record, ...]
    whole: int
    torn: int = 0


def encode(record: Mapping[str, Any]) -> bytes:
    """Return a record as one line with its checksum."""
    body = msgspec.json.encode({key: value for key, value in record.items() if key != "crc"})[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def decode(data: bytes, *, file: str) -> Contents:
    """Return what the bytes of a record file hold.

    ``file`` is its name for messages. Raises :class:`DiskError` for damage and for a newer version.
    """
    records: list[Record] = []
    whole = 0
    for chunk in chunks(BytesIO(data), file=file):
        for line, offset in zip(chunk.lines, chunk.offsets, strict=True):
            if (record := decode_line(line)) is None:
                raise _damaged(file, data.count(b"\n", 0, offset) + 1)
            records.append(record)
        whole = chunk.end
    return Contents(tuple(records), whole, len(data) - whole)


def decode_line(line: bytes) -> Record | None:
    """Return the record of a line, or None where it does not fit its checksum, or is none."""
    if not _fits(line):
        return None
    try:
        record = _RECORD.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    del record["crc"]
    return record


def chunks(stream: BinaryIO, *, file: str) -> Iterator[Chunk]:
    """Yield the record lines of a file, sketched, every checksum compared.

    The last chunk's ``end`` tells how many bytes are whole. Raises :class:`DiskError` for damage and a newer version.
    """
    number, start = 1, 0
    rest: list[bytes] = []
    while block := stream.read(_BLOCK):
        cut = block.rfind(b"\n") + 1
        if not cut:
            rest.append(block)
            continue
        whole = b"".join([*rest, block[:cut]])
        rest = [block[cut:]]
        lines = whole.split(b"\n")
        lines.pop()
        yield _plain(whole, lines, start) or _careful(lines, start, number, file)
        number += len(lines)
        start += len(whole)
    yield _last(b"".join(rest), start, number, file)


def _plain(block: bytes, lines: Sequence[bytes], start: int) -> Chunk | None:
    """Return the chunk of a block in which every line is a plain record that fits its checksum, else None."""
    try:
        sketches = _SKETCH.decode_lines(block)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if len(sketches) != len(lines):
        return None
    sums = struct.pack(f">{len(lines)}I", *[zlib.crc32(line[:-_TAIL_LENGTH]) for line in lines])
    if sums.hex() != "".join([sketch.crc for sketch in sketches]):
        return None
    starts = list(accumulate([len(line) + 1 for line in lines], initial=start))
    return Chunk(lines, sketches, starts[:-1], starts[-1])


def _careful(lines: Iterable[bytes], start: int, number: int, file: str) -> Chunk:
    """Return the chunk of lines of which some are no plain records. Raises :class:`DiskError` for what is damage."""
    kept, sketches, offsets = [], [], []
    for at, raw in enumerate(lines, number):
        line = raw.rstrip(b"\r")
        if not _ignored(line):
            if (found := ANY_HEADER.fullmatch(line)) is not None:
                raise _newer(file, int(found[1]))
            if (sketch := _sketch(line)) is None:
                raise _damaged(file, at)
            kept.append(line)
            sketches.append(sketch)
            offsets.append(start)
        start += len(raw) + 1
    return Chunk(kept, sketches, offsets, start)


def _last(tail: bytes, start: int, number: int, file: str) -> Chunk:
    """Return the chunk of what follows the last line end: nothing, a whole line, or a torn one, which is left out."""
    line = tail.rstrip(b"\r")
    if _ignored(line):
        return Chunk((), (), (), start + len(tail))
    if (sketch := _sketch(line)) is not None:
        return Chunk((line,), (sketch,), (start,), start + len(tail))
    if _TAIL.fullmatch(line[-_TAIL_LENGTH:]):
        # It reaches its checksum and does not fit it: not a cut write.
        raise _damaged(file, number)
    return Chunk((), (), (), start)


def _ignored(line: bytes) -> bool:
    return not line or line == HEADER or line.startswith(MARKERS)


def _fits(line: bytes) -> bool:
    found = _TAIL.fullmatch(line[-_TAIL_LENGTH:])
    return found is not None and int(found[1], 16) == zlib.crc32(line[:-_TAIL_LENGTH])


def _sketch(line: bytes) -> Sketch | None:
    """Return the outline of one line, or None where it is damaged."""
    if (record := decode_line(line)) is None:
        return None
    known = {name: fact for name, fact in record.items() if name in _NAMES}
    try:
        return msgspec.convert({**known, "crc": "", "": len(known) < len(record)}, Sketch)
    except msgspec.ValidationError:
        return None


def _damaged(file: str, line: int) -> DiskError:
    return DiskError(
        f"{file}:{line}:1: this record does not fit its checksum, so the file was damaged or edited by hand",
        hint="restore it from git, or let renderer rebuild set it aside and hold what it cannot account for",
    )


def _newer(file: str, version: int) -> DiskError:
    return DiskError(
        f"{file}:1:1: this lockfile has version {version}; this renderer reads version {VERSION}",
        hint="install the newer renderer that wrote it",
    )
