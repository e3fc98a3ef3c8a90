"""Every kind of fault, as a client meets it on a real socket (FAULTS 28 to 41)."""

import gzip
import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

CREATE = "/api/rest/video"
BODY = {"fliz_video_create_input": {"name": "A", "description": "B", "format": "size_16_9", "lang": "en"}}
SPEECH = {"voice": "voice_public_01", "avatar": "av_public_01", "text": "你好"}


def create(sandbox: Any) -> httpx.Response:
    return sandbox.api("fliz").post(CREATE, json=BODY)


def raw(sandbox: Any, url: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """Fetch without decoding and without following anything."""
    with sandbox.api().stream("GET", url, headers=headers) as answer:
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize("kind", ["drop", "reset"])
@pytest.mark.parametrize(("when", "bought"), [("before", 0), ("after", 1)])
def test_28_a_connection_ends_before_or_after_acceptance(start: Any, kind: str, when: str, bought: int) -> None:
    """A dropped or reset submit leaves no answer, and a purchase exactly if it was accepted."""
    sandbox = start(faults=[{"fault": kind, "operation": "video", "when": when}])
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)) as caught:
        create(sandbox)
    assert isinstance(caught.value, httpx.ReadError) == (kind == "reset")
    assert len(sandbox.purchases()) == bought


def test_29_an_answer_can_be_anything(start: Any) -> None:
    """HTML, nothing, a business error, 201 and 202 can stand in for the answer, accepted or not."""
    sandbox = start(
        faults=[
            {"fault": "reply", "body": "<html>no</html>", "nth": 1},
            {"fault": "reply", "nth": 2, "when": "after"},
            {"fault": "reply", "json": {"code": 7}, "nth": 3},
            {"fault": "reply", "json": None, "status": 201, "nth": 4},
            {"fault": "edit", "status": 202, "headers": {"X-Extra": "1"}, "nth": 5},
        ]
    )
    html, empty, code, null, accepted = (create(sandbox) for _ in range(5))
    assert (html.status_code, html.headers["content-type"][:9], html.text) == (200, "text/html", "<html>no</html>")
    assert (empty.status_code, empty.content) == (200, b"")
    assert code.json() == {"code": 7}
    assert (null.status_code, null.json()) == (201, None)
    assert (accepted.status_code, accepted.headers["x-extra"]) == (202, "1")
    assert accepted.json()["fliz_video_create"]["video_id"]
    assert len(sandbox.purchases()) == 2


def test_29_a_numeric_id_loses_its_end_in_a_double(start: Any) -> None:
    """The id is a JSON number over 2^53, by which the task is found if no digit was lost."""
    sandbox = start(faults=[{"fault": "numeric-id", "operation": "video-by-text"}])
    answer = sandbox.api("hifly").post("/api/v2/hifly/video/create_by_tts", json=SPEECH)
    number = json.loads(answer.text)["task_id"]
    assert isinstance(number, int)
    assert int(float(number)) != number
    ask = {"params": {"task_id": str(number)}}
    assert sandbox.api("hifly").get("/api/v2/hifly/video/task", **ask).json()["code"] == 0


def test_30_a_busy_answer_has_the_retry_after_that_was_asked(start: Any) -> None:
    """Retry-After comes as seconds, far off, negative, as a date, or not at all; nothing is bought."""
    values = [2, 86_400, -3, {"date": 30}, None]
    rules = [
        {"fault": "error", "status": 429, "nth": nth} | ({} if value is None else {"retry_after": value})
        for nth, value in enumerate(values, start=1)
    ]
    sandbox = start(faults=rules)
    answers = [create(sandbox) for _ in values]
    assert {answer.status_code for answer in answers} == {429}
    told = [answer.headers.get("retry-after") for answer in answers]
    assert told[:3] == ["2", "86400", "-3"]
    assert abs(parsedate_to_datetime(told[3]).timestamp() - time.time() - 30) < 15
    assert told[4] is None
    assert sandbox.purchases() == []


