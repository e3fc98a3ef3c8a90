"""The sandbox's FoxAPI, against what its documents say."""

import re
from typing import Any

import httpx
import pytest

PATH = "/v1/videos/generations"
GOOD = {"model": "heygen-video-agent", "prompt": "A weather reporter"}


@pytest.fixture
def foxapi(sandbox: Any) -> httpx.Client:
    """The API with a good token."""
    return sandbox.api("foxapi")


def test_a_video_is_made(sandbox: Any, foxapi: httpx.Client) -> None:
    """A created task answers as documented and ends completed."""
    data = foxapi.post(PATH, json={**GOOD, "orientation": "portrait", "avatar_id": "auto", "file_urls": None}).json()
    assert re.fullmatch(r"task-unified-\d+-[a-z0-9]{8}", data["id"])
    assert (
        data.items() >= {"object": "video.generation.task", "status": "pending", "progress": 0, "type": "video"}.items()
    )
    done = sandbox.until(lambda: foxapi.get(f"/v1/tasks/{data['id']}").json(), lambda task: task["results"])
    assert (done["status"], done["error"]) == ("completed", None)


def test_results_are_objects_or_strings_and_may_be_late(sandbox: Any, foxapi: httpx.Client) -> None:
    """Over some tasks results are seen in both forms, and sometimes completed comes before them, once."""
    kinds, late = set(), 0
    for number in range(16):
        task = foxapi.post(PATH, json={**GOOD, "prompt": f"Reporter {number}"}).json()["id"]

        def ask(task: str = task) -> Any:
            return foxapi.get(f"/v1/tasks/{task}").json()

        done = sandbox.until(ask, lambda data: data["status"] == "completed")
        late += done["results"] is None
        (result,) = done["results"] or ask()["results"]
        kinds.add(type(result))
    link = result["url"] if isinstance(result, dict) else result
    assert sandbox.api().get(link).headers["content-type"] == "video/mp4"
    assert kinds == {dict, str}
    assert 0 < late < 16


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "other"}, {"prompt": ""}, {"prompt": "x" * 10_001}, {"orientation": "square"}, {"incognito_mode": 1},
        {"file_urls": ["https://example.com/a.png"] * 21}, {"file_urls": "https://example.com/a.png"}, {"duration": 5},
        {"avatar_id": 5}, {"callback_url": "https://example.com"},
    ],
    ids=str,
)  # fmt: skip
def test_a_body_that_does_not_fit_is_a_422(sandbox: Any, foxapi: httpx.Client, fields: dict[str, Any]) -> None:
    """A wrong value and any unknown field are a validation error; nothing is bought."""
    before = len(sandbox.purchases("foxapi"))
    answer = foxapi.post(PATH, json={**GOOD, **fields})
    assert answer.status_code == 422
    assert answer.json()["error"]["type"] == "validation_error"
    assert len(sandbox.purchases("foxapi")) == before


def test_the_model_is_required(foxapi: httpx.Client) -> None:
    """The model has one value, and must still be given."""
    assert foxapi.post(PATH, json={"prompt": "x"}).status_code == 422


def test_an_unknown_task_is_a_404(foxapi: httpx.Client) -> None:
    """A task that was never created, or has expired, is not found."""
    assert foxapi.get("/v1/tasks/task-unified-1-aaaaaaaa").status_code == 404


def test_a_bad_token_is_a_401(sandbox: Any) -> None:
    """Without a valid token the answer is an authentication error."""
    answer = sandbox.api("foxapi", token="invalid").get("/v1/tasks/x")
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")


def test_a_failed_task_says_why(start: Any) -> None:
    """A failed task has an error object and no results."""
    sandbox = start(faults=[{"fault": "fail", "provider": "foxapi", "message": "no reporter"}])
    api = sandbox.api("foxapi")
    task = api.post(PATH, json=GOOD).json()["id"]
    done = sandbox.until(lambda: api.get(f"/v1/tasks/{task}").json(), lambda data: data["status"] == "failed")
    assert done["error"]["message"] == "no reporter"
    assert done["results"] is None
