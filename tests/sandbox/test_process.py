"""The sandbox as a process: what outlives it, and when it ends."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

GUARD = 20


@contextmanager
def process(home: Path, *options: Any, **settings: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``python -m renderer.sandbox``; yield it and its base URL once it is ready."""
    command = [sys.executable, "-m", "renderer.sandbox", "--home", str(home), *options]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **settings)
    try:
        match = re.fullmatch(r"ready (http://127\.0\.0\.1:\d+)\n", running.stdout.readline())
        yield running, match[1]
    finally:
        running.kill()
        running.wait(GUARD)
        for stream in (running.stdout, running.stdin):
            if stream:
                stream.close()


def test_a_killed_sandbox_goes_on_where_it_was(tmp_path: Path) -> None:
    """After SIGKILL purchases, tasks, links and the port's work are as before; a torn last line is dropped."""
    body = {"fliz_video_create_input": {"name": "A", "description": "B", "format": "square", "lang": "en"}}
    good = {"headers": {"Authorization": "Bearer x"}, "trust_env": False, "timeout": GUARD}
    with process(tmp_path / "home", "--speed", "1e5") as (running, base):
        video = httpx.post(f"{base}/fliz/api/rest/video", json=body, **good).json()["fliz_video_create"]["video_id"]
        before = httpx.get(f"{base}/_/purchases", **good).json()
        link = httpx.get(f"{base}/fliz/api/rest/videos/{video}", **good).json()["fliz_video_by_pk"]["url"]
        running.send_signal(signal.SIGKILL)
        running.wait(GUARD)
    with (tmp_path / "home" / "tasks.jsonl").open("a") as journal:
        journal.write('{"task": {"id": "torn')
    port = base.rpartition(":")[2]
    with process(tmp_path / "home", "--port", port, "--speed", "1") as (_, again):
        assert again == base
        assert httpx.get(f"{base}/_/purchases", **good).json() == before
        status = httpx.get(f"{base}/fliz/api/rest/videos/{video}", **good).json()["fliz_video_by_pk"]
        assert status["step"] == "complete"
        assert httpx.get(link, **good).status_code == 200
        httpx.post(f"{base}/fliz/api/rest/video", json=body, **good)
        assert len(httpx.get(f"{base}/_/purchases", **good).json()["purchases"]) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_clean_end(tmp_path: Path, number: int) -> None:
    """SIGTERM and SIGINT end the process with 0."""
    with process(tmp_path) as (running, _):
        running.send_signal(number)
        assert running.wait(GUARD) == 0


def test_it_ends_when_its_standard_input_is_closed(tmp_path: Path) -> None:
    """With --parent a closed pipe on stdin is the end."""
    with process(tmp_path, "--parent", str(os.getpid()), stdin=subprocess.PIPE) as (running, _):
        running.stdin.close()
        assert running.wait(GUARD) == 0


def test_it_ends_with_the_process_that_it_follows(tmp_path: Path) -> None:
    """With --parent the end of that process is the end, also where stdin says nothing."""
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with process(tmp_path, "--parent", str(other.pid), stdin=subprocess.DEVNULL) as (running, _):
        assert running.poll() is None
        other.communicate(b"\n", timeout=GUARD)
        assert running.wait(GUARD) == 0


def test_what_cannot_be_served_is_said_without_a_traceback(tmp_path: Path) -> None:
    """A bad faults file is one line on stderr that names it, and exit code 64."""
    faults = tmp_path / "faults.yaml"
    faults.write_text("- {fault: explode}")
    command = [sys.executable, "-m", "renderer.sandbox", "--home", str(tmp_path), "--faults", str(faults)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=GUARD, check=False)
    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr.startswith(f"{faults}: rules[0]: unknown fault")
    assert done.stderr.count("\n") == 1


def test_purchases_are_counted_with_equal_hashes_for_equal_requests(start: Any) -> None:
    """Equal requests are two purchases with one hash; a refused one is none."""
    sandbox = start()
    sandbox.fliz_video()
    sandbox.fliz_video()
    sandbox.fliz_video(name="Other")
    sandbox.api("fliz").post("/api/rest/video", json={})
    rows = sandbox.purchases()
    assert [row["operation"] for row in rows] == ["video"] * 3
    assert rows[0]["hash"] == rows[1]["hash"] != rows[2]["hash"]
    assert len({row["task"] for row in rows}) == 3


def test_the_same_seed_has_the_same_luck(start: Any) -> None:
    """What the documents leave open is decided by the seed and the request, over sandboxes."""

    def lot(name: str, seed: int) -> list[list[str]]:
        sandbox = start(name=name, seed=seed)
        api = sandbox.api("yzx")
        tasks = [api.post("/v1/videos", json={"model": "sora-2", "prompt": f"{n}"}).json()["id"] for n in range(8)]
        done = [
            sandbox.until(lambda t=t: api.get(f"/v1/videos/{t}").json(), lambda d: d["status"] == "completed")
            for t in tasks
        ]
        return [sorted(row.keys()) for row in done]

    assert lot("a", 1) == lot("b", 1) != lot("c", 2)