@pytest.mark.parametrize("status", [302, 303, 307, 308])
def test_31_a_submit_can_be_redirected(start: Any, status: int) -> None:
    """Any redirect to any URL, with nothing bought here."""
    sandbox = start(faults=[{"fault": "redirect", "to": "http://192.0.2.1/x", "status": status}])
    answer = create(sandbox)
    assert (answer.status_code, answer.headers["location"]) == (status, "http://192.0.2.1/x")
    assert sandbox.purchases() == []


def test_31_a_link_can_point_anywhere(start: Any) -> None:
    """The result's link in the status is another URL, wherever it stands in the answer."""
    to = "http://169.254.169.254/latest"
    sandbox = start(faults=[{"fault": "link", "operation": "status", "to": to}])
    assert sandbox.fliz_link() == to


def test_32_a_link_can_be_handed_out_expired(start: Any) -> None:
    """The first link is a 403 that says so; asking the status again brings a good one."""
    sandbox = start(faults=[{"fault": "link", "operation": "status", "expired": True, "nth": 2}], speed=1e6)
    video = sandbox.fliz_video()
    sandbox.fliz_link(video)
    stale = sandbox.api().get(sandbox.fliz_link(video))
    assert stale.status_code == 403
    assert "expired" in stale.text
    assert sandbox.api().get(sandbox.fliz_link(video)).status_code == 200


@pytest.mark.parametrize(
    ("kind", "begins"),
    [("html", b"<!doctype"), ("xml", b"<?xml"), ("json", b"{"), ("empty", b""), ("png", b"\x89PNG")],
)
def test_33_another_file_comes_as_a_video(start: Any, kind: str, begins: bytes) -> None:
    """A page, an error, nothing or a picture has status 200 and the video's media type."""
    sandbox = start(faults=[{"fault": "swap", "operation": "file", "with": kind}])
    answer = sandbox.api().get(sandbox.fliz_link())
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert answer.content.startswith(begins)
    assert (answer.content == b"") == (kind == "empty")


@pytest.mark.parametrize("layout", ["faststart", "plain"])
@pytest.mark.parametrize("length", ["right", "wrong", "none"])
def test_34_a_file_breaks_off(start: Any, layout: str, length: str) -> None:
    """Half of a file arrives, with its true length, with a length that hides it, or with none."""
    sandbox = start(
        faults=[
            {"fault": "truncate", "operation": "file", "length": length, "layout": layout, "method": "GET", "nth": 1}
        ]
    )
    link = sandbox.fliz_link()
    if length == "right":
        with pytest.raises(httpx.RemoteProtocolError):
            raw(sandbox, link)
        return
    answer, content = raw(sandbox, link)
    whole = len(sandbox.api().get(link).content)
    assert len(content) == pytest.approx(whole / 2, abs=64)
    assert answer.headers.get("content-length") == (str(len(content)) if length == "wrong" else None)
    assert (b"moov" in content) == (layout == "faststart")


def test_34_a_plain_file_has_its_index_at_the_end(start: Any) -> None:
    """A whole MP4 without faststart is served where asked for."""
    sandbox = start(faults=[{"fault": "swap", "operation": "file", "with": "plain"}])
    content = sandbox.api().get(sandbox.fliz_link()).content
    assert content.index(b"mdat") < content.index(b"moov")


def test_35_a_body_is_as_huge_as_asked(start: Any) -> None:
    """A file goes on with zeros to exactly the announced length."""
    size = 3 * 1024 * 1024 + 5
    sandbox = start(faults=[{"fault": "huge", "operation": "file", "bytes": size}])
    answer, content = raw(sandbox, sandbox.fliz_link())
    assert int(answer.headers["content-length"]) == len(content) == size
    assert content.endswith(bytes(1024))


