"""FAULTS 26 with real git: branches that each bought something, and everything that people do to them.

Runs are those of ``buyer``: real lockfiles and ledgers, no network. After each step the machine knows everything that
it ever wrote; a fresh clone knows what the merged branches held. ``RENDERER_CAMPAIGN=1000`` tries so many seeds.
"""

import os
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import pytest

from renderer.errors import DiskError
from tests.git.buyer import counting, facts, history, line
from tests.git.conftest import Shopper

Make = Callable[..., Shopper]
CAMPAIGN = int(os.environ.get("RENDERER_CAMPAIGN", "0"))
SEEDS = range(CAMPAIGN or 3)
HEADER = b'{"renderer-lock":1}'
NO_UNION = "specs/*.lock text eol=lf\n"


def two_branches(shopper: Shopper, *, base: bool = True) -> None:
    """Buy on ``main``, then on ``a`` and on ``b``; stand on ``a``."""
    if base:
        shopper.buy("on main")
    for name in ("b", "a"):
        shopper.git("checkout", "--quiet", "-b", name, "main")
        shopper.buy(f"on {name}")
        shopper.buy(f"more on {name}")
        shopper.check()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("base", [True, False], ids=["changed", "added on both"])
def test_merged_in_either_order_everything_is_known(shopper: Make, tmp_path: Path, seed: int, base: bool) -> None:
    """Two branches, merged into each other: no conflict, no loss, the same on both sides, also in a fresh clone."""
    machine = shopper(seed)
    two_branches(machine, base=base)
    held = machine.held("a", "b")
    machine.git("checkout", "--quiet", "-b", "ab", "a")
    machine.git("merge", "--quiet", "b")
    machine.git("checkout", "--quiet", "-b", "ba", "b")
    machine.git("merge", "--quiet", "a")
    for branch in ("ab", "ba"):
        machine.git("checkout", "--quiet", branch)
        machine.check()
        machine.check_clone(tmp_path / f"clone-{branch}", "a", "b")
        assert counting(history(machine.held(branch))) == counting(history(held))


@pytest.mark.parametrize("seed", SEEDS)
def test_three_branches_at_once(shopper: Make, tmp_path: Path, seed: int) -> None:
    """One after the other, in any order: the same. An octopus git refuses: it knows no merge drivers."""
    machine = shopper(seed)
    machine.buy("on main")
    for name in ("a", "b", "c"):
        machine.git("checkout", "--quiet", "-b", name, "main")
        machine.buy(f"on {name}")
    machine.git("checkout", "--quiet", "main")
    held = history(machine.held("a", "b", "c"))
    machine.git("merge", "--quiet", "a", "b", "c", fails=True)
    machine.check()
    machine.git("reset", "--quiet", "--hard", "main")
    machine.check()
    for order in permutations("abc"):
        name = "".join(order)
        machine.git("checkout", "--quiet", "-b", f"m{name}", order[0])
        for branch in order[1:]:
            machine.git("merge", "--quiet", branch)
        assert facts(history(machine.held(f"m{name}")), refusals=False) == facts(held, refusals=False)
    machine.check_clone(tmp_path / "clone", "a", "b", "c")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("style", ["merge", "diff3", "zdiff3"])
def test_conflict_markers_left_in_are_no_damage(shopper: Make, tmp_path: Path, seed: int, style: str) -> None:
    """Without the union driver git leaves markers; added as they are, everything is known, and the next run goes on."""
    machine = shopper(seed, attributes=NO_UNION, config={"merge.conflictStyle": style})
    two_branches(machine)
    machine.git("merge", "--quiet", "b", fails=True)
    machine.check()
    machine.repository.commit("with its markers")
    machine.check()
    machine.check_clone(tmp_path / "clone", "a", "b")
    machine.buy("after the conflict", folds=True)
    machine.check()
    lock = machine.repository.project.lockfile(machine.manifest).read_bytes()
    assert b"<<<<<<<" not in lock
    assert lock.count(HEADER) == 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("how", ["rebase", "cherry-pick", "squash"])
