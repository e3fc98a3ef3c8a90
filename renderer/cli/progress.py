"""Showing what happens while it happens: on a terminal, as plain lines, and as the JSON Lines of ``--events``.

:func:`watch` gives a run its :data:`~renderer.run.events.Sink`. Whatever goes wrong with showing (nobody reads any
more, a full disk) is never the run's problem. Lines never flood: each thing is said once, what goes wrong is counted
above a limit, and a long silence is broken by one line now and then.
"""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, TextIO

from rich.status import Status

from renderer.cli.liveview import LiveView, console
from renderer.cli.tally import Expected, Phase, Tally, clock, expected, remaining
from renderer.cli.text import inert, one_line
from renderer.errors import DiskError
from renderer.run.events import Event, Sink

__all__ = ["Expected", "Lines", "expected", "is_live", "step", "watch"]

_SILENCE = 30.0
_TROUBLES = 20
_SOON = 0.7
_LATE = 5.0
_WORDS: Mapping[str, str] = {
    "uploading": "uploading",
    "submitting": "submitting",
    "refused": "not taken",
    "accepted": "accepted",
    "rendered": "rendered",
    "saved": "saved",
    "restored": "restored from the cache",
    "renamed": "moved",
    "failed": "failed",
    "held": "held",
    "parked": "parked",
    "trouble": "trouble",
    "warning": "warning",
    "provider-stopped": "nothing more is sent to this provider",
    "run-started": "started",
    "run-ended": "ended",
}
"""The events that are worth a line, and their words. A table shows the rest, so there only ``_STAYS`` get one."""
_STAYS = frozenset({"refused", "failed", "held", "parked", "warning", "provider-stopped", "saved", "restored"})
_MANY = frozenset({"refused", "held", "trouble", "warning"})


class _Writer(Protocol):
    def __call__(self, text: str, /) -> None: ...


