"""Places and turns: nobody is forgotten, nobody comes in twice, the first in order goes first."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from renderer.provider.outcome import ErrorClass, Fault
from renderer.provider.pacing import Lane, Pacing
from renderer.run.gate import Gate
from tests.run.scripted_time import Loop

# A busy machine is no news.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
T = TypeVar("T")
FAULT = Fault(kind=ErrorClass.AUTH, code="401", message="no")


class Clock:
    """The loop's own time."""

    def monotonic(self) -> float:
        """Return virtual seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await asyncio.sleep(seconds)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run in virtual time."""
    with asyncio.Runner(loop_factory=lambda: Loop(0.0)) as runner:
        return runner.run(coroutine)


@UNHURRIED
@given(
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(0, 9), st.booleans()), max_size=14),
)
def test_everybody_gets_a_place_and_never_more_than_there_are(
    places: int, visits: list[tuple[int, int, int, bool]]
) -> None:
    """Whatever the priorities, stays, arrivals and cancellations: all who stay are served, within the room there is."""

    async def scenario() -> None:
        gate = Gate(Lane(Pacing(in_flight=places)), Clock())
        inside: set[int] = set()
        served: set[int] = set()

        async def visit(index: int, priority: int, stay: int, arrives: int) -> None:
            await asyncio.sleep(arrives)
            async with gate.place((-priority, index)) as place:
                inside.add(index)
                assert len(inside) <= places
                await asyncio.sleep(stay)
                inside.discard(index)
                served.add(index)
                place.leave()
                place.leave()

        tasks = [asyncio.create_task(visit(i, p, s, a)) for i, (p, s, a, _) in enumerate(visits)]
        await asyncio.sleep(4.5)
        for task, (_, _, _, leaves) in zip(tasks, visits, strict=True):
            if leaves:
                task.cancel()
        cancelled = {i for i, task in enumerate(tasks) if visits[i][3] and not task.done()}
        inside -= cancelled
        await asyncio.gather(*tasks, return_exceptions=True)
        assert served >= {i for i, visit_ in enumerate(visits) if not visit_[3]}
        assert gate.lane.at_provider == 0

    run(scenario())


def test_who_waits_is_served_by_order() -> None:
    """The smallest order first, whenever it came; equals as they came."""

    async def scenario() -> list[str]:
        gate = Gate(Lane(Pacing(in_flight=1)), Clock())
        came: list[str] = []

        async def visit(name: str, order: tuple[int, int]) -> None:
            async with gate.place(order):
                came.append(name)
                await asyncio.sleep(1)

        orders = [("first", (0, 0)), ("low", (5, 1)), ("equal", (5, 1)), ("high", (-9, 7))]
        await asyncio.gather(*(visit(name, order) for name, order in orders))
        return came

    assert run(scenario()) == ["first", "high", "low", "equal"]


def test_a_cancelled_waiter_leaves_no_gap() -> None:
    """After everybody who waited has gone, a newcomer does not wait for nobody."""

    async def scenario() -> None:
        gate = Gate(Lane(Pacing(in_flight=1)), Clock())

        async def visit() -> None:
            async with gate.place((0, 0)):
                await asyncio.sleep(1)

        inside, waiting = asyncio.create_task(visit()), asyncio.create_task(visit())
        await asyncio.sleep(0.1)
        waiting.cancel()
        await inside
        await asyncio.wait_for(visit(), 5)

    run(scenario())


def test_who_is_cancelled_just_when_a_place_is_given_gives_it_back() -> None:
    """The place goes to the next."""

    async def scenario() -> int:
        gate = Gate(Lane(Pacing(in_flight=1)), Clock())

        async def visit() -> None:
            async with gate.place((0, 0)):
                await asyncio.sleep(1)

        first, second = asyncio.create_task(visit()), asyncio.create_task(visit())
        await asyncio.sleep(0.5)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        await asyncio.wait_for(visit(), 5)
        return gate.lane.at_provider

    assert run(scenario()) == 0


def test_what_is_there_already_counts_whether_there_is_room_or_not() -> None:
    """More jobs may be at the provider than its pacing says now; nobody new comes in before there is room."""

    async def scenario() -> None:
        gate = Gate(Lane(Pacing(in_flight=1)), Clock())
        with gate.occupied(), gate.occupied() as second:
            assert gate.lane.at_provider == 2
            newcomer = asyncio.create_task(gate.place((0, 0)).__aenter__())
            await asyncio.sleep(1)
            second.leave()
            await asyncio.sleep(1)
            assert not newcomer.done()
        await asyncio.wait_for(newcomer, 5)

    run(scenario())


def test_a_stopped_lane_lets_everybody_through() -> None:
    """Those who wait, and those who come later: they are to see that it has stopped, not to wait for it."""

    async def scenario() -> None:
        gate = Gate(Lane(Pacing(in_flight=1)), Clock())

        async def visit() -> None:
            async with gate.place((0, 0)):
                assert gate.lane.stopped is not None

        with gate.occupied():
            waiting = [asyncio.create_task(visit()) for _ in range(3)]
            await asyncio.sleep(1)
            gate.lane.stop(FAULT)
            gate.stop()
            await asyncio.wait_for(asyncio.gather(*waiting, visit()), 5)

    run(scenario())


@pytest.mark.parametrize("apart", [0.0, 2.0])
def test_turns_are_apart_also_after_a_rest(apart: float) -> None:
    """Who waited through a rest together still leaves one by one."""

    async def scenario() -> list[float]:
        lane = Lane(Pacing(in_flight=9, apart=apart))
        gate = Gate(lane, Clock())
        lane.busy(0.0, FAULT, retry_after=5.0, jitter=0.5)
        times: list[float] = []

        async def leave() -> None:
            await gate.rested()
            await gate.turn()
            times.append(Clock().monotonic())

        await asyncio.gather(*(leave() for _ in range(3)))
        return times

    assert run(scenario()) == pytest.approx([5.0, 5.0 + apart, 5.0 + 2 * apart])