def test_a_branch_that_is_put_on_another_loses_nothing(shopper: Make, tmp_path: Path, seed: int, how: str) -> None:
    """Rebased, cherry-picked commit by commit, squashed: this machine and a clone know both branches."""
    machine = shopper(seed)
    two_branches(machine)
    held = history(machine.held("a", "b"))
    match how:
        case "rebase":
            machine.git("rebase", "--quiet", "b")
        case "cherry-pick":
            machine.git("checkout", "--quiet", "b")
            machine.git("cherry-pick", "--allow-empty", "--keep-redundant-commits", "main..a")
        case _:
            machine.git("merge", "--quiet", "--squash", "b")
            machine.repository.commit("squashed")
    machine.check()
    there = history(machine.held("HEAD"))
    assert facts(there, refusals=False) == facts(held, refusals=False)
    machine.check_clone(tmp_path / "clone", "HEAD")


UNDOINGS = {
    "revert": [("revert", "--no-edit", "HEAD")],
    "reset": [("reset", "--quiet", "--hard", "HEAD~1")],
    "checkout --": [("checkout", "HEAD~1", "--", "specs")],
    "restore": [("restore", "--source=HEAD~1", "specs")],
    "switch": [("checkout", "--quiet", "main")],
    "detached": [("checkout", "--quiet", "HEAD~1")],
    "remove": [("rm", "--quiet", "specs/spring.lock"), ("commit", "--quiet", "-m", "gone")],
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("how", UNDOINGS)
def test_what_git_takes_away_the_ledger_keeps(shopper: Make, tmp_path: Path, seed: int, how: str) -> None:
    """Undone in git, everything is still known; the next run writes it into the lockfile again, for clones to know."""
    machine = shopper(seed)
    two_branches(machine)
    for command in UNDOINGS[how]:
        machine.git(*command)
    machine.check()
    machine.buy("the next run", folds=False)
    machine.check()
    locked = facts(history(machine.held("HEAD")))["submissions"]
    everything = facts(machine.known(), refusals=False)["submissions"]
    assert locked.keys() >= everything.keys()
    assert all(locked[id_].keys() == everything[id_].keys() for id_ in everything)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("option", [(), ("--include-untracked",)], ids=["", "untracked"])
def test_stashed_purchases_are_known_and_come_back(shopper: Make, seed: int, option: tuple[str, ...]) -> None:
    """Stashed, bought more, popped: known at each step, and the pop is no conflict."""
    machine = shopper(seed)
    if not option:
        machine.buy("on main")
    machine.buy()
    machine.git("stash", "push", "--quiet", *option)
    machine.check()
    if not option:
        machine.buy("meanwhile")
        machine.check()
    machine.git("stash", "pop", "--quiet")
    machine.check()
    machine.buy("later")
    machine.check()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("with_lockfile", [True, False])
def test_a_renamed_manifest_knows_what_it_bought(shopper: Make, tmp_path: Path, seed: int, with_lockfile: bool) -> None:
    """``git mv`` of the manifest, with or without its lockfile, while another branch buys under the old name."""
    machine = shopper(seed)
    two_branches(machine)
    machine.git("mv", "specs/spring.yaml", "specs/summer.yaml")
    if with_lockfile:
        machine.git("mv", "specs/spring.lock", "specs/summer.lock")
    machine.repository.commit("renamed")
    machine.manifest = "specs/summer.yaml"
    machine.check()
    machine.buy("under the new name")
    machine.check()
    held = history(machine.held("a", "b"))
    machine.git("merge", "--quiet", "b", fails=True)
    machine.git("add", "--all")
    machine.git("commit", "--quiet", "--no-edit", "--allow-empty", "-m", "merged")
    machine.check()
    assert facts(history(machine.held("HEAD")), refusals=False) == facts(held, refusals=False)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("attributes", ["specs/*.lock merge=union text eol=lf\n", "specs/*.lock merge=union\n", ""])
def test_line_ends_of_another_system_are_no_damage(shopper: Make, tmp_path: Path, seed: int, attributes: str) -> None:
    """Checked out with CRLF where no attribute forbids it: read, appended to, merged, all the same."""
    machine = shopper(seed, attributes=attributes, config={"core.autocrlf": "true", "core.safecrlf": "false"})
    two_branches(machine)
    lock = machine.repository.project.lockfile(machine.manifest)
    lock.unlink()
    machine.git("checkout", "--", "specs")
    assert (b"\r\n" in lock.read_bytes()) is ("eol=lf" not in attributes)
    machine.check()
    machine.buy("on CRLF", folds=False)
    machine.check()
    machine.git("merge", "--quiet", "b", fails=True)
    machine.check()
    machine.repository.commit("merged")
    machine.check_clone(tmp_path / "clone", "a", "b")


def test_another_work_tree_knows_what_was_committed(shopper: Make, tmp_path: Path) -> None:
    """``git worktree``: a ledger of its own, the lockfile's purchases all the same."""
    machine = shopper()
    machine.buy("on main")
    machine.git("worktree", "add", "--quiet", str(tmp_path / "tree"), "-b", "a")
    other = Shopper(type(machine.repository)(tmp_path / "tree"), 1)
    assert facts(other.known(), refusals=False) == facts(machine.known(), refusals=False)
    assert (tmp_path / "tree" / ".git").is_file()


def test_a_torn_line_that_was_committed_and_merged_is_refused_with_its_place(shopper: Make) -> None:
    """A run died while it wrote, its torn line went through a merge and is no last line any more: exit 74, no guess."""
    machine = shopper()
    two_branches(machine)
    lock = machine.repository.project.lockfile(machine.manifest)
    whole = lock.read_bytes()
    lock.write_bytes(whole + line({"submission": "torn", "accepted": {"task": "1"}})[:30])
    machine.check()
    machine.repository.commit("torn")
    machine.git("merge", "--quiet", "b", fails=True)
    if b'"torn"' in b"".join(lock.read_bytes().splitlines()[:-1]):
        with pytest.raises(DiskError, match=r"specs/spring\.lock:\d+:1"):
            machine.known()
    else:
        machine.check()


INTENDED = {"job": "spring/a", "provider": "yzx", "operation": "video", "fingerprint": "a" * 64, "at": "2026-01-01"}
LATER = {
    "a refusal": ({"refused": {"class": "input", "code": "", "message": "no"}}, {}),
    "a note": ({"note": {"n": 1, "message": "doubt"}}, {"note": {"n": 2, "message": "looked up"}}),
    "a second closing": (
        {"closed": {"state": "doubtful", "at": "2026-01-01"}},
        {"closed": {"state": "failed", "at": "2026-01-02"}},
    ),
}


BY_NAME = pytest.mark.xfail(reason="what a record file lacks is told by the names of facts, not by their versions")
NO_REFUSALS = pytest.mark.xfail(reason="no refusal goes back into a lockfile, also where its intent stands there")


@pytest.mark.parametrize(
    "what",
    [
        pytest.param("a refusal", marks=NO_REFUSALS),
        pytest.param("a note", marks=BY_NAME),
        pytest.param("a second closing", marks=BY_NAME),
    ],
)
def test_a_clone_learns_what_became_of_an_intent_after_git_took_it_away(
    shopper: Make, tmp_path: Path, what: str
) -> None:
    """The lockfile is set back to where only less was known: the next run brings it to what the ledger knows."""
    machine = shopper()
    machine.buyer.run = lambda known: []  # type: ignore[method-assign]  # what this machine writes is written here
    lock = machine.repository.project.lockfile(machine.manifest)
    ledger = machine.repository.project.ledger / "spring.jsonl"
    ledger.parent.mkdir()
    first, second = LATER[what]
    before = [{"submission": "s", "intended": INTENDED}]
    after = [{"submission": "s", **fact} for fact in (first, second) if fact]
    if second:
        before.append(after.pop(0))
    written = [HEADER + b"\n", *map(line, [*before, *after])]
    lock.write_bytes(b"".join(written[: len(before) + 1]))
    machine.repository.commit("before")
    for file in (lock, ledger):
        file.write_bytes(b"".join(written))
    machine.repository.commit("after")
    machine.git("reset", "--quiet", "--hard", "HEAD~1")
    machine.buy("the next run", folds=True)
    there = history(machine.held("HEAD")).submissions["s"]
    here = machine.known().submissions["s"]
    assert there.state == here.state
    assert there.facts == here.facts