def is_live(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether a stream is a terminal on which a table may be redrawn, and nobody asked for plain lines."""
    plain = environment.get("NO_COLOR") or environment.get("CI") or environment.get("TERM") == "dumb"
    return not plain and stream.isatty()


@contextlib.contextmanager
def watch(
    work: Expected,
    *,
    stream: TextIO | None = None,
    events: Path | None = None,
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Sink]:
    """Show a run while the block runs; give it the sink for its events. ``stream`` is stderr if not given.

    Raises :class:`DiskError` where the ``events`` file cannot be opened, before the block.
    """
    out = sys.stderr if stream is None else stream
    tally = Tally(work, now=now())
    lock = threading.Lock()
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(LiveView(tally, out, now=now, lock=lock)) if is_live(out) else None
        write = live.line if live is not None else _writer(out)
        lines = Lines(tally, write, now=now, only=None if live is None else _STAYS)
        keep = stack.enter_context(_events_file(events, lines.say)) if events is not None else None

        def sink(event: Event) -> None:
            with lock:
                tally.absorb(event, now=now())
            # Not under the lock: what is written makes the table draw itself.
            lines.take(event)
            if keep is not None:
                keep(event)

        def beat() -> None:
            with lock:
                lines.beat()

        if live is None:
            stack.enter_context(_every(_SILENCE / 6, beat))
        yield sink
        lines.close()


class Lines:
    """Events -> lines for people, few enough to read. ``only`` are the events that get one, None for all."""

    def __init__(
        self, tally: Tally, write: _Writer, *, now: Callable[[], float], only: frozenset[str] | None = None
    ) -> None:
        self._tally = tally
        self._write = write
        self._now = now
        self._only = only
        self._said: dict[tuple[str, str, str], str] = {}
        self._last = now()
        self._window = now()
        self._troubles = 0
        self._lock = threading.RLock()

    def take(self, event: Event) -> None:
        """Say what happened, unless it was said before, is of no interest, or would be one line too many."""
        words = _WORDS.get(event.event)
        if words is None or (self._only is not None and event.event not in self._only):
            return
        with self._lock:
            key = (event.manifest, event.id or event.provider, event.event)
            # The attempt is left out: the tenth time the same thing goes wrong is no news.
            if event.event in _MANY and self._said.get(key) == event.message:
                return
            self._said[key] = event.message
            if event.event in _MANY and self._too_many():
                return
            # A provider stops for all of its jobs, not for the one that found out.
            alone = not event.id or event.event == "provider-stopped"
            name = "" if alone else self._tally.name(event.manifest, event.id)
            subject = f"{name} ({event.provider})" if name and event.provider else name or event.provider or "run"
            again = f" (attempt {event.attempt})" if event.event == "submitting" and (event.attempt or 1) > 1 else ""
            self.say(f"{subject}: {words}{again}{f': {event.message}' if event.message else ''}")

    def beat(self) -> None:
        """Break a long silence while something is still rendering."""
        with self._lock:
            now = self._now()
            if now - self._last < _SILENCE or not self._tally.open:
                return
            self._count_troubles()
            rendering = {name: counted[Phase.RENDERING] for name, counted in self._tally.providers.items()}
            where = ", ".join(f"{number} at {name}" for name, number in rendering.items() if number)
            what = f"still rendering: {where}" if where else f"still working: {self._tally.open} to go"
            self.say(f"{what}; {remaining(self._tally.left(now))} left")

    def say(self, text: str) -> None:
        """Write one line, with the time since the start."""
        with self._lock:
            self._last = self._now()
            self._write(f"{clock(self._tally.elapsed(self._last)):>7}  {one_line(text)}")

    def close(self) -> None:
        """Say what was left out."""
        with self._lock:
            self._count_troubles()

    def _too_many(self) -> bool:
        if self._now() - self._window >= _SILENCE:
            self._count_troubles()
        self._troubles += 1
        return self._troubles > _TROUBLES

    def _count_troubles(self) -> None:
        hidden = self._troubles - _TROUBLES
        self._window, self._troubles = self._now(), 0
        if hidden > 0:
            self.say(f"and {hidden} more of such lines")


@contextlib.contextmanager
def step(text: str, *, stream: TextIO | None = None) -> Iterator[None]:
    """Say what is being done if it takes longer than a moment: a spinner on a terminal, else one line.

    Not inside :func:`watch`, which owns the terminal.
    """
    out = sys.stderr if stream is None else stream
    live = is_live(out)
    shown: list[Status] = []
    lock = threading.Lock()
    ended = False

    def show() -> None:
        with lock:
            if ended:
                return
            if live:
                status = Status(one_line(text), console=console(out))
                status.start()
                shown.append(status)
            else:
                _writer(out)(f"{text} ...")

    timer = threading.Timer(_SOON if live else _LATE, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            ended = True
            for status in shown:
                status.stop()


def _writer(stream: TextIO) -> _Writer:
    """Return what writes inert lines, and goes silent when nobody reads them any more."""
    gone = False

    def write(text: str, /) -> None:
        nonlocal gone
        if gone:
            return
        try:
            stream.write(f"{inert(text)}\n")
            stream.flush()
        except (OSError, ValueError):
            gone = True

    return write


@contextlib.contextmanager
def _events_file(path: Path, say: _Writer) -> Iterator[Sink]:
    """Append events to a file while the block runs. A disk that fails ends the file, not the run."""
    try:
        file = path.open("a", encoding="utf-8", errors="backslashreplace")
        if _is_cut(path):
            file.write("\n")
    except OSError as error:
        raise DiskError(f"--events {path} cannot be written: {error.strerror}", hint="nothing was sent") from None
    broken = False

    def keep(event: Event) -> None:
        nonlocal broken
        if broken:
            return
        line = {**asdict(event), "message": inert(event.message), "error": inert(event.error)}
        try:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
        except OSError as error:
            broken = True
            say(f"events are no longer written to {path}: {error.strerror}")

    try:
        yield keep
    finally:
        with contextlib.suppress(OSError):
            file.close()


def _is_cut(path: Path) -> bool:
    """Return whether a file ends within a line, because whoever wrote it was killed."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


@contextlib.contextmanager
def _every(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    """Call something again and again, in a thread, while the block runs."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(seconds):
            call()

    thread = threading.Thread(target=work, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
