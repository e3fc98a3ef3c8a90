"""FAULTS 20 to 22 and 24: full disks, failed fsyncs, folders of somebody else, clocks that jump."""

import errno
import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from renderer.plan.standing import JobState
from renderer.state.lifecycle import State
from tests.conftest import Desk, Shop
from tests.disk.conftest import Bench
from tests.disk.processes import NOBODY, Fault, Processes
from tests.run.scripted import Scene
from tests.run.scripted_market import reply
from tests.run.test_executor_limits import stop_at

ROOT = os.geteuid() == 0
# How often a record file is synced before its first record: a ledger with its new folder.
OPENING = {"specs/spring.lock": 1, ".renderer/ledger": 2}


def files(root: Path) -> set[Path]:
    return {p.relative_to(root) for p in root.rglob("*") if p.is_file()}


# --- fsync ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", OPENING)
def test_an_intent_that_is_not_durable_is_never_sent(bench: Bench, role: str) -> None:
    """Its fsync fails, in either file: exit 74, nothing was sent, the record stands in the message."""
    path = bench.declare("unlisted", jobs=3)
    about = f"{bench.root.name}/{role}"
    said = bench.apply(path, Fault(calls=("fsync",), about=about, at=OPENING[role] + 1, error=errno.EIO))
    assert said.code == 74
    assert bench.sold() == []
    assert '"intended"' in said.err
    assert "Next:" in said.err
    jobs = bench.ends_well(path)
    assert len(bench.sold()) == sum(job["state"] == "saved" for job in jobs), "a held one was never sent"


@pytest.mark.parametrize("role", OPENING)
def test_a_failed_fsync_is_fatal_and_not_tried_again(bench: Bench, role: str) -> None:
    """A later fsync could lie: once ``accepted`` was refused nothing more is sent or synced; its task is told."""
    path = bench.declare("unlisted", jobs=3)
    path.write_text(path.read_text().replace("in_flight: 20", "in_flight: 1"))
    trace = bench.root / "trace"
    about = f"{bench.root.name}/{role}"
    fault = Fault(calls=("fsync",), about=about, at=OPENING[role] + 2, error=errno.EIO, trace=str(trace))
    said = bench.apply(path, fault)
    assert said.code == 74
    assert len(trace.read_text().splitlines()) == fault.at, "it was synced again"
    (sold,) = bench.sold()
    assert sold["task"] in said.err
    assert all(job["state"] == "saved" for job in bench.ends_well(path))


def test_every_fsync_that_a_purchase_needs_is_made_before_it(bench: Bench) -> None:
    """Both record files, the ledger's folder and that folder's own place are durable before the first send."""
    path = bench.declare("unlisted")
    fault = Fault(calls=("write", "fsync", "mkdir"), at=0, trace=str(bench.root / "trace"))
    assert bench.apply(path, fault).code == 0
    lines = (bench.root / "trace").read_text().replace(f"{bench.root}", "").splitlines()
    accepted = [n for n, line in enumerate(lines) if line == "write /specs/spring.lock"][2]
    assert {
        "fsync /specs/spring.lock",
        "fsync /specs",
        "fsync /.renderer/ledger/spring.jsonl",
        "fsync /.renderer/ledger",
    } <= set(lines[:accepted])
    made = lines.index("mkdir /.renderer/ledger")
    assert "fsync /.renderer" in lines[made:accepted]


# --- no space ---------------------------------------------------------------------------------------------------------


def test_a_device_in_a_record_files_place_is_refused_before_anything_is_sent(bench: Bench) -> None:
    """A ledger or lockfile that is ``/dev/full``: exit 74, named, nothing sent."""
    path = bench.declare("unlisted")
    for place in (path.with_suffix(".lock"), bench.root / ".renderer" / "ledger" / "spring.jsonl"):
        place.parent.mkdir(exist_ok=True)
        place.symlink_to("/dev/full")
        said = bench.apply(path)
        assert said.code == 74
        assert place.name in said.err
        place.unlink()
    assert bench.sold() == []


@pytest.mark.parametrize("size", [300, 700, 1500])
def test_a_lockfile_that_may_not_grow_ends_the_run(bench: Bench, size: int) -> None:
    """``ulimit -f``: exit 74 as soon as a record does not fit; the task of what was sold is on record or told."""
    path = bench.declare("unlisted", jobs=4)
    said = bench.apply(path, Fault(file_size=size))
    assert said.code == 74
    bench.check_sold_is_known(said)
    bench.ends_well(path)


