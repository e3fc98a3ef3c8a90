"""The sandbox's YZX, against what its documents say."""

from typing import Any

import httpx
import pytest

GOOD = {"model": "sora-2", "prompt": "A cat in a sunlit garden"}


@pytest.fixture
def yzx(sandbox: Any) -> httpx.Client:
    """The API with a good token."""
    return sandbox.api("yzx")


def bought(api: httpx.Client, **fields: Any) -> dict[str, Any]:
    return api.post("/v1/videos", json={**GOOD, **fields}).json()


def finished(sandbox: Any, task: str) -> dict[str, Any]:
    api = sandbox.api("yzx")
    return sandbox.until(lambda: api.get(f"/v1/videos/{task}").json(), lambda data: data["status"] == "completed")


def link_in(data: dict[str, Any]) -> str | None:
    """Find the link where the documents say it may stand, in their order."""
    listed = data.get("data")
    if isinstance(listed, list):
        return listed[0]["url"]
    places = [
        (listed or {}).get("result_url"),
        *(data.get(key) for key in ("result_url", "url", "video_url", "output_url", "download_url")),
    ]
    return next((place for place in places if place), None)


def test_a_video_is_made(sandbox: Any, yzx: httpx.Client) -> None:
    """A created task has its id twice, is queued, and is completed in the end."""
    data = bought(yzx, duration=3, size="320x240", seed=7)
    assert data["id"] == data["task_id"]
    assert (data["object"], data["status"], data["model"]) == ("video", "queued", "sora-2")
    assert finished(sandbox, data["id"])["progress"] == 100


def test_the_link_stands_in_many_places(sandbox: Any, yzx: httpx.Client) -> None:
    """Over some tasks the link is found in several of the documented places, and sometimes nowhere."""
    places = set()
    for number in range(40):
        data = finished(sandbox, bought(yzx, prompt=f"Cat {number}")["id"])
        link = link_in(data)
        places.add(
            next(
                (
                    key
                    for key in ("data", "result_url", "url", "video_url", "output_url", "download_url")
                    if key in data
                ),
                None,
            )
        )
        if link and number < 12:
            assert yzx.get(link).headers["content-type"] == "video/mp4"
    assert None in places
    assert len(places) >= 5


def test_a_state_may_be_unknown(start: Any) -> None:
    """Early on their way some tasks answer `unknown`, without a link."""
    sandbox = start(faults=[{"fault": "freeze", "operation": "status", "at": 0.25}])
    api = sandbox.api("yzx")
    answers = [api.get(f"/v1/videos/{bought(api, prompt=f'Cat {number}')['id']}").json() for number in range(12)]
    assert {answer["status"] for answer in answers} == {"unknown", "in_progress"}
    assert not any(link_in(answer) for answer in answers)


@pytest.mark.parametrize(
    "fields",
    [
        {"model": None}, {"model": "sora-9"}, {"model": "seedance-2.0"}, {"prompt": ""}, {"prompt": 5},
        {"duration": "5"}, {"duration": 5.5}, {"duration": True}, {"size": "1280*720"}, {"size": "720p"},
        {"size": "9000x9000"}, {"seed": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_field_is_refused(sandbox: Any, yzx: httpx.Client, fields: dict[str, Any]) -> None:
    """An unlisted model, Seedance, and a wrong type or size are a 400 with a code; nothing is bought."""
    before = len(sandbox.purchases("yzx"))
    answer = yzx.post("/v1/videos", json={**GOOD, **fields})
    assert answer.status_code == 400
    assert answer.json().get("code") or answer.json()["error"]["code"]
    assert len(sandbox.purchases("yzx")) == before


def test_an_unknown_task_is_a_400_of_its_own_kind(yzx: httpx.Client) -> None:
    """Asking for an unknown id is not a 404 but `task_not_exist`."""
    answer = yzx.get("/v1/videos/task_nobody")
    assert (answer.status_code, answer.json()["code"]) == (400, "task_not_exist")


def test_content_needs_the_token_and_a_finished_task(start: Any) -> None:
    """/content is 403 without a token, 400 before the end, 404 for an unknown task."""
    sandbox = start(speed=0.001)
    api = sandbox.api("yzx")
    task = bought(api)["id"]
    assert sandbox.api("yzx", token=None).get(f"/v1/videos/{task}/content").status_code == 403
    assert api.get(f"/v1/videos/{task}/content").status_code == 400
    assert api.get("/v1/videos/task_nobody/content").status_code == 404


def test_the_services_own_files_need_the_token(sandbox: Any, yzx: httpx.Client) -> None:
    """A link to /v1/files is 403 without a token and a video with one."""
    task = bought(yzx, prompt="A dog")["id"]
    finished(sandbox, task)
    path = f"/v1/files/video-{task}.mp4"
    assert sandbox.api("yzx", token=None).get(path).status_code == 403
    assert yzx.get(path).content == yzx.get(f"/v1/videos/{task}/content").content


def test_the_models_are_listed(yzx: httpx.Client) -> None:
    """GET /v1/models has the documented ones and proves a token."""
    assert "veo_3_1-fast-hd" in {row["id"] for row in yzx.get("/v1/models").json()["data"]}


def test_a_bad_token_is_a_401(sandbox: Any) -> None:
    """Without a valid token the gateway answers its error object."""
    answer = sandbox.api("yzx", token="invalid").get("/v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_a_failed_task_says_why(start: Any) -> None:
    """A failed task has an error with a message and a code, and no link."""
    sandbox = start(faults=[{"fault": "fail", "operation": "video", "code": "moderation", "message": "no cats"}])
    api = sandbox.api("yzx")
    task = bought(api)["id"]
    data = sandbox.until(lambda: api.get(f"/v1/videos/{task}").json(), lambda data: data["status"] == "failed")
    assert data["error"] == {"code": "moderation", "message": "no cats"}
    assert link_in(data) is None
