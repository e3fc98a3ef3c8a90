"""FAULTS 23: twenty runs at once, on one manifest and on several with equal jobs; holders that are killed."""

import json
import os
import signal

import pytest

from renderer.plan.standing import JobState
from tests.locks.conftest import SLOW, Counter

MANY = 20
JOBS = ("a", "b", "c")


def test_twenty_runs_at_once_buy_each_job_once(counter: Counter) -> None:
    """One works; the others exit 75, say who does, and have sent nothing; or they come later and find all done."""
    path = counter.declare(*JOBS)
    said = [running.end() for running in [counter.apply(path) for _ in range(MANY)]]
    assert {each.code for each in said} <= {0, 75}
    assert any(each.code == 0 for each in said)
    for each in said:
        if each.code == 75:
            assert "another run is working on this project" in each.err
            assert "process " in each.err
            assert "submitting" not in each.err
    assert len(counter.sold()) == len(JOBS)
    assert counter.apply(path).end().code == 0
    assert len(counter.submissions()) == len(JOBS), "an intent of its own from a run that should have waited"


def test_runs_on_several_manifests_with_equal_jobs_share_one_purchase(counter: Counter) -> None:
    """Five manifests declare the same teaser; twenty runs at once, then all in one: one purchase, five files."""
    paths = [counter.declare("a", name=name) for name in ("one", "two", "three", "four", "five")]
    said = [running.end() for running in [counter.apply(paths[n % 5]) for n in range(MANY)]]
    assert {each.code for each in said} <= {0, 75}
    assert counter.apply(paths[0].parent).end().code == 0
    assert len(counter.sold()) == 1
    assert len({p.read_bytes() for p in counter.root.glob("renders/*/a.mp4")}) == 1
    assert len(list(counter.root.glob("renders/*/a.mp4"))) == 5


def test_a_manifest_takes_no_file_from_another_that_shares_its_purchase(counter: Counter) -> None:
    """Applied one after the other: each of two manifests has its file, from one purchase."""
    paths = [counter.declare("a", name=name) for name in ("one", "two")]
    for path in paths:
        assert counter.apply(path).end().code == 0
    assert len(counter.sold()) == 1
    assert [p.parent.name for p in sorted(counter.root.glob("renders/*/a.mp4"))] == ["one", "two"]


def test_who_waits_its_turn_and_comes_again_gets_it(counter: Counter) -> None:
    """Runs that repeat themselves at 75 all end well, one after the other."""
    path = counter.declare(*JOBS)
    waiting = [counter.apply(path) for _ in range(8)]
    for _ in range(200):
        codes = [running.end().code for running in waiting]
        waiting = [counter.apply(path) for code in codes if code == 75]
        if not waiting:
            break
    assert not waiting
    assert len(counter.sold()) == len(JOBS)


def test_while_a_run_works_others_are_told_who_and_since_when(counter: Counter) -> None:
    """Whatever would write exits 75 with the holder; ``unlock`` says the same and takes nothing away."""
    path = counter.declare("a", polls=SLOW)
    running = counter.apply(path)
    counter.wait_for(counter.locked(path, "accepted"))
    for command in (("apply", "--yes", path), ("collect", path), ("retry", "a", path), ("apply", path)):
        refused = counter.desk.run(*command)
        assert refused.exit_code == 75, refused.output
        assert f"process {running.process.pid}" in refused.output
    assert str(running.process.pid) in counter.desk.run("unlock").output
    assert counter.desk.run("apply", "--yes", path).exit_code == 75
    running.signal(signal.SIGTERM)
    assert running.end().code == 130
    assert len(counter.sold()) == 1


def test_who_only_reads_disturbs_nobody_and_sees_no_doubt(counter: Counter) -> None:
    """``status`` and ``plan`` while a run works: the job is with its provider, not held."""
    path = counter.declare("a", polls=SLOW)
    running = counter.apply(path)
    counter.wait_for(counter.locked(path, "intended"))
    seen = set()
    while not {"accepted"} & seen:
        (job,) = counter.json("status", path)["jobs"]
        seen.add(job["state"])
    assert seen <= {"intended", "accepted"}
    assert counter.json("plan", path)["summary"]["collect"] == 1
    running.signal(signal.SIGTERM)
    assert running.end().code == 130


@pytest.mark.parametrize("moment", ["intended", "accepted"])
def test_a_killed_holder_leaves_no_stale_lock(counter: Counter, moment: str) -> None:
    """SIGKILL while it holds the lock: the next run works at once, and nobody is said to hold it."""
    path = counter.declare(*JOBS)
    running = counter.apply(path)
    counter.wait_for(counter.locked(path, moment))
    running.signal(signal.SIGKILL)
    running.end()
    holder = counter.root / ".renderer" / "locks" / "project.holder"
    assert json.loads(holder.read_text())["pid"] == running.process.pid
    assert str(running.process.pid) not in counter.desk.run("unlock").output
    assert counter.apply(path).end().code in (0, 3)
    states = {job["state"] for job in counter.json("status", path)["jobs"]}
    assert states <= {JobState.SAVED, JobState.HELD}
    assert len({row["hash"] for row in counter.sold()}) == len(counter.sold())


def test_a_holder_file_alone_holds_nothing(counter: Counter) -> None:
    """What a dead run left beside the lock, even of a living process, is no lock."""
    path = counter.declare("a")
    locks = counter.root / ".renderer" / "locks"
    locks.mkdir()
    (locks / "project").touch()
    holder = {"pid": os.getpid(), "host": "cedar", "user": "anna", "command": "x", "since": "2026-01-01T00:00:00Z"}
    (locks / "project.holder").write_text(json.dumps(holder))
    assert counter.apply(path).end().code == 0
    assert len(counter.sold()) == 1
