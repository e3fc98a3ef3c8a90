"""What every provider works with: taking an order, finding it again, telling how far it has come.

The faults that concern a task rather than an answer take effect here, so that no provider has to
know of them: an order that will fail, an id that is a number, a task that stands still.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import faults
from .faults import Limits
from .files import Files
from .gate import request_of
from .mischief import numeric_id
from .tasks import Reel, Task, Tasks
from .wire import Call

FRAMES: Mapping[str, tuple[int, int]] = {"16:9": (640, 360), "9:16": (360, 640), "1:1": (480, 480)}
"""Pixels for an aspect where nobody asked for a size: small, since rehearsals render by the hundred."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task ended without a result; None is whatever the provider would say."""

    code: int | str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Errands:
    """Work that goes on in the background until the server stops."""

    _running: set[asyncio.Task[None]] = field(default_factory=set)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something that nobody waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def stop(self) -> None:
        """Cancel all of it."""
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Desk:
    """One provider's view of the sandbox."""

    provider: str
    tasks: Tasks
    files: Files
    limits: Limits
    errands: Errands

    def order(
        self,
        call: Call,
        *,
        task: str,
        body: Any,
        seconds: tuple[float, float],
        reel: Callable[[int], Reel] | None = None,
        paid: bool = True,
        pause: float | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Task:
        """Accept a request as the task of that id; it is on disk when this returns."""
        made = self.tasks.add(
            id=task,
            provider=self.provider,
            operation=call.operation,
            request=request_of(call, body),
            seconds=seconds,
            paid=paid,
            reel=reel,
            pause=pause,
            facts=facts,
        )
        match call.fault:
            case faults.Fail(code=code, message=message):
                made = self.fail(made, Failure(code, message))
            case faults.NumericId():
                made = self.tasks.note(made, alias=str(numeric_id(task)))
        return made

    def find(self, task: str) -> Task | None:
        """Find one of this provider's tasks."""
        return self.tasks.find(self.provider, task)

    def newest(self) -> Iterator[Task]:
        """Go through this provider's tasks, the last accepted first."""
        return self.tasks.newest(self.provider)

    def progress(self, call: Call, task: Task) -> float:
        """Tell how far a task has come, 0.0 to 1.0, as this call shall see it."""
        if isinstance(call.fault, faults.Freeze):
            return call.fault.at
        return self.tasks.progress(task)

    def fail(self, task: Task, failure: Failure) -> Task:
        """Decide that a task will end in failure."""
        return self.tasks.note(task, failure={"code": failure.code, "message": failure.message})

    def failure(self, task: Task) -> Failure | None:
        """Tell why a task fails when its time is up, or None if it does not."""
        noted = task.notes.get("failure")
        return None if noted is None else Failure(**noted)