def test_35_a_huge_body_ends_when_its_reader_leaves(start: Any) -> None:
    """Ten gigabytes are announced, but a reader that leaves stops them, and others are still served."""
    sandbox = start(faults=[{"fault": "huge", "operation": "file"}])
    with sandbox.api().stream("GET", sandbox.fliz_link()) as answer:
        assert len(next(answer.iter_raw())) > 0
    assert sandbox.api().get("/").status_code == 200


def test_35_a_gzip_bomb_unpacks_to_what_was_asked(start: Any) -> None:
    """The body is small, says that it is gzip though nobody accepts that, and unpacks to much more."""
    sandbox = start(faults=[{"fault": "bomb", "operation": "file", "bytes": 8 * 1024 * 1024}])
    answer, content = raw(sandbox, sandbox.fliz_link(), **{"Accept-Encoding": "identity"})
    assert answer.headers["content-encoding"] == "gzip"
    assert len(content) < 100_000
    assert len(gzip.decompress(content)) == 8 * 1024 * 1024


def test_35_a_body_trickles(start: Any) -> None:
    """Bytes come one by one under the full length; a reader can leave at any time."""
    sandbox = start(faults=[{"fault": "drip", "operation": "file", "rate": 20}])
    with sandbox.api().stream("GET", sandbox.fliz_link()) as answer:
        assert int(answer.headers["content-length"]) > 1000
        parts = answer.iter_raw()
        assert len(next(parts)) + len(next(parts)) < 10


@pytest.mark.parametrize(
    ("how", "status", "right"),
    [("ignored", 200, False), ("wrong", 206, False), ("refused", 416, False), ("changed", 206, True)],
)
def test_36_ranges_are_answered_badly(start: Any, how: str, status: int, right: bool) -> None:
    """A Range is ignored, answered with another Content-Range, refused, or under an ETag that never stays."""
    sandbox = start(faults=[{"fault": "range", "operation": "file", "how": how}])
    link = sandbox.fliz_link()
    tags = {sandbox.api().head(link).headers["etag"] for _ in range(2)}
    assert (len(tags) == 2) == (how == "changed")
    answer = sandbox.api().get(link, headers={"Range": "bytes=10-19"})
    assert answer.status_code == status
    assert answer.headers.get("content-range", "").startswith("bytes 10-19/") == right
    tagged = sandbox.api().get(link, headers={"Range": "bytes=10-19", "If-Range": tags.pop()})
    assert tagged.status_code == (200 if how == "changed" else status)


def test_37_a_status_never_ends_goes_backwards_and_is_new(start: Any) -> None:
    """A task stands still, goes back, or has a word that nobody knows."""
    sandbox = start(
        faults=[
            {"fault": "freeze", "operation": "status", "at": 0.9, "nth": [1, 2]},
            {"fault": "freeze", "operation": "status", "at": 0.1, "nth": 3},
            {"fault": "edit", "operation": "status", "merge": {"fliz_video_by_pk": {"step": "polishing"}}, "nth": 4},
        ]
    )
    video = sandbox.fliz_video()
    steps = [sandbox.fliz_status(video)["step"] for _ in range(4)]
    assert steps == ["video_rendering", "video_rendering", "pending", "polishing"]


def test_38_a_task_is_forgotten_in_each_apis_own_way(start: Any) -> None:
    """404, code 14, task_not_exist, or null where the test says so."""
    sandbox = start(
        faults=[
            {"fault": "forget", "operation": "status", "per": "task", "nth": 1},
            {"fault": "edit", "provider": "fliz", "operation": "status", "merge": {"fliz_video_by_pk": None}},
        ]
    )
    fliz = f"/api/rest/videos/{sandbox.fliz_video()}"
    assert sandbox.api("fliz").get(fliz).status_code == 404
    assert sandbox.api("fliz").get(fliz).json() == {"fliz_video_by_pk": None}
    task = sandbox.api("hifly").post("/api/v2/hifly/video/create_by_tts", json=SPEECH).json()["task_id"]
    assert sandbox.api("hifly").get("/api/v2/hifly/video/task", params={"task_id": task}).json()["code"] == 14
    task = sandbox.api("yzx").post("/v1/videos", json={"model": "sora-2", "prompt": "x"}).json()["id"]
    assert sandbox.api("yzx").get(f"/v1/videos/{task}").json()["code"] == "task_not_exist"
    body = {"model": "heygen-video-agent", "prompt": "x"}
    task = sandbox.api("foxapi").post("/v1/videos/generations", json=body).json()["id"]
    assert sandbox.api("foxapi").get(f"/v1/tasks/{task}").status_code == 404


