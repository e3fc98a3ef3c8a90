"""Sandboxes to test against: real ones, on real sockets, in a thread of this process."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from renderer.sandbox.server import serve

FAST = 2000.0
GUARD = 20.0  # seconds after which a test counts as hanging

FLIZ_BODY = {"name": "Aurora", "description": "A short text.", "format": "size_16_9", "lang": "en"}


@dataclass
class Sandbox:
    """A sandbox at work, and the calls that most tests make."""

    home: Path
    port: int
    stopping: threading.Event
    thread: threading.Thread
    clients: list[httpx.Client] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """The scheme, host and port."""
        return f"http://127.0.0.1:{self.port}"

    def api(self, provider: str = "", *, token: str | None = "sandbox") -> httpx.Client:
        """Make a client of a provider's API; ``verify`` is off because certificates cost 20 ms to load."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        base = f"{self.origin}/{provider}".rstrip("/")
        client = httpx.Client(base_url=base, headers=headers, timeout=GUARD, trust_env=False, verify=False)
        self.clients.append(client)
        return client

    def purchases(self, provider: str | None = None) -> list[dict[str, Any]]:
        """Return what was bought."""
        rows = self.api().get("/_/purchases").json()["purchases"]
        return [row for row in rows if provider in {None, row["provider"]}]

    def requests(self) -> list[dict[str, Any]]:
        """Return the request log."""
        return self.api().get("/_/requests").json()["requests"]

    def until(self, ask: Callable[[], Any], ready: Callable[[Any], bool] = bool) -> Any:
        """Ask again and again until the answer will do."""
        end = time.monotonic() + GUARD
        while time.monotonic() < end:
            answer = ask()
            if ready(answer):
                return answer
            time.sleep(0.01)
        raise AssertionError(f"still not ready: {answer}")

    def fliz_video(self, **more: Any) -> str:
        """Buy a Fliz video; return its id."""
        body = {"fliz_video_create_input": {**FLIZ_BODY, **more}}
        answer = self.api("fliz").post("/api/rest/video", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["fliz_video_create"]["video_id"]

    def fliz_status(self, video: str) -> dict[str, Any]:
        """Ask for a Fliz video."""
        return self.api("fliz").get(f"/api/rest/videos/{video}").json()["fliz_video_by_pk"]

    def fliz_link(self, video: str | None = None) -> str:
        """Buy a video if none is given, wait for it, and return its link."""
        video = video or self.fliz_video()
        return self.until(lambda: self.fliz_status(video)["url"])

    def stop(self) -> None:
        """Tell it to stop; `ended` waits for its end."""
        for client in self.clients:
            client.close()
        self.stopping.set()

    def ended(self) -> None:
        """Wait for its end."""
        self.thread.join(GUARD)
        assert not self.thread.is_alive()


Start = Callable[..., Sandbox]


def _started(home: Path, *, faults: Any = None, speed: float = FAST, seed: int = 0, port: int = 0) -> Sandbox:
    file = None
    if faults is not None:
        file = home.parent / f"{home.name}-faults.yaml"
        file.write_text(yaml.safe_dump(faults), encoding="utf-8")
    ports: list[int] = []
    is_ready, stopping = threading.Event(), threading.Event()

    def tell(bound: int) -> None:
        ports.append(bound)
        is_ready.set()

    thread = threading.Thread(
        target=serve,
        kwargs={
            "home": home, "port": port, "speed": speed, "seed": seed, "faults": file, "ready": tell, "stop": stopping,
        },
        daemon=True,
    )  # fmt: skip
    thread.start()
    assert is_ready.wait(GUARD)
    return Sandbox(home=home, port=ports[0], stopping=stopping, thread=thread)


@pytest.fixture(scope="session")
def stopped() -> Iterator[list[Sandbox]]:
    """Collect sandboxes that are stopping: waiting for each at its test's end would be half of all time."""
    stopping: list[Sandbox] = []
    yield stopping
    for sandbox in stopping:
        sandbox.ended()


@pytest.fixture
def start(tmp_path: Path, stopped: list[Sandbox]) -> Iterator[Start]:
    """Start sandboxes with faults and settings of the test's own."""
    running: list[Sandbox] = []

    def starter(*, name: str = "home", **settings: Any) -> Sandbox:
        sandbox = _started(tmp_path / name, **settings)
        running.append(sandbox)
        return sandbox

    yield starter
    for sandbox in running:
        sandbox.stop()
    stopped.extend(running)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, stopped: list[Sandbox]) -> Iterator[Sandbox]:
    """Share one well-behaved, very fast sandbox among a module's tests."""
    running = _started(tmp_path_factory.mktemp("sandbox") / "home")
    yield running
    running.stop()
    stopped.append(running)