def test_a_full_disk_in_a_download_parks_that_job_alone(bench: Bench) -> None:
    """It stays rendered, others go on; the next run downloads it and buys nothing."""
    path = bench.declare("unlisted")
    path.write_text(
        path.read_text()
        + 'assets:\n  b: {provider: hifly, operation: avatar-by-image, title: A, source: "https://example.com/a.png"}\n'
    )
    said = bench.apply(path, Fault(file_size=20_000))
    assert said.code == 3, said.err
    assert "cannot be written" in said.err
    known = {s.job: s.state for s in bench.history().submissions.values()}
    assert known == {"spring/a": State.RENDERED, "spring/b": State.SAVED}
    assert not list((bench.root / "renders").rglob("*.mp4"))
    assert all(job["state"] == "saved" for job in bench.ends_well(path))
    assert len(bench.sold()) == 2


@pytest.fixture
def small_disk(tmp_path: Path, shop: Shop, processes: Processes) -> Iterator[Bench]:
    """A project on a disk of its own, of 200 KiB."""
    if not ROOT:
        pytest.skip("only root may mount a file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(disk)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        (disk / "project" / ".renderer").mkdir(parents=True)
        yield Bench(Desk(disk / "project", shop), processes, len(shop.sold()))
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_disk_that_fills_up_costs_time_and_no_money(small_disk: Bench) -> None:
    """Four videos on a disk for one: the run ends in words; with more space the next one ends with all of them."""
    path = small_disk.declare("unlisted", jobs=4)
    said = small_disk.apply(path)
    assert said.code in (3, 74), said.err
    assert "No space left" in said.err
    small_disk.check_whole()
    small_disk.check_sold_is_known(said)
    subprocess.run(["mount", "-o", "remount,size=20m", str(small_disk.root.parent)], check=True)
    jobs = small_disk.ends_well(path)
    assert [job["state"] for job in jobs] == ["saved"] * 4
    assert len(small_disk.sold()) == 4


# --- somebody else's folder -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["specs", ".renderer", ".renderer/ledger", ".renderer/cache", "renders"])
def test_a_folder_that_takes_no_files_is_refused_before_anything_is_sent(common: Bench, folder: str) -> None:
    """Read-only, or another owner's: exit 74 with the folder's name and what to do; nothing sent, nothing written."""
    path = common.declare("unlisted")
    place = common.root / folder
    place.mkdir(parents=True, exist_ok=True)
    for known in (common.root, *(p for p in common.root.rglob("*") if p.is_dir())):
        known.chmod(0o777)
    place.chmod(0o555)
    before = files(common.root)
    said = common.apply(path, Fault(user=NOBODY if ROOT else None))
    place.chmod(0o755)
    assert said.code == 74, said.err
    assert str(folder) in said.err
    assert "check who owns" in said.err
    assert common.sold() == []
    assert {p for p in files(common.root) - before if p.suffix == ".mp4"} == set()


# --- clocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [1, -1])
@pytest.mark.parametrize("provider", ["yzx", "fliz", "gen_video"])
def test_a_clock_that_jumps_at_any_moment_changes_nothing(tmp_path: Path, provider: str, days: int) -> None:
    """At every effect of a run: the same order, the same waits, one purchase, saved."""
    still = Scene(tmp_path)
    usual = still.live([still.film("a", provider)])
    for moment in range(len(usual.fate.effects)):
        scene = Scene(tmp_path)
        count = 0

        def jump(_: str, __: object, scene: Scene = scene, moment: int = moment) -> None:
            nonlocal count
            if count == moment:
                scene.jump += timedelta(days=days)
            count += 1

        life = scene.live([scene.film("a", provider)], watch=jump)
        assert life.state("a") is JobState.SAVED, usual.fate.effects[moment]
        assert life.fate.effects == usual.fate.effects
        assert life.seconds == pytest.approx(usual.seconds)
        assert len(scene.market.sold) == 1


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_jumped_between_two_runs_buys_nothing(tmp_path: Path, days: int) -> None:
    """Also where the provider is slow to know the task: at most it is held until the next run asks again."""
    scene = Scene(tmp_path)
    jobs = [scene.film("a")]
    scene.live(jobs, watch=stop_at("after submit"))
    scene.jump += timedelta(days=days)
    scene.market.says("yzx", "status", reply(404))
    assert scene.live(jobs).state("a") in (JobState.SAVED, JobState.HELD)
    assert scene.live(jobs).state("a") is JobState.SAVED
    assert len(scene.market.sold) == 1
