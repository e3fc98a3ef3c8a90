"""Files that appear whole or not at all, and disk errors in words.

A file is written under a temporary name in its own folder, made durable, renamed, and its folder is made durable. The
temporary name depends on the final one alone, so what a killed run left behind is overwritten by the next. This
module does not know what the files are for.
"""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from renderer.errors import DiskError
from renderer.state.lockfile import sync_folder

# EFBIG: a limit on file size (ulimit -f) is a disk that is full, as far as a file is concerned.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_CANNOT_CLONE = frozenset({errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM})
_PIECE = 1 << 20
_CLONE = 1 << 30


class DiskFull(DiskError):
    """No space is left for a file. What is there so far is kept."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` about ``path`` into :class:`DiskFull` or :class:`DiskError`."""
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        if error.errno in _FULL:
            hint = "free some space, then run the same command again: nothing is bought twice"
            raise DiskFull(f"{path} cannot be written: {why}", hint=hint) from None
        raise DiskError(f"{path} cannot be used: {why}", hint="check who owns it and whether it is writable") from None


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, durably. Raises ``OSError``."""
    missing = [folder, *folder.parents]
    missing = missing[: next(i for i, path in enumerate(missing) if path.exists())]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        sync_folder(path.parent)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def write_whole(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write ``data`` to ``path``, durably. ``mode`` is subject to the umask. Raises :class:`DiskError`."""
    with disk_errors(path):
        make_folder(path.parent)
        with _appearing(path, mode=mode) as file:
            file.write(data)


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file to ``target``, durably, as a clone where the file system can. Raises :class:`DiskError`.

    Never a hard link: who edits one of the two must not edit the other.
    """
    with disk_errors(target):
        make_folder(target.parent)
        with source.open("rb") as original, _appearing(target) as file:
            _copy(original, file)


def move_whole(source: Path, target: Path) -> None:
    """Move a file to ``target``, durably, also to another file system. Raises :class:`DiskError`."""
    with disk_errors(target):
        make_folder(target.parent)
        try:
            source.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            copy_whole(source, target)
            source.unlink()
        sync_folder(target.parent)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, in hex. Raises :class:`DiskError`."""
    with disk_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(folders: Iterable[Path]) -> None:
    """Prove that files can be made in each folder, or in the nearest one above that exists.

    A real file is tried, since permissions do not tell of read-only file systems. Raises :class:`DiskError` that
    names every folder where none can.
    """
    refused = []
    nearest = {next(path for path in (folder, *folder.parents) if path.exists()) for folder in folders}
    for folder in sorted(nearest):
        try:
            with tempfile.TemporaryFile(dir=folder, prefix=".renderer-"):
                pass
        except OSError as error:
            refused.append(f"{folder}: {error.strerror}")
    if refused:
        raise DiskError(
            "no file can be written in " + "; ".join(refused),
            hint="check who owns it and whether it is read-only; nothing was sent",
        )


@contextmanager
def _appearing(path: Path, *, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Give a file that becomes ``path`` at the end, and nothing at all where that end is not reached."""
    name = hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    temporary = path.with_name(f".renderer-{name}.tmp")
    temporary.unlink(missing_ok=True)
    # O_EXCL follows no symlink and opens nothing that somebody else put there.
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _copy(original: BinaryIO, file: BinaryIO) -> None:
    try:
        while os.copy_file_range(original.fileno(), file.fileno(), _CLONE):
            pass
    except AttributeError:  # only Linux has it
        shutil.copyfileobj(original, file, _PIECE)
    except OSError as error:
        if error.errno not in _CANNOT_CLONE:
            raise
        # Whatever was copied so far moved both files' positions along.
        shutil.copyfileobj(original, file, _PIECE)