@pytest.mark.parametrize("step", ["user_action", "block", "failed_unrecoverable"])
def test_39_fliz_can_be_at_any_step(start: Any, step: str) -> None:
    """A step of the documents, or one that they do not have, can be put on a video."""
    sandbox = start(faults=[{"fault": "edit", "operation": "status", "merge": {"fliz_video_by_pk": {"step": step}}}])
    assert sandbox.fliz_status(sandbox.fliz_video())["step"] == step


def test_40_hifly_can_answer_every_code(start: Any) -> None:
    """Each documented code comes in a 200 with a message, and nothing is bought."""
    codes = [11, 14, 1001, 1002, 1005, 1006, 1009, 1011, 1013, 1015, 2011, 2012, 2013, 2014, 2015, 2016]
    sandbox = start(faults=[{"fault": "error", "code": code, "nth": nth} for nth, code in enumerate(codes, start=1)])
    answers = [sandbox.api("hifly").post("/api/v2/hifly/video/create_by_tts", json=SPEECH) for _ in codes]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(200, code) for code in codes]
    assert all(answer.json()["message"] for answer in answers)
    assert sandbox.purchases() == []


def test_40_a_bad_token_is_a_401_also_as_a_fault(start: Any) -> None:
    """2003 keeps its HTTP status."""
    sandbox = start(faults=[{"fault": "error", "provider": "hifly", "code": 2003}])
    assert sandbox.api("hifly").get("/api/v2/hifly/account/credit").status_code == 401


@pytest.mark.parametrize("status", [400, 404, 500, 502, 503, 504])
def test_41_gen_video_can_answer_every_status(start: Any, status: int) -> None:
    """Each documented error, and a gateway's, with a detail; calling again buys the video once."""
    sandbox = start(faults=[{"fault": "error", "provider": "gen_video", "status": status, "nth": 1}])
    body = {"draft_url": "https://example.com/?draft_id=1"}
    first, second = (sandbox.api("gen_video").post("/v1/gen_video", json=body) for _ in range(2))
    assert first.status_code == status
    assert first.json()["detail"]
    assert second.json()["video_url"]
    assert len(sandbox.purchases()) == 1


def test_41_gen_video_can_be_too_late(start: Any) -> None:
    """A call that is delayed for longer than its caller waits has still begun the render; another joins it."""
    sandbox = start(faults=[{"fault": "delay", "seconds": 0.5, "when": "after", "nth": 1}])
    body = {"draft_url": "https://example.com/?draft_id=1"}
    with pytest.raises(httpx.ReadTimeout):
        sandbox.api("gen_video").post("/v1/gen_video", json=body, timeout=0.2)
    assert sandbox.api("gen_video").post("/v1/gen_video", json=body).json()["video_url"]
    assert len(sandbox.purchases()) == 1


def test_a_fault_is_named_in_the_log(start: Any) -> None:
    """The request log shows which requests suffered what, and no status where there was no answer."""
    sandbox = start(faults=[{"fault": "drop", "operation": "video"}])
    with pytest.raises(httpx.RemoteProtocolError):
        create(sandbox)
    row = sandbox.requests()[-1]
    assert (row["fault"], row["status"], row["operation"]) == ("drop", None, "video")
