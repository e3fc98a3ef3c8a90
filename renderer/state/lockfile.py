"""Record files on disk: which there are, reading them, appending, and replacing one whole.

``lines`` says what stands in them, line by line; what the facts mean is ``history``'s.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from renderer.errors import DiskError
from renderer.project import Project
from renderer.state.lines import ANY_HEADER, HEADER, MARKERS, Contents, chunks, decode, encode

__all__ = [
    "HEADER",
    "Appender",
    "Contents",
    "decode",
    "encode",
    "is_lockfile",
    "ledgers",
    "lockfiles",
    "open_records",
    "read",
    "rewrite",
    "sync_folder",
]

_SKIPPED = frozenset({"node_modules"})
_PIECE = 1 << 20


def is_lockfile(path: Path) -> bool:
    """Return whether a file begins with a lockfile's header (of any version), conflict markers aside."""
    try:
        with path.open("rb") as stream:
            start = stream.read(4096)
    except OSError:
        return False
    for line in start.split(b"\n"):
        if line.strip() and not line.startswith(MARKERS):
            return ANY_HEADER.fullmatch(line.rstrip(b"\r")) is not None
    return False


def open_records(path: Path, *, file: str) -> BinaryIO | None:
    """Open a record file for reading; None where it is absent, or holds no more than a part of its header.

    Raises :class:`DiskError` where it cannot be read, or is no record file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DiskError(f"{file} is not a regular file", hint="move it aside")
        stream = path.open("rb")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DiskError(f"{file} cannot be read: {error.strerror}", hint="check who owns it") from None
    start = stream.read(len(HEADER) + 1)
    stream.seek(0)
    if HEADER.startswith(start):
        # Nothing, or a header whose write was cut.
        stream.close()
        return None
    if not is_lockfile(path):
        stream.close()
        raise DiskError(
            f"{file}:1:1: this is not a lockfile: it does not begin with {HEADER.decode()}",
            hint="restore it from git, or let renderer rebuild set it aside and hold what it cannot account for",
        )
    return stream


def read(path: Path, *, file: str) -> Contents:
    """Return all that a record file holds; an absent or empty one holds nothing. For small ones: ``archive`` is not.

    Raises :class:`DiskError` where it cannot be read, is damaged, is of a newer version, or is no record file.
    """
    stream = open_records(path, file=file)
    if stream is None:
        return Contents((), 0)
    with stream:
        return decode(stream.read(), file=file)


def _whole(path: Path, *, file: str) -> int:
    """Return how many bytes of a record file are whole; a torn tail follows them. Raises as :func:`read`."""
    stream = open_records(path, file=file)
    whole = 0
    if stream is not None:
        with stream:
            for chunk in chunks(stream, file=file):
                whole = chunk.end
    return whole


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
        whole = _whole(path, file=file)
        self._file = file
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True)
                sync_folder(path.parent.parent)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                os.ftruncate(self._handle, whole)
                if whole == 0:
                    self._write(HEADER + b"\n")
                elif os.pread(self._handle, 1, whole - 1) != b"\n":
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
    # Only the one writer rewrites: what it leaves behind when it is killed, the next overwrites.
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(HEADER + b"\n")
            stream.writelines(map(encode, records))
            stream.flush()
            if changed := not _equal(path, temporary):
                os.fsync(stream.fileno())
        if changed:
            temporary.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise DiskError(f"{file} cannot be rewritten: {error.strerror}", hint="the old one is untouched") from None
    finally:
        temporary.unlink(missing_ok=True)
    return changed


def _equal(path: Path, other: Path) -> bool:
    """Return whether two files have the same bytes; an absent one is equal to none."""
    if not path.exists() or path.stat().st_size != other.stat().st_size:
        return False
    with path.open("rb") as one, other.open("rb") as two:
        while piece := one.read(_PIECE):
            if piece != two.read(_PIECE):
                return False
    return True


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable: a new or renamed file in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
