"""A project whose ``renderer`` processes can be given a failing disk, a death, or another user."""

import hashlib
import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from renderer.project import Project
from renderer.run.journal import replay
from renderer.state import lockfile
from renderer.state.history import History
from tests.conftest import Desk, Shop
from tests.disk.processes import Fault, Processes, Said

# What a manifest of each kind declares: {n} makes every project's jobs its own purchases.
DECLARED = {
    "listed": 'videos:\n  a: {{provider: fliz, title: "{n}", text: A lamp., aspect: "16:9", language: en}}\n',
    "unlisted": 'videos:\n  a: {{provider: yzx, model: sora-2, prompt: "{n}", duration: 1}}\n',
    "keyed": 'videos:\n  a: {{provider: gen_video, draft: "https://example.com/?drafId=https://example.com/{n}.json"}}\n',
    "value": 'assets:\n  a: {{provider: hifly, operation: avatar-by-image, title: A, source: "https://example.com/{n}.png"}}\n',
}
HELD_OR_SAVED = {"saved", "held"}


@dataclass
class Bench:
    """A project, its processes, and the checks that hold for it at any time."""

    desk: Desk
    processes: Processes
    before: int

    @property
    def root(self) -> Path:
        """Where it is."""
        return self.desk.root

    def declare(self, kind: str, *, jobs: int = 1, pacing: str = "") -> Path:
        """Write a manifest with jobs of a kind that nobody else buys; ``a``, then ``a1``, ``a2``."""
        head, line = DECLARED[kind].split("\n", 1)
        lines = [line.format(n=uuid.uuid4().hex).replace("  a:", f"  a{n or ''}:", 1) for n in range(jobs)]
        path = self.desk.write("\n".join([head, "".join(lines)]))
        if pacing:
            path.write_text(path.read_text().replace("in_flight: 20", pacing))
        return path

    def apply(self, path: Path, fault: Fault | None = None) -> Said:
        """Apply in a process of its own."""
        return self.processes.run("apply", "--yes", "--json", path, fault=fault)

    def sold(self) -> list[dict[str, Any]]:
        """Return what this test has bought."""
        return self.desk.shop.sold()[self.before :]

    def history(self) -> History:
        """Return what its record files say."""
        return replay(Project(self.root, self.root)).history

    def ends_well(self, path: Path, *, twice: int = 0, tidy: bool = True) -> list[dict[str, Any]]:
        """Apply again: every job ends saved or held, nothing was bought twice; return the jobs.

        ``twice``: how many may be, where DESIGN says that it cannot be closed. ``tidy``: nothing begun is left either.
        """
        said = self.apply(path)
        assert said.code in (0, 3), said.err
        jobs: list[dict[str, Any]] = json.loads(said.out[said.out.index("{") :])["jobs"]
        assert {job["state"] for job in jobs} <= HELD_OR_SAVED, jobs
        assert len(self.sold()) - len({row["hash"] for row in self.sold()}) <= twice, self.sold()
        self.check_whole()
        litter = {p.name for p in self.root.glob("[!.]*/**/*") if p.name.endswith(".tmp")}
        # A dead compaction's file waits, under one name, for the next run that has something to write.
        assert not tidy or litter <= {".spring.lock.tmp"}, f"the next run left what a dead one had begun: {litter}"
        return jobs

    def delivered(self) -> bool:
        """Whether the answer that gives a link once has reached the disk."""
        links = any((self.root / ".renderer" / "links").glob("[!.]*"))
        return links or any("rendered" in s.facts for s in self.history().submissions.values())

    def check_whole(self) -> None:
        """Nothing half-written stands under a final name."""
        state = self.root / ".renderer"
        cached = {p.name for p in (state / "cache").glob("*/*") if not p.name.endswith(".tmp")}
        for name in cached:
            content = (state / "cache" / name[:2] / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == name, "half a file in the cache"
        for output in (self.root / "renders").rglob("*.mp4"):
            assert hashlib.sha256(output.read_bytes()).hexdigest() in cached, "half an output"
        for link in (state / "links").glob("[!.]*"):
            assert link.read_text().endswith("\n"), "half a link"
            assert link.stat().st_mode & 0o777 == 0o600
        for document in ("outputs.json", "remote.json"):
            if (state / document).exists():
                json.loads((state / document).read_text())
        for path in (*lockfile.lockfiles(Project(self.root, self.root)), *(state / "ledger").glob("*")):
            lockfile.read(path, file=path.name)

    def check_sold_is_known(self, said: Said) -> None:
        """What was sold was on record before it was sent; its task is on record, or was told by who still could."""
        known = self.history().submissions.values()
        assert len(self.sold()) <= sum(bool(s.intended) for s in known), "sent before it was on record"
        doubts = [s for s in known if s.task is None]
        for row in self.sold():
            task = str(row["task"])
            if task not in {s.task for s in known}:
                assert task in said.err or (said.killed and doubts), f"nobody knows of {task}: {said.err}"

    def check_lost_is_told(self, said: Said, lost: Path) -> None:
        """Each fact that a record file did not take is in the other one, or stands in what the person was told."""
        known = self.history().submissions
        for line in lost.read_text().splitlines() if lost.exists() else []:
            record = json.loads(line)
            id_ = record.get("submission", "")
            facts = known[id_].facts if id_ in known else {}
            missing = record.keys() - facts.keys() - {"submission", "crc", "renderer-lock"}
            assert not missing or line in said.err, f"{missing} of {id_} was lost, and nobody was told: {said.err}"


@pytest.fixture
def processes(tmp_path: Path, shop: Shop) -> Iterator[Processes]:
    """Processes that buy at the sandbox."""
    started = Processes(tmp_path / "said", shop.environment)
    yield started
    started.end_all()


@pytest.fixture
def bench(desk: Desk, processes: Processes) -> Bench:
    """A project that only root may enter, as temporary folders of tests are."""
    return Bench(desk, processes, len(desk.shop.sold()))


@pytest.fixture
def common(shop: Shop) -> Iterator[Bench]:
    """A project whose folder belongs to nobody, for processes that are nobody."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        root = Path(folder, "project")
        (root / ".renderer").mkdir(parents=True)
        processes = Processes(Path(folder, "said"), shop.environment)
        yield Bench(Desk(root, shop), processes, len(shop.sold()))
        processes.end_all()


def campaign() -> bool:
    """Whether this is a campaign: every point of a run instead of one of each kind."""
    return int(os.environ.get("RENDERER_CAMPAIGN", "0")) > 0
