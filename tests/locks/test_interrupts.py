"""FAULTS 25: Ctrl-C once and twice, SIGTERM; at any moment of a run."""

import signal

import pytest

from renderer.state.lifecycle import State
from tests.locks.conftest import SLOW, Counter

MANY = tuple(f"v{n}" for n in range(8))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_a_run_that_could_wait_for_hours(counter: Counter, number: signal.Signals) -> None:
    """It never waits for renders: exit 130, the task is on record, it is safe to run again."""
    path = counter.declare("a", polls=SLOW)
    running = counter.apply(path)
    counter.wait_for(counter.locked(path, "accepted"))
    running.signal(number)
    said = running.end()
    assert said.code == 130
    assert "Traceback" not in said.err
    (submission,) = counter.submissions()
    assert submission.state is State.ACCEPTED
    assert counter.apply(counter.declare("a")).end().code == 0
    assert len(counter.sold()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_the_first_signal_nothing_more_is_submitted(counter: Counter, number: signal.Signals) -> None:
    """What was sent is recorded, what was not is planned still; the next run buys just the rest."""
    path = counter.declare(*MANY)
    path.write_text(path.read_text().replace("in_flight: 20, apart: 0s", "in_flight: 20, apart: 0.3s"))
    running = counter.apply(path)
    counter.wait_for(counter.locked(path, "accepted", 2))
    running.signal(number)
    assert running.end().code == 130
    tasks = {str(row["task"]) for row in counter.sold()}
    assert 2 <= len(tasks) < len(MANY)
    assert {s.task for s in counter.submissions() if s.task is not None} == tasks, "an answer was not waited for"
    assert counter.apply(path).end().code == 0
    assert len(counter.sold()) == len(MANY)


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["intended", "rendered"])
def test_the_second_signal_ends_it_at_once_and_is_still_safe(
    counter: Counter, moment: str, first: signal.Signals
) -> None:
    """Twice within a moment, wherever the run is: exit 130, and the next run ends with each job saved or held."""
    path = counter.declare(*MANY)
    running = counter.apply(path)
    counter.wait_for(counter.locked(path, moment, 3))
    running.signal(first)
    running.signal(signal.SIGINT)
    said = running.end()
    assert said.code in (0, 130)
    assert "Traceback" not in said.err
    assert counter.apply(path).end().code in (0, 3)
    jobs = counter.json("status", path)["jobs"]
    assert {job["state"] for job in jobs} <= {"saved", "held"}
    known = {s.task for s in counter.submissions()}
    doubts = sum(s.state is State.DOUBTFUL for s in counter.submissions())
    assert len({str(row["task"]) for row in counter.sold()} - known) <= doubts
    assert len({row["hash"] for row in counter.sold()}) == len(counter.sold())


def test_a_signal_before_anything_was_sent_sends_nothing(counter: Counter) -> None:
    """Ctrl-C as soon as the process runs: whatever it had begun, no job is bought twice by the next."""
    path = counter.declare("a")
    for _ in range(5):
        running = counter.apply(path)
        counter.wait_for(running.err.exists)
        running.signal(signal.SIGINT)
        assert running.end().code in (0, 130, -signal.SIGINT)
    assert counter.apply(path).end().code in (0, 3)
    assert len(counter.sold()) <= 1
