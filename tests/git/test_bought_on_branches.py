"""FAULTS 26 as a user lives it: the command line in a git repository, and the sandbox's purchases as the judge."""

import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Desk, Shop
from tests.git.conftest import Repository, init


class Studio:
    """A repository whose manifest declares teasers, one a prompt."""

    def __init__(self, repository: Repository, shop: Shop) -> None:
        self.repository = repository
        self.git = repository.git
        self.desk = Desk(repository.root, shop)
        self.name = uuid.uuid4().hex
        self._before = len(shop.sold())

    def declare(self, **prompts: str) -> Path:
        """Write the manifest; prompts are this test's own."""
        lines = [
            f"  {id_}: {{provider: yzx, model: sora-2, prompt: {text} {self.name}, duration: 1}}\n"
            for id_, text in prompts.items()
        ]
        return self.desk.write("videos:\n" + "".join(lines))

    def apply(self, path: Path, **prompts: str) -> list[dict[str, Any]]:
        """Apply; every job is saved with the bytes that its record names; return the jobs."""
        jobs: list[dict[str, Any]] = self.desk.json("apply", "--yes", path)["jobs"]
        for job in jobs:
            assert job["state"] == "saved", job
            file = self.repository.root / job["output"]["path"]
            assert hashlib.sha256(file.read_bytes()).hexdigest() == job["output"]["sha256"]
        return jobs

    @property
    def sold(self) -> int:
        """How much was bought so far."""
        return len(self.desk.shop.sold()) - self._before


@pytest.fixture
def studio(tmp_path: Path, shop: Shop) -> Iterator[Studio]:
    """A repository with one teaser bought and committed on ``main``."""
    repository = init(tmp_path / "project")
    (repository.root / ".gitignore").write_text("/renders/\n")
    made = Studio(repository, shop)
    made.apply(made.declare(a="one"))
    repository.commit("one is bought")
    assert made.sold == 1
    return made


def test_two_branches_buy_and_the_merge_buys_nothing(studio: Studio, tmp_path: Path) -> None:
    """Each branch buys a video of its own; merged, apply sends nothing; a fresh clone plans no purchase either."""
    for branch, prompts in (("left", {"a": "one", "b": "two"}), ("right", {"a": "one", "c": "three"})):
        studio.git("checkout", "--quiet", "-b", branch, "main")
        studio.apply(studio.declare(**prompts))
        studio.repository.commit(branch)
    assert studio.sold == 3
    path = studio.declare(a="one")
    studio.git("checkout", "--quiet", "--force", "right")
    studio.git("merge", "--quiet", "--strategy-option=ours", "left")
    path = studio.declare(a="one", b="two", c="three")
    heard = len(studio.desk.shop.heard())
    assert len(studio.apply(path)) == 3
    assert (studio.sold, len(studio.desk.shop.heard())) == (3, heard)
    studio.repository.commit("merged")
    clone = Studio(studio.repository.clone(tmp_path / "clone"), studio.desk.shop)
    document = clone.desk.json("plan", clone.repository.root / "specs" / "spring.yaml")
    assert (document["summary"]["paid"], document["summary"]["download"]) == (0, 3)


def test_an_equal_job_on_a_branch_that_was_not_merged_is_known_to_the_ledger(studio: Studio) -> None:
    """Bought on one branch, declared on another: it is used, reported, and written into this branch's lockfile."""
    studio.git("checkout", "--quiet", "-b", "left")
    studio.apply(studio.declare(a="one", b="two"))
    studio.repository.commit("left")
    studio.git("checkout", "--quiet", "-b", "right", "main")
    path = studio.declare(a="one", b="two")
    assert "of another branch" in studio.desk.run("plan", path).output
    studio.apply(path)
    assert studio.sold == 2
    lock = path.with_suffix(".lock").read_text()
    assert lock.count('"saved"') == 2
    studio.repository.commit("right")
    studio.git("merge", "--quiet", "left")
    studio.apply(path)
    assert studio.sold == 2


@pytest.mark.parametrize(
    "undo",
    [
        ("revert", "--no-edit", "HEAD"),
        ("reset", "--quiet", "--hard", "HEAD~1"),
        ("checkout", "HEAD~1", "--", "specs/spring.lock"),
        ("rm", "--quiet", "specs/spring.lock"),
    ],
    ids=["revert", "reset", "checkout", "rm"],
)
def test_an_undone_lockfile_buys_nothing(studio: Studio, undo: tuple[str, ...]) -> None:
    """The commit with the purchase is taken back; the same text is applied again: nothing is sent."""
    studio.apply(studio.declare(a="one", b="two"))
    studio.repository.commit("two is bought")
    studio.git(*undo)
    heard = len(studio.desk.shop.heard())
    studio.apply(studio.declare(a="one", b="two"))
    assert (studio.sold, len(studio.desk.shop.heard())) == (2, heard)


def test_uncommitted_purchases_survive_a_stash(studio: Studio) -> None:
    """Bought and stashed before the commit, manifest and all: the text comes back, the purchase is still known."""
    studio.apply(studio.declare(a="one", b="two"))
    studio.git("stash", "--quiet", "--include-untracked")
    studio.apply(studio.declare(a="one", b="two"))
    assert studio.sold == 2


def test_a_branch_switch_back_to_an_old_text_restores_from_the_cache(studio: Studio) -> None:
    """Each branch's own video stands at the output after apply; changing branches buys and asks nothing."""
    first = studio.apply(studio.declare(a="one"))[0]["output"]["sha256"]
    studio.git("checkout", "--quiet", "-b", "other")
    second = studio.apply(studio.declare(a="another"))[0]["output"]["sha256"]
    studio.repository.commit("another text")
    assert first != second
    heard = len(studio.desk.shop.heard())
    for branch, expected in (("main", first), ("other", second), ("main", first)):
        studio.git("checkout", "--quiet", branch)
        path = studio.repository.root / "specs" / "spring.yaml"
        assert studio.desk.json("plan", path)["summary"]["restore"] == 1
        assert studio.apply(path)[0]["output"]["sha256"] == expected
        studio.repository.commit("what the ledger knew of the other branch")
    assert (studio.sold, len(studio.desk.shop.heard())) == (2, heard)


def test_a_renamed_manifest_buys_nothing(studio: Studio) -> None:
    """``git mv`` of the manifest alone: the old lockfile counts, the file moves to its new place."""
    studio.git("mv", "specs/spring.yaml", "specs/summer.yaml")
    path = studio.repository.root / "specs" / "summer.yaml"
    assert studio.desk.json("plan", path)["summary"]["paid"] == 0
    studio.apply(path)
    assert studio.sold == 1
    assert (studio.repository.root / "renders" / "summer" / "a.mp4").is_file()


def test_markers_left_in_the_lockfile_cost_nothing(studio: Studio) -> None:
    """A merge without the union driver, committed with its markers: apply sends nothing and leaves a clean lockfile."""
    (studio.repository.root / ".gitattributes").write_text("")
    studio.repository.commit("no driver")
    studio.git("branch", "right")
    studio.apply(studio.declare(a="one", b="two"))
    studio.repository.commit("left")
    studio.git("checkout", "--quiet", "right")
    studio.apply(studio.declare(a="one", c="three"))
    studio.repository.commit("right")
    studio.git("merge", "--quiet", "main", fails=True)
    path = studio.declare(a="one", b="two", c="three")
    assert "<<<<<<<" in path.with_suffix(".lock").read_text()
    studio.apply(path)
    assert studio.sold == 3
    states = studio.desk.json("status", path)["jobs"]
    assert json.dumps(states).count('"saved"') == 3
