"""Lanes and polls, by the numbers of DESIGN 4; time is an argument."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from renderer.provider.outcome import ErrorClass, Fault
from renderer.provider.pacing import BUSY_SECONDS, UNSENT_SECONDS, UNSENT_TRIES, Lane, Pacing, poll_wait

# A busy machine is no news.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
BUSY = Fault(kind=ErrorClass.BUSY, code="429", message="busy")
UNSENT = Fault(kind=ErrorClass.UNSENT, code="connect", message="no connection")


def test_there_is_room_until_in_flight() -> None:
    """``in_flight`` counts jobs at the provider."""
    lane = Lane(Pacing(in_flight=2))
    assert lane.has_room
    lane.at_provider = 2
    assert not lane.has_room


def test_sends_are_apart() -> None:
    """After a send the next one waits; sends that are late anyway do not add up."""
    lane = Lane(Pacing(apart=3.0))
    assert lane.wait(0.0) == 0
    lane.sent(0.0)
    assert lane.wait(1.0) == 2
    lane.sent(10.0)
    assert lane.wait(10.0) == 3


def test_five_tries_without_a_connection() -> None:
    """Each after its rest; the fifth stops the lane, with the fault to show."""
    lane, now = Lane(Pacing()), 0.0
    for number in range(1, UNSENT_TRIES + 1):
        assert lane.unsent(now, UNSENT, jitter=0.0) is (number < UNSENT_TRIES)
        now += lane.wait(now)
    assert lane.stopped is UNSENT


def test_a_minute_without_a_connection() -> None:
    """Slow tries use up the time instead."""
    lane = Lane(Pacing())
    assert lane.unsent(0.0, UNSENT, jitter=1.0)
    assert not lane.unsent(UNSENT_SECONDS, UNSENT, jitter=1.0)


def test_jobs_that_fail_in_one_moment_are_one_try() -> None:
    """Twenty jobs in one outage neither stop the lane nor make it rest for a minute."""
    lane = Lane(Pacing(in_flight=20))
    for _ in range(20):
        assert lane.unsent(0.0, UNSENT, jitter=1.0)
    assert lane.wait(0.0) <= 2.0


def test_what_is_taken_renews_all_patience() -> None:
    """A connection, and a taken submit, count anew."""
    lane, now = Lane(Pacing()), 0.0
    for _ in range(3):
        for _ in range(UNSENT_TRIES - 1):
            assert lane.unsent(now, UNSENT, jitter=0.5)
            now += lane.wait(now)
        lane.answered()


def test_busy_for_ten_minutes() -> None:
    """However the waits fall, the lane stops when ten minutes are used up, not earlier than nine."""
    lane, now = Lane(Pacing()), 0.0
    while lane.busy(now, BUSY, retry_after=None, jitter=0.5):
        now += lane.wait(now)
    assert BUSY_SECONDS - 60 <= now <= BUSY_SECONDS
    assert lane.stopped is BUSY


@pytest.mark.parametrize(("told", "waits"), [(7.0, 7.0), (0.0, 1.0), (86400.0, 60.0)])
def test_what_the_provider_asks_for_is_kept_within_bounds(told: float, waits: float) -> None:
    """Never at once, never a day."""
    lane = Lane(Pacing())
    assert lane.busy(0.0, BUSY, retry_after=told, jitter=0.5)
    assert lane.wait(0.0) == waits


@UNHURRIED
@given(st.randoms(use_true_random=False))
def test_every_row_of_refusals_ends(chance: random.Random) -> None:
    """Whatever mixture of busy and unreachable: without a taken submit a lane stops within eleven minutes."""
    lane, now = Lane(Pacing()), 0.0
    again = True
    while again:
        assert now <= BUSY_SECONDS + 60
        if chance.random() < 0.5:
            again = lane.busy(now, BUSY, retry_after=None, jitter=chance.random())
        else:
            again = lane.unsent(now, UNSENT, jitter=chance.random())
        now += lane.wait(now) + chance.choice((0.1, 5.0))
    assert lane.stopped is not None


def test_the_first_fault_is_the_one_that_is_shown() -> None:
    """A lane stops once."""
    lane = Lane(Pacing())
    lane.stop(UNSENT)
    lane.stop(BUSY)
    assert lane.stopped is UNSENT


PACING = Pacing(first=9.0, every=(8.0, 15.0))


def test_polls_come_as_the_pack_says() -> None:
    """First after ``first``, then somewhere within ``every``."""
    assert poll_wait(PACING, polls=0, troubles=0, jitter=0.9) == 9
    assert poll_wait(PACING, polls=1, troubles=0, jitter=0.0) == 8
    assert poll_wait(PACING, polls=7, troubles=0, jitter=1.0) == 15


@UNHURRIED
@given(st.integers(0, 50), st.integers(0, 50), st.floats(0, 1), st.one_of(st.none(), st.floats(0, 3600)))
def test_polls_never_come_sooner_than_asked(polls: int, troubles: int, jitter: float, told: float | None) -> None:
    """Trouble doubles the wait up to a minute; the provider's own wish counts where it is longer."""
    wait = poll_wait(PACING, polls=polls, troubles=min(troubles, polls), jitter=jitter, retry_after=told)
    assert wait >= (told or 0.0)
    assert wait >= min(PACING.first, PACING.every[0])
    assert wait <= max(60.0, PACING.every[1], told or 0.0)
