"""FAULTS 18, 20, 22 at each of our own calls to the disk: dead there, refused there, refused from there on.

A run is traced once; each call that makes a file (by what it is and what it is about) is a point. By default one point
of each kind is tried; ``RENDERER_CAMPAIGN=1`` tries all of them.
"""

import errno
import signal
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.conftest import Desk, Shop
from tests.disk.conftest import Bench, campaign
from tests.disk.processes import Fault, Processes

ROLES = (
    "specs/spring.lock",
    "specs/.spring.lock",
    ".renderer/ledger",
    ".renderer/links",
    ".renderer/part",
    ".renderer/cache",
    ".renderer/locks",
    ".renderer",
    "specs",
    "renders",
)
SLICES = 3


@pytest.fixture
def project(tmp_path: Path, shop: Shop, processes: Processes) -> Callable[[], Bench]:
    """Make projects that buy what nobody else buys."""
    numbers = count(1)

    def make() -> Bench:
        root = tmp_path / f"p{next(numbers)}"
        (root / ".renderer").mkdir(parents=True)
        return Bench(Desk(root, shop), processes, len(shop.sold()))

    return make


def points(project: Callable[[], Bench], kind: str, slice_: int) -> list[Fault]:
    """Return the points of a run that is traced here, every ``SLICES``-th of them."""
    bench = project()
    trace = bench.root / "trace"
    assert bench.apply(bench.declare(kind), Fault(trace=str(trace))).code == 0
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for line in trace.read_text().splitlines():
        call, _, path = line.partition(" ")
        inside = path.removeprefix(f"{bench.root}/")
        role = next((role for role in ROLES if inside.startswith(role)), "")
        if not role:
            continue
        seen[call, role] += 1
        if campaign() or seen[call, role] == 1:
            # Counted among the calls of its own kind, so that what else a run does does not move it.
            found.append(Fault(calls=(call,), about=f"{bench.root.name}/{role}", at=seen[call, role]))
    assert len(found) > 15, "the trace does not show the disk's part"
    return found[slice_::SLICES]


def here(bench: Bench, fault: Fault, **changes: object) -> Fault:
    """Return a point of another project as one of this."""
    about = f"{bench.root.name}/{fault.about.partition('/')[2]}"
    return Fault(**{**fault.__dict__, "about": about, **changes})  # type: ignore[arg-type]  # the fields of a Fault


@pytest.mark.parametrize("slice_", range(SLICES))
@pytest.mark.parametrize("kind", ["unlisted", "keyed"])
def test_killed_at_any_of_its_calls_a_run_leaves_nothing_half_and_nothing_lost(
    project: Callable[[], Bench], kind: str, slice_: int
) -> None:
    """Dead before a write, an fsync, a rename: what stands is whole, and the next run ends with all saved or held."""
    killed = 0
    for point in points(project, kind, slice_):
        bench = project()
        path = bench.declare(kind)
        said = bench.apply(path, here(bench, point))
        if said.code != -signal.SIGKILL:
            assert said.code == 0, (point, said.err)
            continue
        killed += 1
        bench.check_whole()
        bench.check_sold_is_known(said)
        bought = len(bench.sold())
        # A keyed call that was answered and whose link was not yet kept is made again: that cannot be closed.
        unheard = kind == "keyed" and bought and not bench.delivered()
        (job,) = bench.ends_well(path, twice=bool(unheard))
        if kind == "keyed":
            assert job["state"] == "saved", (point, job)
        assert job["state"] == "saved" or (job["held"]["why"] and job["held"]["next"]), (point, job)
    assert killed > 3


@pytest.mark.parametrize("slice_", range(SLICES))
def test_a_write_that_was_cut_is_no_damage(project: Callable[[], Bench], slice_: int) -> None:
    """Dead in the middle of each write to the lockfile or the ledger: the torn line is dropped, nothing else."""
    torn = 0
    for role in ("specs/spring.lock", ".renderer/ledger"):
        for number in range(1 + slice_, 7, SLICES):
            bench = project()
            path = bench.declare("unlisted")
            cut = Fault(calls=("write",), about=f"{bench.root.name}/{role}", at=number, half=True)
            said = bench.apply(path, cut)
            torn += said.killed
            bench.check_sold_is_known(said)
            bench.ends_well(path)
    assert torn >= 2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO] if campaign() else [errno.ENOSPC], ids=errno.errorcode.get)
@pytest.mark.parametrize("slice_", range(SLICES))
def test_a_disk_that_refuses_from_some_call_on_ends_the_run_and_loses_nothing(
    project: Callable[[], Bench], code: int, slice_: int
) -> None:
    """Full or broken from any call on: exit 74 in words, every task recorded or told, nothing sent after; then on."""
    refused = 0
    for number in range(1 + slice_, 500, SLICES * (1 if campaign() else 8)):
        bench = project()
        path = bench.declare("unlisted", jobs=2)
        lost = bench.root / "lost"
        said = bench.apply(path, Fault(at=number, error=code, onward=True, lost=str(lost)))
        assert "Traceback" not in said.err
        bench.check_sold_is_known(said)
        bench.check_lost_is_told(said, lost)
        if said.code == 0:
            break
        refused += 1
        assert said.code == 74, (number, said.code, said.err)
        assert "Error:" in said.err
        assert "Next:" in said.err
        bench.check_whole()
        # A disk that does not even take a file away keeps what was begun.
        bench.ends_well(path, tidy=False)
    assert refused > 2
    assert said.code == 0, "the whole run was not reached"


@pytest.mark.parametrize(
    ("line", "which", "fact"),
    [("write specs/spring.lock", 2, "accepted"), ("unlink .renderer/.renderer-835bb6fcc008.tmp", 0, "saved")],
    ids=["the task", "outputs.json, then the record"],
)
def test_whatever_else_fails_the_lost_record_is_told(
    project: Callable[[], Bench], line: str, which: int, fact: str
) -> None:
    """From that call on the disk takes nothing, not even a file away: the message is still that of the record."""
    first = project()
    trace = first.root / "trace"
    assert first.apply(first.declare("unlisted"), Fault(trace=str(trace))).code == 0
    lines = trace.read_text().replace(f"{first.root}/", "").splitlines()
    at = [number for number, found in enumerate(lines, 1) if found == line][which]
    bench = project()
    path = bench.declare("unlisted")
    said = bench.apply(path, Fault(at=at, error=errno.ENOSPC, onward=True))
    assert said.code == 74
    assert f'"{fact}"' in said.err
    assert "This could not be recorded; keep it" in said.err
    bench.ends_well(path, tidy=False)
    assert len(bench.sold()) == 1
