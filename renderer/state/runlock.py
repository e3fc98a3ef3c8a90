"""One writer per project, and who it is.

The lock is the operating system's, on ``.renderer/locks/project``: it dies with the process that holds it, however that
ends, so there is no stale lock and nothing to clean up. The lock file is empty and never deleted (who deletes a
locked file lets a second writer lock its successor). Who holds it stands beside it, in ``project.holder``, for people::

    {"command": "renderer apply specs", "host": "cedar", "pid": 4711, "since": "2026-03-01T10:00:00Z", "user": "anna"}

That file proves nothing by itself: a killed run leaves it behind. Whether it is true is asked of the lock.

A reader can only ask by taking the lock for some microseconds. So that this neither makes a run fail nor makes
another reader believe in a writer, both try again for a moment before they believe that the lock is held.
"""

import contextlib
import getpass
import json
import os
import socket
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import filelock

from renderer.errors import DiskError, LockedError
from renderer.project import Project

_MOMENT = 0.25  # seconds; a reader holds the lock for some microseconds
_BETWEEN = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds the lock; ``since`` is RFC 3339 in UTC. Empty texts and pid 0 where it cannot be known."""

    pid: int = 0
    host: str = ""
    user: str = ""
    command: str = ""
    since: str = ""

    def __str__(self) -> str:
        """Return who, where and since when, in words."""
        if not self.pid:
            return "another process"
        what = f" ({self.command})" if self.command else ""
        return f"process {self.pid} of {self.user or 'somebody'} on {self.host}{what} since {self.since}"


class RunLock:
    """The right to write a project, held while the context lasts.

    Entering raises :class:`LockedError`, which says who, where and since when, if another run has it (this takes a
    quarter of a second, nothing is written), and :class:`DiskError` where the lock's file cannot be made.
    """

    def __init__(self, project: Project, *, command: str | None = None) -> None:
        """Take the project, and what to show others as the command (the process's own without it)."""
        self._path = project.lock
        self._command = _command() if command is None else command
        self._lock = _lock(project.lock)

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=_MOMENT, poll_interval=_BETWEEN)
        except filelock.Timeout:
            raise LockedError(
                f"another run is working on this project: {_read(self._path)}",
                hint="wait until it has ended (nothing was sent); it may be interrupted safely",
            ) from None
        except (OSError, NotImplementedError) as error:
            raise _unusable(self._path, error) from None
        try:
            _write(self._path, self._command)
        except OSError as error:
            self._lock.release()
            raise _unusable(self._path, error) from None
        return self

    def __exit__(self, *_: object) -> None:
        # Before the release: afterwards it may already be the next one's. It proves nothing, and a disk that refuses
        # has most likely refused more: whatever ended the run is what must be told.
        with contextlib.suppress(OSError):
            _holder(self._path).unlink(missing_ok=True)
        self._lock.release()


def holder(project: Project) -> Holder | None:
    """Return who is working on the project now, or None. Removes nothing, whatever it finds.

    Raises :class:`DiskError` where the lock cannot be asked.
    """
    if not project.lock.exists():
        return None
    try:
        with _lock(project.lock).acquire(timeout=_MOMENT, poll_interval=_BETWEEN):
            return None
    except filelock.Timeout:
        return _read(project.lock)
    except (OSError, NotImplementedError) as error:
        raise _unusable(project.lock, error) from None


def _lock(path: Path) -> filelock.FileLock:
    # A soft lock, filelock's substitute where the file system has no real ones, would outlive its process.
    return filelock.FileLock(path, thread_local=False, fallback_to_soft=False)


def _holder(path: Path) -> Path:
    return path.with_name(f"{path.name}.holder")


def _read(path: Path) -> Holder:
    """Return what the holder says of itself; an unknown holder where that cannot be read (it may just be starting)."""
    try:
        said = json.loads(_holder(path).read_bytes())
        return Holder(
            pid=int(said["pid"]),
            host=str(said["host"]),
            user=str(said["user"]),
            command=str(said["command"]),
            since=str(said["since"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Holder()


def _write(path: Path, command: str) -> None:
    me = Holder(
        pid=os.getpid(),
        host=socket.gethostname(),
        user=_user(),
        command=command,
        since=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
    temporary = path.with_name(f".{path.name}.holder.tmp")
    temporary.write_text(json.dumps(asdict(me), sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(_holder(path))


def _command() -> str:
    return " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return ""


def _unusable(path: Path, error: Exception) -> DiskError:
    why = getattr(error, "strerror", None) or str(error)
    return DiskError(
        f"the project's lock {path} cannot be used: {why}",
        hint="check who owns .renderer and whether its file system has locks; nothing was sent",
    )
