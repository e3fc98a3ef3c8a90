"""A run on a terminal: a table that is redrawn in place, and above it the lines that shall stay.

The only user of rich's live display. Everything shown is made inert first and is never read as markup. What the
numbers mean is ``tally``'s.
"""

import contextlib
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from renderer.cli.tally import Phase, Tally, clock, remaining
from renderer.cli.text import inert, one_line

_BARS = 6
_PER_SECOND = 4
_STYLES = {Phase.DONE: "green", Phase.FAILED: "red", Phase.HELD: "yellow"}


def console(stream: TextIO) -> Console:
    """Return a console that takes no text for markup, emoji or code."""
    return Console(file=stream, markup=False, emoji=False, highlight=False)


class LiveView:
    """The table of a tally. ``lock`` guards the tally: the table is drawn by a thread of its own."""

    def __init__(self, tally: Tally, stream: TextIO, *, now: Callable[[], float], lock: threading.Lock) -> None:
        self._tally = tally
        self._now = now
        self._lock = lock
        self._live = Live(
            console=console(stream),
            get_renderable=self.table,
            refresh_per_second=_PER_SECOND,
            transient=True,
            # stdout may be data.
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._live.stop()

    def line(self, text: str) -> None:
        """Let a line stay above the table."""
        with contextlib.suppress(OSError):  # the terminal is gone; the run is not
            self._live.console.print(Text(inert(text)))

    def table(self) -> RenderableType:
        """Return what is shown now."""
        with self._lock:
            providers, stopped, downloads = self._tally.providers, self._tally.stopped, self._tally.downloads
            now = self._now()
            elapsed, left = self._tally.elapsed(now), self._tally.left(now)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column("provider", no_wrap=True)
        for phase in Phase:
            table.add_column(phase.value, justify="right", no_wrap=True)
        for provider, counted in providers.items():
            name = Text(one_line(provider) + (" (stopped)" if provider in stopped else ""))
            cells = [Text(str(n), _STYLES.get(phase, "") if n else "dim") for phase, n in counted.items()]
            table.add_row(name, *cells)
        bars = Table.grid(padding=(0, 2, 0, 0))
        for name_, progress in downloads[:_BARS]:
            text = Text(one_line(name_), no_wrap=True, overflow="ellipsis")
            bars.add_row(text, ProgressBar(total=100, completed=progress, width=24), Text(f"{progress:3.0f}%"))
        more = len(downloads) - _BARS
        shown = [bars] if downloads else []
        foot = Text(f"{clock(elapsed)} elapsed, {remaining(left)} left", "dim")
        return Group(table, *shown, *([Text(f"and {more} more downloads", "dim")] if more > 0 else []), foot)
