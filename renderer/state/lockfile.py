r"""Records on disk: header, checksum, append, torn tail, compaction. Bytes only; what facts mean is ``history``'s.

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
"""

import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from renderer.errors import DiskError
from renderer.project import Project

VERSION = 1
HEADER = b'{"renderer-lock":1}'
_ANY_HEADER = re.compile(rb'\{"renderer-lock":\s*(\d+)\}')
_TAIL = re.compile(rb',"crc":"([0-9a-f]{8})"\}')
_TAIL_LENGTH = len(b',"crc":"00000000"}')
_MARKERS = (b"<<<<<<< ", b"=======", b">>>>>>> ", b"||||||| ")
_SKIPPED = frozenset({"node_modules"})


@dataclass(frozen=True, slots=True)
class Contents:
    """What a record file holds: its records, and how many of its bytes are whole (a torn tail follows them)."""

    records: tuple[dict[str, Any], ...]
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
    records: list[dict[str, Any]] = []
    decoder = msgspec.json.Decoder(dict[str, Any])
    lines = data.split(b"\n")
    tail = lines.pop()
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip(b"\r")
        if not line or line == HEADER or line.startswith(_MARKERS):
            continue
        if (found := _ANY_HEADER.fullmatch(line)) is not None:
            raise _newer(file, int(found[1]))
        record = _record(line, decoder)
        if record is None:
            raise _damaged(file, number)
        records.append(record)
    if (last := tail.rstrip(b"\r")) and last != HEADER and not last.startswith(_MARKERS):
        record = _record(last, decoder)
        if record is not None:
            records.append(record)
        elif _TAIL.fullmatch(last[-_TAIL_LENGTH:]):
            # It reaches its checksum and does not fit it: not a cut write.
            raise _damaged(file, len(lines) + 1)
        else:
            return Contents(tuple(records), len(data) - len(tail), len(tail))
    return Contents(tuple(records), len(data))


def _record(line: bytes, decoder: msgspec.json.Decoder[dict[str, Any]]) -> dict[str, Any] | None:
    found = _TAIL.fullmatch(line[-_TAIL_LENGTH:])
    if found is None or int(found[1], 16) != zlib.crc32(line[:-_TAIL_LENGTH]):
        return None
    try:
        record = decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    del record["crc"]
    return record


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


def is_lockfile(path: Path) -> bool:
    """Return whether a file begins with a lockfile's header (of any version), conflict markers aside."""
    try:
        with path.open("rb") as stream:
            start = stream.read(4096)
    except OSError:
        return False
    for line in start.split(b"\n"):
        if line.strip() and not line.startswith(_MARKERS):
            return _ANY_HEADER.fullmatch(line.rstrip(b"\r")) is not None
    return False


def read(path: Path, *, file: str) -> Contents:
    """Return what a record file holds; an absent or empty one holds nothing.

    Raises :class:`DiskError` where it cannot be read, is damaged, is of a newer version, or is no record file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DiskError(f"{file} is not a regular file", hint="move it aside")
        data = path.read_bytes()
    except FileNotFoundError:
        return Contents((), 0)
    except OSError as error:
        raise DiskError(f"{file} cannot be read: {error.strerror}", hint="check who owns it") from None
    if HEADER.startswith(data):
        # Nothing, or a header whose write was cut.
        return Contents((), 0, len(data))
    if not is_lockfile(path):
        raise DiskError(
            f"{file}:1:1: this is not a lockfile: it does not begin with {HEADER.decode()}",
            hint="restore it from git, or let renderer rebuild set it aside and hold what it cannot account for",
        )
    return decode(data, file=file)


def lockfiles(project: Project) -> Iterator[Path]:
    """Yield every lockfile under the project's home; hidden folders and ``node_modules`` are skipped."""
    for folder, folders, files in os.walk(project.home):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _SKIPPED)
        for name in sorted(files):
            path = Path(folder, name)
            if name.endswith(".lock") and is_lockfile(path):
                yield path


def ledgers(project: Project) -> Iterator[Path]:
    """Yield every ledger of the project."""
    if project.ledger.is_dir():
        yield from sorted(project.ledger.glob("*.jsonl"))


class Appender:
    """A record file that is open for appending. Its torn tail is dropped when it is opened.

    Raises :class:`DiskError` for anything that the disk refuses; after that nothing more may be sent.
    """

    def __init__(self, path: Path, *, file: str) -> None:
        """Open (and create) the file at ``path``; ``file`` is its name for messages."""
        contents = read(path, file=file)
        self._file = file
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True)
                sync_folder(path.parent.parent)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                os.ftruncate(self._handle, contents.whole)
                if contents.whole == 0:
                    self._write(HEADER + b"\n")
                elif os.pread(self._handle, 1, contents.whole - 1) != b"\n":
                    self._write(b"\n")
                os.fsync(self._handle)
                sync_folder(path.parent)
            except BaseException:
                os.close(self._handle)
                raise
        except OSError as error:
            raise self._refused(error) from None

    def append(self, lines: bytes) -> None:
        """Write whole lines and return when they are durable."""
        try:
            self._write(lines)
            # A failed fsync may have dropped the very pages that a second one would call clean: never retried.
            os.fsync(self._handle)
        except OSError as error:
            raise self._refused(error) from None

    def _write(self, lines: bytes) -> None:
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(self._handle, rest) :]

    def _refused(self, error: OSError) -> DiskError:
        return DiskError(
            f"{self._file} cannot be written: {error.strerror}",
            hint="free some space or check who owns it, then run the same command again: nothing is bought twice",
        )

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def rewrite(path: Path, records: Iterable[Mapping[str, Any]], *, file: str) -> bool:
    """Replace a record file by one that holds ``records``, whole or not at all; return whether it changed.

    Raises :class:`DiskError` where the disk refuses; the old file is then still there.
    """
    data = b"".join([HEADER, b"\n", *map(encode, records)])
    # Only the one writer rewrites: what it leaves behind when it is killed, the next overwrites.
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        if path.exists() and path.read_bytes() == data:
            return False
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise DiskError(f"{file} cannot be rewritten: {error.strerror}", hint="the old one is untouched") from None
    return True


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable: a new or renamed file in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
