"""The example manifests: valid, complete, and the tour rendered through the sandbox into files that play."""

import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

from renderer.provider.packfile import load_packs

ROOT = Path(__file__).parents[1]
SPECS = sorted((ROOT / "specs").glob("*.yaml"))
ENVIRONMENT = {
    **{name: text for name, text in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL"))},
    "NO_COLOR": "1",
}
WIDE, TALL = (640, 360), (360, 640)
# What the sandbox makes of each video's aspect or resolution, in pixels.
PIXELS = {
    "welcome": TALL,  # Hifly is not told a shape
    "launch": WIDE,
    "launch-in-fr": WIDE,
    "launch-in-de": WIDE,
    "product-L-100": TALL,
    "product-L-200": TALL,
    "product-007": TALL,
    "teaser": (1280, 720),
    "cut": WIDE,
    "agent": TALL,
}


def renderer(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the program; it must end well."""
    command = [sys.executable, "-m", "renderer.cli.main", *arguments]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a copy of the specs, so that nothing is known yet."""
    shutil.copytree(ROOT / "specs", tmp_path / "specs", ignore=shutil.ignore_patterns("*.lock"))
    (tmp_path / ".git").mkdir()
    return tmp_path


@pytest.mark.parametrize("spec", SPECS, ids=lambda path: path.stem)
def test_a_spec_is_valid_and_has_a_plan(spec: Path, project: Path) -> None:
    """A spec has no problem, not even a warning, every job of it is planned, and editors find its schema."""
    path = f"specs/{spec.name}"
    assert json.loads(renderer("validate", "--json", path, cwd=project).stdout)["problems"] == []
    actions = json.loads(renderer("plan", "--json", path, cwd=project).stdout)["actions"]
    assert actions
    assert {action["action"] for action in actions} == {"submit"}
    first, _, _ = spec.read_text().partition("\n")
    assert (spec.parent / first.partition("$schema=")[2]).resolve() == ROOT / "schemas" / "manifest.schema.json"


def test_the_specs_show_every_operation(project: Path) -> None:
    """Whatever a provider can do stands in its spec, and the tour has all of the providers."""
    packs = [pack for pack in load_packs().values() if not pack.unavailable]
    for pack in packs:
        actions = json.loads(renderer("plan", "--json", f"specs/{pack.provider}.yaml", cwd=project).stdout)["actions"]
        assert {action["operation"] for action in actions} == set(pack.operations)
    tour = json.loads(renderer("plan", "--json", "specs/tour.yaml", cwd=project).stdout)["actions"]
    assert {action["provider"] for action in tour} == {pack.provider for pack in packs}


def test_what_stands_beside_the_specs_is_small() -> None:
    """A clone stays small: no example medium has more than 200 kB."""
    assert [path for path in (ROOT / "specs").rglob("*") if path.is_file() and path.stat().st_size > 200_000] == []


def decoded(path: Path) -> tuple[tuple[int, int], float]:
    """Decode a file to its last frame and sample; return its pixels and its seconds."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        end, pixels = Fraction(0), set()
        for frame in container.decode(video):
            assert isinstance(frame, av.VideoFrame)
            assert frame.pts is not None
            assert frame.time_base is not None
            assert video.average_rate is not None
            pixels.add((frame.width, frame.height))
            end = max(end, frame.pts * frame.time_base + 1 / video.average_rate)
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(audio=0))
    (size,) = pixels
    return size, float(end)


def test_the_tour_is_rendered_once(project: Path) -> None:
    """Each video of the tour plays to its end in its shape and length; a second apply sends nothing."""
    told = json.loads(renderer("apply", "--sandbox", "--yes", "--json", "specs/tour.yaml", cwd=project).stdout)
    assert {job["state"] for job in told["jobs"]} == {"saved"}
    outputs = {job["id"]: job["output"] for job in told["jobs"] if job["kind"] == "video"}
    assert set(outputs) == set(PIXELS)
    home = project / ".renderer" / "sandbox"
    for name, output in outputs.items():
        pixels, seconds = decoded(home / output["path"])
        assert (name, pixels) == (name, PIXELS[name])
        assert seconds == pytest.approx(output["duration"], abs=0.2)
    assert outputs["teaser"]["duration"] == pytest.approx(4, abs=0.2)

    journal = (home / "specs" / "tour.lock").read_bytes()
    sold = (home / ".renderer" / "server" / "tasks.jsonl").read_bytes()
    again = renderer("apply", "--sandbox", "--yes", "specs/tour.yaml", cwd=project)
    assert "Nothing was sent." in again.stderr.splitlines()
    assert (home / "specs" / "tour.lock").read_bytes() == journal
    assert (home / ".renderer" / "server" / "tasks.jsonl").read_bytes() == sold
