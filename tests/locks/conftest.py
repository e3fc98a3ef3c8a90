"""Projects for many processes at once."""

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from renderer.project import Project
from renderer.run.journal import replay
from renderer.state.history import Submission
from tests.conftest import Desk, Shop
from tests.disk.processes import Fault, Processes, Running

_GUARD = 30.0
SLOW = "first: 600s, every: [600s, 600s], timeout: 900s"
"""A poll that nobody waits for: a process that does is found by the guard against hanging."""


@dataclass
class Counter:
    """A project at whose counter processes queue."""

    desk: Desk
    processes: Processes
    before: int
    name: str
    since: datetime

    @property
    def root(self) -> Path:
        """Where it is."""
        return self.desk.root

    def declare(self, *ids: str, name: str = "spring", word: str = "", polls: str = "") -> Path:
        """Write a manifest of teasers whose prompts are their ids and this test's name; ``word`` changes them."""
        jobs = "".join(
            f'  {id_}: {{provider: yzx, model: sora-2, prompt: "{id_} {word} {self.name}", duration: 1}}\n'
            for id_ in ids
        )
        path = self.desk.write(f"videos:\n{jobs}", name=f"{name}.yaml")
        if polls:
            told = "first: 0.05s, every: [0.02s, 0.05s], timeout: 60s"
            path.write_text(path.read_text().replace(told, polls))
        return path

    def apply(self, path: Path, fault: Fault | None = None) -> Running:
        """Start ``apply``."""
        return self.processes.start("apply", "--yes", path, fault=fault)

    def begun(self, path: Path) -> None:
        """Apply until a purchase is accepted, and no further: the process dies there."""
        lock = path.with_suffix(".lock")
        writes = 4 if not lock.exists() else 3
        fault = Fault(calls=("write",), about=f"{self.root.name}/specs/{lock.name}", at=writes)
        assert self.apply(path, fault).end().killed
        assert any(s.facts.keys() == {"intended", "accepted"} for s in self.submissions())

    def sold(self) -> list[dict[str, Any]]:
        """What this test has bought."""
        return self.desk.shop.sold()[self.before :]

    def submissions(self) -> list[Submission]:
        """What its record files know, oldest first."""
        found = replay(Project(self.root, self.root)).history.submissions.values()
        return sorted(found, key=lambda s: (s.at, s.id))

    def submits(self) -> int:
        """How many requests that buy this test has sent, as the sandbox heard them."""
        heard = (row for row in self.desk.shop.heard() if datetime.fromisoformat(row["time"]) >= self.since)
        return sum(row["method"] == "POST" for row in heard)

    def wait_for(self, seen: Callable[[], bool]) -> None:
        """Wait until something is seen, with a guard against hanging."""
        end = time.monotonic() + _GUARD
        while not seen():
            assert time.monotonic() < end, "it never came"
            time.sleep(0.01)

    def locked(self, path: Path, word: str, times: int = 1) -> Callable[[], bool]:
        """Whether a lockfile holds a word so often."""
        lock = path.with_suffix(".lock")
        return lambda: lock.exists() and lock.read_text().count(f'"{word}"') >= times

    def json(self, *arguments: str | Path) -> dict[str, Any]:
        """Return a command's document, whatever its exit code."""
        document: dict[str, Any] = json.loads(self.desk.run(*arguments, "--json").stdout)
        return document


@pytest.fixture
def counter(desk: Desk, shop: Shop, tmp_path: Path) -> Iterator[Counter]:
    """An empty project."""
    processes = Processes(tmp_path / "said", shop.environment)
    since = datetime.now(UTC).replace(microsecond=0)
    yield Counter(desk, processes, len(shop.sold()), uuid.uuid4().hex, since)
    processes.end_all()
