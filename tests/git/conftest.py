"""A repository of real git, cut off from the machine's own settings, and runs in it without a network."""

import os
import random
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from renderer.project import Project
from renderer.run.compact import compact
from renderer.run.journal import homes, replay
from renderer.state import lockfile
from renderer.state.history import History
from tests.git.buyer import Buyer, counting, facts, history, line, read

ATTRIBUTES = "specs/*.lock merge=union text eol=lf\n"


def environment() -> dict[str, str]:
    """Return an environment in which git asks nobody and reads no settings but the repository's."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    who = {f"GIT_{role}_{what}": text for role in ("AUTHOR", "COMMITTER") for what, text in
           (("NAME", "Anna"), ("EMAIL", "anna@example.com"), ("DATE", "2026-01-01T00:00:00Z"))}  # fmt: skip
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    return {**known, **who, **settings, "GIT_EDITOR": "true", "GIT_MERGE_AUTOEDIT": "no"}


def init(root: Path, attributes: str = ATTRIBUTES, config: Mapping[str, str] | None = None) -> "Repository":
    """Make a repository with what ``renderer init`` writes, on branch ``main``."""
    root.mkdir()
    repository = Repository(root)
    repository.git("init", "--quiet", "--initial-branch=main")
    for name, value in (config or {}).items():
        repository.git("config", name, value)
    (root / ".renderer").mkdir()
    (root / ".renderer" / ".gitignore").write_text("*\n!.gitignore\n")
    (root / ".gitattributes").write_text(attributes)
    (root / "specs").mkdir()
    (root / "specs" / "spring.yaml").write_text("version: 1\n")
    repository.commit("begin")
    return repository


class Repository:
    """A work tree."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.project = Project(root, root)

    def git(self, *arguments: str, fails: bool = False) -> str:
        """Run git; ``fails``: it may end with a conflict."""
        done = subprocess.run(
            ["git", *arguments], check=False, cwd=self.root, env=environment(), capture_output=True, text=True
        )
        assert fails or done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def commit(self, message: str) -> None:
        """Commit everything that is not ignored."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)

    def clone(self, to: Path) -> "Repository":
        """Return a fresh clone of what is checked out: no ledger."""
        self.git("clone", "--quiet", str(self.root), str(to))
        return Repository(to)


class Shopper:
    """A machine with a repository whose runs buy, as far as records go; it knows all that was ever written."""

    def __init__(self, repository: Repository, seed: int) -> None:
        self.repository = repository
        self.chance = random.Random(seed)
        self.buyer = Buyer(self.chance)
        self.manifest = "specs/spring.yaml"
        self.git = repository.git

    def known(self) -> History:
        """What replay says here and now."""
        return replay(self.repository.project, {self.manifest: Path(self.manifest).stem}).history

    def buy(self, message: str = "", *, folds: bool | None = None) -> None:
        """Let a run buy something, and commit its lockfile unless ``message`` is empty."""
        project, release = self.repository.project, Path(self.manifest).stem
        known = replay(project, {self.manifest: release})
        lock, ledger = project.lockfile(self.manifest), project.ledger / f"{release}.jsonl"
        with lockfile.Appender(lock, file="lock") as locked, lockfile.Appender(ledger, file="ledger") as ledgered:
            for record in homes(known.unlocked, {release}, {}).get(release, ()):
                locked.append(line(record))
            for record in homes(known.unledgered, {release}, {}).get(release, ()):
                ledgered.append(line(record))
            for record in self.buyer.run(known.history):
                locked.append(line(record))
                ledgered.append(line(record))
        if self.chance.random() < 0.5 if folds is None else folds:
            compact(lock, file="lock")
        if message:
            self.repository.commit(message)

    def check(self) -> None:
        """This machine knows everything that it ever wrote, and what counts of it."""
        everything = history(self.buyer.written)
        assert facts(self.known()) == facts(everything)
        assert counting(self.known()) == counting(everything)

    def held(self, *branches: str) -> list[Any]:
        """Return the records that the lockfiles of branches hold."""
        records: list[Any] = []
        for branch in branches:
            for name in self.git("ls-tree", "-r", "--name-only", branch).split():
                if name.endswith(".lock"):
                    records += read(self.git("show", f"{branch}:{name}").encode(), self.repository.root / ".held")
        (self.repository.root / ".held").unlink()
        return records

    def check_clone(self, to: Path, *branches: str) -> None:
        """A fresh clone, which has no ledger, knows everything that the merged branches held."""
        clone = self.repository.clone(to)
        there = replay(clone.project).history
        both = history(self.held(*branches))
        assert facts(there, refusals=False) == facts(both, refusals=False)
        assert counting(there) == counting(both)


@pytest.fixture
def shopper(tmp_path: Path) -> Iterator[Callable[..., Shopper]]:
    """Make machines with a repository each."""
    number = 0

    def make(seed: int = 0, *, attributes: str = ATTRIBUTES, config: Mapping[str, str] | None = None) -> Shopper:
        nonlocal number
        number += 1
        return Shopper(init(tmp_path / f"repository{number}", attributes, config), seed)

    return make
