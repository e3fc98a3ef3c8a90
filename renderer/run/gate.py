"""Who may send next: the asynchronous side of a :class:`~renderer.provider.pacing.Lane`.

A job takes a place at its provider before its submit and gives it back when it has left the provider. Those who wait
are served by priority, then in the order of the manifest. This module knows neither requests nor facts.
"""

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Protocol

from renderer.provider.pacing import Lane


class Clock(Protocol):
    """Time, injected: monotonic seconds and a sleep that follows them."""

    def monotonic(self) -> float:
        """Return seconds that only grow."""

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""


class Place:
    """One job's place at its provider. It may be given back early, and only once counts."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        """Take what gives it back."""
        self._give_back = give_back
        self._held = True

    def leave(self) -> None:
        """Give the place back: the job is done there, or only waits for a person."""
        if self._held:
            self._held = False
            self._give_back()


class Gate:
    """One provider's places and turns in one run."""

    def __init__(self, lane: Lane, clock: Clock) -> None:
        """Take the lane that counts and the clock that waits."""
        self.lane = lane
        self._clock = clock
        self._queue: list[tuple[tuple[int, int], int, asyncio.Future[None]]] = []
        self._tickets = 0

    @asynccontextmanager
    async def place(self, order: tuple[int, int]) -> AsyncIterator["Place"]:
        """Hold a place while the block runs; who waits for one is served by the smallest ``order``."""
        await self._enter(order)
        place = Place(self._leave)
        try:
            yield place
        finally:
            place.leave()

    @contextmanager
    def occupied(self) -> Iterator["Place"]:
        """Count a job that is at the provider already, whether there is room or not, while the block runs."""
        self.lane.at_provider += 1
        place = Place(self._leave)
        try:
            yield place
        finally:
            place.leave()

    async def _enter(self, order: tuple[int, int]) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tickets += 1
        heapq.heappush(self._queue, (order, self._tickets, future))
        self._serve()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        self.lane.at_provider -= 1
        self._serve()

    def stop(self) -> None:
        """Let everybody through who waits: the lane has stopped, and they will see it."""
        self._serve()

    def _serve(self) -> None:
        while self._queue and (self.lane.has_room or self.lane.stopped is not None):
            future = heapq.heappop(self._queue)[2]
            if not future.done():
                self.lane.at_provider += 1
                future.set_result(None)

    async def rested(self) -> None:
        """Return when a send might leave; it is not one yet."""
        while (wait := self.lane.wait(self._clock.monotonic())) > 0:
            await self._clock.sleep(wait)

    async def turn(self) -> None:
        """Return when the next send may leave, and count it as sent."""
        await self.rested()
        self.lane.sent(self._clock.monotonic())
