"""Time that jumps and runs that end anywhere: what a deterministic world is made of.

The loop's clock stands still while anything can happen and then jumps to the next timer, so an hour costs nothing and
no test sleeps. Work for threads is done at once and answered a moment later. A run that nothing could ever wake
again is :class:`Stuck` instead of hanging.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

_MOMENT = 0.002


class Stuck(AssertionError):
    """Everybody waits, and no timer is set: a deadlock."""


class Crash(BaseException):
    """The process died here. ``first`` is False in what only noticed it."""

    def __init__(self, where: str, *, first: bool) -> None:
        super().__init__(where)
        self.first = first


class Fate:
    """Counts the effects of one life, and ends it at the ``crash_at``-th (from 1)."""

    def __init__(self, crash_at: int | None = None, watch: Callable[[str], None] | None = None) -> None:
        self.crash_at = crash_at
        self.watch = watch
        self.effects: list[str] = []
        self.dead = asyncio.Event()
        self.disk_refused = False

    def effect(self, name: str) -> None:
        """Something is about to happen, or just has. Raises :class:`Crash`."""
        if self.dead.is_set():
            raise Crash(name, first=False)
        self.effects.append(name)
        if self.watch is not None:
            self.watch(name)
        if len(self.effects) == self.crash_at:
            self.dead.set()
            raise Crash(name, first=True)


class Loop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self, start: float) -> None:
        self.now = start
        self.unheard: list[dict[str, Any]] = []
        super().__init__(_Jumping(self))
        self.set_exception_handler(lambda _, context: self.unheard.append(context))

    def time(self) -> float:
        """Return virtual seconds."""
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":  # type: ignore[override]  # no thread, no wrapping
        """Do the work now; its end is heard a moment later."""
        future = self.create_future()
        try:
            result, error = func(*args), None
        except BaseException as raised:  # noqa: BLE001 (it is raised again where the work is awaited)
            result, error = None, raised

        def end() -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self.call_later(_MOMENT, end)
        return future


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        """Let time pass instead of waiting."""
        if timeout is None:
            raise Stuck("nothing will ever happen any more")
        self._loop.now += max(0.0, timeout)
        return []
