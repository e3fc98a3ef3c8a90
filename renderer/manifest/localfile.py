"""The local files that a manifest names: the content of a text file, or the facts of a file to be uploaded.

The only importer of ``mutagen``, which reads how long audio is. Paths are confined by ``project`` before they are
opened here. Hashes are remembered by path, size and time of change within one :class:`Files`, which lives for one
expansion: a file that changes afterwards is hashed anew the next time.
"""

import hashlib
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

import mutagen

from renderer.manifest.job import Upload
from renderer.project import PathError, Project

MAX_TEXT = 10_000_000
MAX_DATA = 100_000_000
MAX_UPLOAD = 2_000_000_000
_BLOCK = 1 << 20
_AUDIO = frozenset({".mp3", ".m4a", ".wav", ".aac", ".flac", ".ogg", ".opus"})


class FileError(ValueError):
    """A file cannot be used as it is. The message is one sentence without the place."""


@dataclass(slots=True)
class Files:
    """Reads the files of one project for one expansion."""

    project: Project
    _texts: dict[Path, str] = field(default_factory=dict)
    _uploads: dict[tuple[Path, int, int], Upload] = field(default_factory=dict)

    def content(self, manifest: str, text: str, *, limit: int = MAX_TEXT) -> str:
        """Return a text file's content: its BOM dropped, CR LF read as LF, else byte for byte.

        ``manifest`` is the path of the manifest that names it, ``limit`` the most bytes. Raises :class:`PathError`
        and :class:`FileError`.
        """
        path = self.project.source(manifest, text)
        if path not in self._texts:
            data = _read(path, limit).removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
            try:
                self._texts[path] = data.decode()
            except UnicodeDecodeError as error:
                line = data.count(b"\n", 0, error.start) + 1
                byte = f"0x{data[error.start]:02x}"
                raise FileError(f"{self.project.relative(path)!r} is not UTF-8: byte {byte} in line {line}") from None
        return self._texts[path]

    def upload(self, manifest: str, text: str) -> Upload:
        """Return the facts of a file that a provider must receive. Raises :class:`PathError`, :class:`FileError`."""
        path = self.project.source(manifest, text)
        try:
            facts = path.stat()
        except OSError as error:
            raise PathError(f"{text!r} cannot be read: {error.strerror}") from None
        key = (path, facts.st_size, facts.st_mtime_ns)
        if key not in self._uploads:
            if facts.st_size > MAX_UPLOAD:
                raise FileError(f"{text!r} has {facts.st_size:,} bytes; the limit is {MAX_UPLOAD:,}")
            if facts.st_size == 0:
                raise FileError(f"{text!r} is empty")
            relative = self.project.relative(path)
            self._uploads[key] = Upload(relative, _hash(path), facts.st_size, _duration(path))
        return self._uploads[key]


def audio_length(path: Path) -> float | None:
    """Return how long an audio file is, in seconds, or None where that cannot be read from it."""
    try:
        found = mutagen.File(path)
    except (mutagen.MutagenError, OSError, ValueError, ArithmeticError, LookupError):
        # mutagen reads hostile bytes; some of its parsers let Python's own errors through.
        return None
    length = getattr(getattr(found, "info", None), "length", None)
    return float(length) if isinstance(length, int | float) and 0 < length < float("inf") else None


def _duration(path: Path) -> float | None:
    return audio_length(path) if path.suffix.lower() in _AUDIO else None


def _open(path: Path) -> int:
    """Open a regular file without waiting: a FIFO in its place would wait for a writer for ever."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise FileError(f"{path.name!r} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileError(f"{path.name!r} is not a regular file")
    return descriptor


def _read(path: Path, limit: int) -> bytes:
    with os.fdopen(_open(path), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise FileError(f"{path.name!r} has more than {limit:,} bytes")
    return data


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with os.fdopen(_open(path), "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
