"""``--sandbox``: the five providers on loopback, started in a process of their own for as long as a command runs.

What the sandbox sold stays in the rehearsal's home, so an interrupted rehearsal goes on; so does the port it had,
because links that it gave away name it. Real keys are never read.
"""

import contextlib
import functools
import importlib.util
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from renderer.cli import options
from renderer.cli.text import install
from renderer.errors import DiskError, UsageError
from renderer.project import Project

_Command = TypeVar("_Command", bound=Callable[..., Any])
_SPEED = 20.0
_PATIENCE = 60.0
_GRACE = 5.0
_NEEDS = ("starlette", "uvicorn", "av", "PIL", "numpy")


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """How the sandbox of a rehearsal behaves: ``speed`` is provider seconds per second."""

    speed: float = _SPEED
    seed: int = 0
    faults: Path | None = None


def rehearsal(command: _Command) -> _Command:
    """Add ``--sandbox`` with ``--speed``, ``--seed`` and ``--faults`` to a command that sends something.

    The function gets ``sandbox: SandboxOptions | None``.
    """

    @functools.wraps(command)
    def wrapper(*args: Any, speed: float | None, seed: int | None, faults: Path | None, **kwargs: Any) -> Any:
        given = {"speed": speed, "seed": seed, "faults": faults}
        told: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if told and not kwargs["sandbox"]:
            raise UsageError(f"--{next(iter(told))} is for the sandbox", hint="add --sandbox")
        kwargs["sandbox"] = SandboxOptions(**told) if kwargs["sandbox"] else None
        return command(*args, **kwargs)

    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    wrapped: Any = wrapper
    for option in (
        click.option("--faults", type=file, metavar="FILE", help="With --sandbox: what shall go wrong."),
        click.option("--seed", type=int, metavar="N", help="With --sandbox: decides what the documents leave open."),
        click.option(
            "--speed",
            type=click.FloatRange(0, min_open=True),
            metavar="X",
            help=f"With --sandbox: provider seconds per second (default {_SPEED:g}).",
        ),
        options.sandbox,
    ):
        wrapped = option(wrapped)
    return cast("_Command", wrapped)


def require_sandbox() -> None:
    """Raise :class:`UsageError` where the sandbox's extra is not installed."""
    missing = [name for name in _NEEDS if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the sandbox needs packages that are not installed: {', '.join(missing)}",
            hint=install("sandbox"),
        )


@contextlib.contextmanager
def rehearse(project: Project, options: SandboxOptions) -> Iterator[str]:
    """Run the sandbox of a rehearsal's ``project`` while the block runs; give its base URL.

    Raises :class:`UsageError` where it cannot start, with its own words.
    """
    require_sandbox()
    home = project.state / "server"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DiskError(f"{home} cannot be made: {error.strerror}", hint="check who owns it") from None
    remembered = home / "port"
    port = int(text) if (text := _read(remembered)).isdecimal() else 0
    process, url = _start(home, port, options)
    if url is None and port:
        # Somebody else has that port now.
        process, url = _start(home, 0, options)
    if url is None:
        _, said = process.communicate()
        raise UsageError(f"the sandbox did not start: {said.strip() or 'it gave no reason'}")
    remembered.write_text(url.rpartition(":")[2])
    try:
        yield url
    finally:
        _end(process)


def _start(home: Path, port: int, options: SandboxOptions) -> tuple[subprocess.Popen[str], str | None]:
    """Start the sandbox; return it with its URL, or with None where it ended instead."""
    command = [
        *(sys.executable, "-m", "renderer.sandbox", "--home", str(home), "--port", str(port)),
        *("--speed", str(options.speed), "--seed", str(options.seed), "--parent", str(os.getpid())),
        *(("--faults", str(options.faults)) if options.faults is not None else ()),
    ]
    process = subprocess.Popen(  # noqa: S603 - our own module, by our own interpreter
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Its own session: a Ctrl-C is for the run, which still needs it to end well.
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")},
    )
    assert process.stdout is not None  # noqa: S101 - it was asked for
    end = time.monotonic() + _PATIENCE
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < end:
            if selector.select(0.2):
                line = process.stdout.readline()
                return process, line.split()[1] if line.startswith("ready ") else None
    _end(process)
    return process, None


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
