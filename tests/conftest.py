"""A sandbox in a process of its own, and a project that buys there as if it were real."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from renderer.cli.main import group

PROVIDERS = ("fliz", "hifly", "gen_video", "yzx", "foxapi")
_FAST = "{in_flight: 20, apart: 0s, poll: {first: 0.05s, every: [0.02s, 0.05s], timeout: 60s}}"
PACING = "".join(f"  {name}: {_FAST}\n" for name in PROVIDERS)


@dataclass(frozen=True)
class Shop:
    """A running sandbox: its address, and what it has sold and heard so far."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """Keys and base URLs that lead here."""
        keys = {f"{name.upper()}_API_KEY": f"canary-{name}" for name in PROVIDERS}
        return {**keys, **{f"{name.upper()}_BASE_URL": f"{self.url}/{name}" for name in PROVIDERS}}

    def sold(self) -> list[dict[str, Any]]:
        """Return every purchase that costs, oldest first."""
        return [row for row in self._get("purchases") if row["operation"] != "voice-tuning"]

    def heard(self) -> list[dict[str, Any]]:
        """Return the latest requests."""
        return self._get("requests")

    def _get(self, name: str) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self.url}/_/{name}", timeout=30) as answer:
            rows: list[dict[str, Any]] = json.load(answer)[name]
        return rows


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A sandbox for as long as the tests run; every test buys what nobody else buys."""
    home = tmp_path_factory.mktemp("sandbox")
    command = [sys.executable, "-m", "renderer.sandbox", "--home", str(home), "--speed", "400"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Shop(process.stdout.readline().split()[1])
        process.terminate()


@dataclass(frozen=True)
class Desk:
    """A project in a folder, and the command line in it."""

    root: Path
    shop: Shop

    def write(self, body: str, *, name: str = "spring.yaml") -> Path:
        """Write a manifest with quick pacing; ``body`` is its videos and whatever else."""
        path = self.root / "specs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"version: 1\nproviders:\n{PACING}{body}")
        return path

    def run(self, *arguments: str | Path, env: Mapping[str, str | None] | None = None) -> Result:
        """Run a command in this process; paths are absolute."""
        told = {**self.shop.environment, "CI": "1", **(env or {})}
        return CliRunner(env=told).invoke(group, ["--project", str(self.root), *map(str, arguments)])

    def json(self, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
        """Run a command with ``--json`` and return its document."""
        done = self.run(*arguments, "--json")
        assert done.exit_code == code, done.output
        document: dict[str, Any] = json.loads(done.stdout)
        assert document["format_version"] == 1
        return document

    def spawn(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Run a command in a process of its own."""
        command = [sys.executable, "-m", "renderer", "--project", str(self.root), *map(str, arguments)]
        env = {**os.environ, **self.shop.environment, "CI": "1"}
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def desk(tmp_path: Path, shop: Shop) -> Desk:
    """An empty project whose providers are the sandbox."""
    root = tmp_path / "project"
    (root / ".renderer").mkdir(parents=True)
    return Desk(root, shop)
