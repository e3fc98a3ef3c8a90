"""The project's root, confined paths, and where things lie.

The root is the nearest folder upward that has ``.renderer/`` or ``.git``, else the manifest's folder. Everything
that is read stays inside it; everything that is written stands under ``home``, which is the root itself or, in a
rehearsal (``--sandbox``), ``.renderer/sandbox/``: the same relative paths with another beginning, so that a
rehearsal shares nothing with the real thing. This module knows paths, not what the files hold.
"""

import os
import re
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from renderer.errors import UsageError

_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*\\\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]')
_NAME_BYTES = 255


class PathError(ValueError):
    """A path that a manifest may not use. The message is one sentence without the place."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project: ``root`` is where it is read from, ``home`` where everything is written to (both resolved)."""

    root: Path
    home: Path

    @property
    def sandboxed(self) -> bool:
        """Whether this is a rehearsal."""
        return self.home != self.root

    def sandbox(self) -> "Project":
        """Return the same project with its rehearsal home."""
        return Project(self.root, self.root / ".renderer" / "sandbox")

    @property
    def state(self) -> Path:
        """``.renderer/`` of the home: ledger, locks, cache, partial downloads."""
        return self.home / ".renderer"

    @property
    def ignored(self) -> Path:
        """The file that keeps all of ``.renderer/`` out of git, so that no link or ledger is ever committed."""
        return self.root / ".renderer" / ".gitignore"

    @property
    def ledger(self) -> Path:
        """The folder of the ledgers, one ``<release>.jsonl`` each."""
        return self.state / "ledger"

    @property
    def lock(self) -> Path:
        """The file whose OS lock means "a run is working"."""
        return self.state / "locks" / "project"

    def lockfile(self, manifest: str) -> Path:
        """Return the lockfile of a manifest (its path relative to the root)."""
        return (self.home / manifest).with_suffix(".lock")

    def output(self, path: str) -> Path:
        """Return where an output (relative to the root) stands."""
        return self.home / path

    def relative(self, path: Path) -> str:
        """Return ``path`` relative to the root with ``/``; a path outside is returned whole."""
        try:
            return path.relative_to(self.root).as_posix()
        except ValueError:
            return path.as_posix()

    def source(self, manifest: str, text: str) -> Path:
        """Return the regular file that ``text`` names from a manifest's folder.

        Raises :class:`PathError` where it is absolute, leaves the project (also through a symlink), does not exist,
        is not a regular file, or belongs to git or to a run (what stands there is no one's to send away).
        """
        path = self._join(manifest, text)
        try:
            real = path.resolve(strict=True)
            mode = real.stat().st_mode
        except FileNotFoundError:
            raise PathError(f"there is no file {self.relative(path)!r}") from None
        except (OSError, RuntimeError) as error:
            why = error.strerror if isinstance(error, OSError) else "its symbolic links lead in a circle"
            raise PathError(f"{self.relative(path)!r} cannot be read: {why}") from None
        if not real.is_relative_to(self.root):
            raise PathError(f"{text!r} leads out of the project {self.root.name!r}")
        if not stat.S_ISREG(mode):
            raise PathError(f"{self.relative(path)!r} is not a regular file")
        if _hidden(self.relative(real)):
            raise PathError(f"{self.relative(real)!r} lies in a folder that is not for sources")
        return real

    def target(self, manifest: str, text: str) -> str:
        """Return the output path that ``text`` names from a manifest's folder, relative to the root with ``/``.

        Raises :class:`PathError` where it leaves the project, is not portable, names a folder, or is (or goes
        through) a symlink.
        """
        path = self._join(manifest, text)
        relative = self.relative(path)
        for part in PurePosixPath(relative).parts:
            if (why := unportable(part)) is not None:
                raise PathError(f"{relative!r} is not a portable path: {why}")
        if path == self.root or text.endswith("/"):
            raise PathError(f"{text!r} names a folder, not a file")
        if _hidden(relative):
            raise PathError(f"{relative!r} lies in a folder that is not for outputs")
        self.check_target(relative)
        if self.output(relative).is_dir():
            raise PathError(f"{relative!r} is a folder")
        return relative

    def check_target(self, relative: str) -> None:
        """Raise :class:`PathError` where an output path (relative to the root) is, or goes through, a symlink."""
        path = self.home
        for part in PurePosixPath(relative).parts:
            path = path / part
            try:
                linked = path.is_symlink()
            except OSError as error:
                raise PathError(f"{relative!r} cannot be written: {error.strerror}") from None
            if linked:
                raise PathError(f"{relative!r} goes through the symbolic link {self.relative(path)!r}")

    def _join(self, manifest: str, text: str) -> Path:
        if not text or "\\" in text or _FORBIDDEN.search(text) or not _encodable(text):
            raise PathError(f"{text!r} is not a portable path")
        if PurePosixPath(text).is_absolute() or text.startswith("~"):
            raise PathError(f"{text!r} is not relative to the manifest")
        path = Path(os.path.normpath(self.root / PurePosixPath(manifest).parent / text))
        if not path.is_relative_to(self.root):
            raise PathError(f"{text!r} leads out of the project {self.root.name!r}")
        return path


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _hidden(relative: str) -> bool:
    """Whether a path lies in git's folder or in that of the runs, also on systems that ignore case."""
    return relative.split("/", maxsplit=1)[0].casefold() in (".renderer", ".git")


def unportable(name: str) -> str | None:
    """Return why a file name would not work on every system, or None where it would."""
    if name != unicodedata.normalize("NFC", name):
        return f"{name!r} is not in Unicode form NFC"
    if _FORBIDDEN.search(name):
        return f"{name!r} has a character that file names cannot have"
    if _RESERVED.fullmatch(name):
        return f"{name!r} is a reserved name on Windows"
    if name.endswith((".", " ")) or name.startswith(" "):
        return f"{name!r} begins or ends with a space, or ends with a dot"
    if len(name.encode("utf-8", "surrogatepass")) > _NAME_BYTES:
        return f"it has a part of more than {_NAME_BYTES} bytes"
    return None


def find_project(start: Path, *, given: Path | None = None) -> Project:
    """Return the project that ``start`` (a manifest or a folder) belongs to, or the one at ``given``.

    Raises :class:`UsageError` where ``given`` is not a folder.
    """
    if given is not None:
        if not given.is_dir():
            raise UsageError(f"--project {given} is not a folder")
        root = given.resolve()
        return Project(root, root)
    folder = start.resolve() if start.is_dir() else start.resolve().parent
    for candidate in (folder, *folder.parents):
        # A rehearsal's home has a .renderer of its own; it is never a project.
        if (candidate / ".renderer").is_dir() or (candidate / ".git").exists():
            return Project(candidate, candidate)
    return Project(folder, folder)
