import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from renderer.cli.main import group
from renderer.project import Project
from renderer.state.runlock import RunLock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty project."""
    (tmp_path / ".renderer").mkdir()
    return tmp_path


def sandbox(folder: Path, *arguments: str | Path) -> Result:
    """Run `renderer sandbox` where it is expected not to serve."""
    return CliRunner().invoke(group, ["sandbox", "--project", str(folder), *map(str, arguments)])


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Serve in a process of its own; give it with the variables that it printed."""
    code = "from renderer.cli.main import main; main()"
    command = [sys.executable, "-c", code, "sandbox", "--project", str(folder), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(10)]
            yield process, dict(line.strip().removeprefix("export ").split("=", 1) for line in lines)
        finally:
            process.kill()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_end(folder: Path, ending: signal.Signals) -> None:
    """It prints each provider's variables ready to paste, answers there, and a signal is an ordinary end."""
    with serving(folder, "--speed", "20") as (process, variables):
        assert set(variables) == {
            f"{name}_{what}"
            for name in ("FLIZ", "HIFLY", "YZX", "FOXAPI", "GEN_VIDEO")
            for what in ("BASE_URL", "API_KEY")
        }
        request = urllib.request.Request(f"{variables['YZX_BASE_URL']}/v1/models")
        request.add_header("Authorization", f"Bearer {variables['YZX_API_KEY']}")
        with urllib.request.urlopen(request, timeout=30) as reply:
            assert b"sora-2" in reply.read()
        assert process.stderr is not None
        assert "Ctrl-C ends it" in process.stderr.readline()
        process.send_signal(ending)
        assert process.wait(30) == 0


def test_it_comes_back_on_the_port_it_had(folder: Path) -> None:
    """Links that it gave away name its port, so without --port the last one is taken again, or else a free one."""
    with serving(folder) as (process, first):
        process.send_signal(signal.SIGINT)
        process.wait(30)
    with serving(folder) as (process, second):
        process.send_signal(signal.SIGINT)
        process.wait(30)
    assert second == first
    port = int(first["YZX_BASE_URL"].split(":")[2].split("/")[0])
    with socket.create_server(("127.0.0.1", port)), serving(folder) as (process, third):
        assert third != first


def test_a_port_that_is_taken_is_wrong_usage(folder: Path) -> None:
    """A port that somebody else has: exit 64 and its number."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = sandbox(folder, "--port", str(port))
    assert result.exit_code == 64
    assert f"port {port} cannot be used" in result.stderr


def test_a_bad_faults_file_is_65(folder: Path) -> None:
    """A faults file that makes no sense: exit 65, with file and place."""
    faults = folder / "faults.yaml"
    faults.write_text("rules: [{fault: nope}]", encoding="utf-8")
    result = sandbox(folder, "--faults", faults)
    assert result.exit_code == 65
    assert f"{faults}: rules[0]: unknown fault 'nope'" in result.stderr


@pytest.mark.parametrize("arguments", [["--speed", "0"], ["--port", "70000"], ["--seed", "x"], ["--faults", "none"]])
def test_values_out_of_range_are_wrong_usage(folder: Path, arguments: list[str]) -> None:
    """Impossible values: exit 64."""
    assert sandbox(folder, *arguments).exit_code == 64


def test_it_does_not_share_its_purchases_with_a_rehearsal_that_runs(folder: Path) -> None:
    """While a rehearsal is under way it waits its turn: exit 75, and it says who."""
    root = Path(os.path.realpath(folder))
    with RunLock(Project(root, root).sandbox(), command="renderer apply --sandbox"):
        result = sandbox(folder)
    assert result.exit_code == 75
    assert "renderer apply --sandbox" in result.stderr
