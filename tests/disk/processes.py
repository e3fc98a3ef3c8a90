"""Real ``renderer`` processes that start in a tenth of a second and can be given a disk that fails, or a death.

They are forked from a server that has imported everything already (``multiprocessing``'s own), so that hundreds of
real kills fit into a test. In each of them any of ``CALLS`` can be made to fail, or be the last thing that the
process does: those are the functions by which our files come to be (records, cache, links, outputs). What a process
said lies in two files, its code is ``exitcode`` (negative for a signal).
"""

import errno
import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from renderer.cli.main import group

CALLS = ("write", "ftruncate", "fsync", "replace", "unlink", "mkdir", "copy_file_range")
NOBODY = 65534
_GUARD = 60.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong in a process: at the ``at``-th (from 1) of ``calls``, or never where ``at`` is 0.

    ``error`` None is SIGKILL; else the call fails with that ``errno``, and so do all later ones where ``onward``.
    ``half``: a write puts half of its bytes down before it dies or fails. ``about``: only calls for a path that
    holds this text (of writes and fsyncs: the file's own path). ``trace``: a file that gets a line for each call,
    ``lost`` one that gets what the failing writes should have written.
    """

    calls: Sequence[str] = CALLS
    at: int = 0
    error: int | None = None
    onward: bool = False
    half: bool = False
    about: str = ""
    trace: str = ""
    lost: str = ""
    file_size: int | None = None
    user: int | None = None


@dataclass(frozen=True)
class Said:
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def killed(self) -> bool:
        """Whether it was ended by SIGKILL."""
        return self.code == -signal.SIGKILL


@dataclass(frozen=True)
class Running:
    """A process that was started."""

    process: ForkServerProcess
    out: Path
    err: Path

    def end(self) -> Said:
        """Wait for its end, with a guard against hanging."""
        self.process.join(_GUARD)
        assert self.process.exitcode is not None, f"it hangs: {self.err.read_text()}"
        words = [path.read_text() if path.exists() else "" for path in (self.out, self.err)]
        return Said(self.process.exitcode, *words)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)


class Processes:
    """Starts ``renderer`` processes for one test; their words go into ``folder``."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = {"CI": "1", **env}
        self._numbers = count(1)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["tests.disk.preloaded"])
        self._started: list[ForkServerProcess] = []
        folder.mkdir(exist_ok=True)

    def start(
        self, *arguments: str | Path, fault: Fault | None = None, env: Mapping[str, str] | None = None
    ) -> Running:
        """Start ``renderer ARGUMENTS``."""
        number = next(self._numbers)
        out, err = self._folder / f"{number}.out", self._folder / f"{number}.err"
        told = [str(argument) for argument in arguments]
        process = self._context.Process(
            target=_be_renderer, args=(told, {**self._env, **(env or {})}, fault or Fault(), str(out), str(err))
        )
        process.start()
        self._started.append(process)
        return Running(process, out, err)

    def run(self, *arguments: str | Path, fault: Fault | None = None) -> Said:
        """Start ``renderer ARGUMENTS`` and wait for its end."""
        return self.start(*arguments, fault=fault).end()

    def end_all(self) -> None:
        """Kill what is still running: a test has failed."""
        for process in self._started:
            if process.is_alive():
                process.kill()
            process.join()
            process.close()


# --- in the process --------------------------------------------------------------------------------------------------


def _be_renderer(arguments: list[str], env: Mapping[str, str], fault: Fault, out: str, err: str) -> None:
    # As long as it is not the program yet, Ctrl-C ends it without a word.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.update(env)
    for path, stream in ((out, 1), (err, 2)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(handle, stream)
    sys.argv = ["renderer", *arguments]
    if fault.file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault.file_size, fault.file_size))
    if fault.user is not None:
        os.setgid(fault.user)
        os.setuid(fault.user)
    numbers = count(1)
    for name in fault.calls:
        setattr(os, name, _faulty(getattr(os, name), fault, numbers))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        group.main(arguments, prog_name="renderer")
    finally:
        # What follows is the fork's own end, no more the program's.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stdout.flush()
        sys.stderr.flush()


def _faulty(call: Callable[..., Any], fault: Fault, numbers: "count[int]") -> Callable[..., Any]:
    def faulty(*args: Any, **kwargs: Any) -> Any:
        if fault.about not in _path(args[0]):
            return call(*args, **kwargs)
        number = next(numbers)
        if fault.trace:
            with Path(fault.trace).open("a") as trace:
                trace.write(f"{call.__name__} {_path(args[0])}\n")
        if fault.at and (number == fault.at or (fault.onward and number > fault.at)):
            if fault.half and call.__name__ == "write":
                call(args[0], bytes(args[1])[: len(args[1]) // 2])
            if fault.lost and call.__name__ == "write":
                with Path(fault.lost).open("ab") as lost:
                    lost.write(args[1])
            if fault.error is None:
                os.kill(os.getpid(), signal.SIGKILL)
            raise OSError(fault.error, os.strerror(fault.error or errno.EIO), _path(args[0]))
        return call(*args, **kwargs)

    return faulty


def _path(file: Any) -> str:
    """Return the path of what a call is about, which is a path or an open file."""
    if not isinstance(file, int):
        return os.fspath(file)
    try:
        return str(Path(f"/proc/self/fd/{file}").readlink())
    except OSError:
        return ""
