"""The sandbox's GEN_VIDEO, against what its documents say."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

PATH = "/v1/gen_video"
DRAFT = "https://ts.fyshark.com/#/cozeToJianyin?drafId=https://example.com/draft/{}.json"


def call(sandbox: Any, name: str = "one", **settings: Any) -> httpx.Response:
    api = sandbox.api("gen_video", token=None)
    return api.post(PATH, json={"draft_url": DRAFT.format(name)}, **settings)


def test_a_call_ends_with_the_link(sandbox: Any) -> None:
    """The long call answers with a message and the video's URL; it asks for no token."""
    data = call(sandbox, "plain").json()
    assert data.keys() == {"message", "video_url"}
    assert sandbox.api().get(data["video_url"]).headers["content-type"] == "video/mp4"


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 400, "必填"),
        ({"draft_url": ""}, 400, "必填"),
        ([], 400, "必填"),
        ({"draft_url": 5}, 400, "格式"),
        ({"draft_url": "draft.json"}, 400, "格式"),
        ({"draft_url": "https://example.com/no-id"}, 400, "格式"),
        ({"draft_url": DRAFT.format("missing")}, 404, "不存在"),
        ({"draft_url": DRAFT.format("empty")}, 400, "为空"),
        ({"draft_url": DRAFT.format("unreachable")}, 400, "无法访问"),
        ({"draft_url": "https://example.com/?draft_id=broken-1"}, 500, "渲染失败"),
    ],
    ids=str,
)
def test_an_error_has_a_detail(sandbox: Any, body: Any, status: int, detail: str) -> None:
    """Each documented error has its status and says so in `detail`."""
    answer = sandbox.api("gen_video", token=None).post(PATH, json=body)
    assert answer.status_code == status
    assert detail in answer.json()["detail"]


def test_calls_for_one_draft_share_its_render(start: Any) -> None:
    """Two calls at once, and one after a caller left, are one purchase and get one video."""
    sandbox = start(speed=20, faults={"limits": {"gen_video_patience": 1000}})
    with pytest.raises(httpx.ReadTimeout):
        call(sandbox, timeout=0.02)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: call(sandbox).json()["video_url"], range(2))
    assert first.partition("?")[0] == second.partition("?")[0]
    assert len(sandbox.purchases()) == 1


def test_a_call_after_delivery_is_a_new_purchase(start: Any) -> None:
    """Once the link was delivered, the same draft is rendered and bought again."""
    sandbox = start()
    first, second = (call(sandbox).json()["video_url"].partition("?")[0] for _ in range(2))
    assert first != second
    assert len(sandbox.purchases()) == 2


def test_a_render_longer_than_its_patience_answers_without_a_link(start: Any) -> None:
    """The call may end with only a message; calling again costs nothing and brings the link in the end."""
    sandbox = start(speed=50, faults={"limits": {"gen_video_patience": 1}})
    assert call(sandbox).json().keys() == {"message"}
    sandbox.until(lambda: call(sandbox).json().get("video_url"))
    assert len(sandbox.purchases()) == 1


def test_an_answer_that_was_lost_is_given_again(start: Any) -> None:
    """A finished render whose answer never arrived waits for the next call."""
    sandbox = start(faults=[{"fault": "drop", "provider": "gen_video", "nth": 1, "when": "after"}])
    with pytest.raises(httpx.RemoteProtocolError):
        call(sandbox)
    assert call(sandbox).json()["video_url"]
    assert len(sandbox.purchases()) == 1
