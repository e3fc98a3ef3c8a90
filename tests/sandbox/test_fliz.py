"""The sandbox's Fliz, against what its documents say."""

import json
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

Listener = tuple[str, list[dict[str, Any]]]
CREATE = "/api/rest/video"
GOOD = {"name": "Aurora", "description": "A short text.", "format": "size_16_9", "lang": "en"}
UUID4 = r"[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-[89ab][a-f0-9]{3}-[a-f0-9]{12}"
IMAGES = ["https://example.com/1.png", "https://example.com/2.png", "https://example.com/3.png"]


def wrapped(**fields: Any) -> dict[str, Any]:
    return {"fliz_video_create_input": {**GOOD, **fields}}


def test_a_video_goes_through_its_steps_to_a_playable_link(sandbox: Any) -> None:
    """A created video has a UUID and ends complete, with a URL and the title that was its name."""
    video = sandbox.fliz_video()
    assert re.fullmatch(UUID4, video)
    done = sandbox.until(lambda: sandbox.fliz_status(video), lambda row: row["step"] == "complete")
    assert done["title"] == "Aurora"
    assert sandbox.api().get(done["url"]).headers["content-type"] == "video/mp4"


def test_steps_follow_the_documented_order(start: Any) -> None:
    """On its way a video shows the documents' steps in their order, and a URL only at the end."""
    order = [
        "pending",
        "scrapping",
        "script",
        "image_prompt",
        "image_generation",
        "speech",
        "video_rendering",
        "complete",
    ]
    shares = [0.0, 0.2, 0.3, 0.5, 0.6, 0.8, 0.9, 1.0]
    rules = [
        {"fault": "freeze", "operation": "status", "nth": nth, "at": share} for nth, share in enumerate(shares, start=1)
    ]
    sandbox = start(faults=rules)
    video = sandbox.fliz_video()
    rows = [sandbox.fliz_status(video) for _ in order]
    assert [row["step"] for row in rows] == order
    assert [row["url"] is not None for row in rows] == [False] * 7 + [True]


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "16:9"},
        {"lang": "english"},
        {"name": ""},
        {"description": 5},
        {"category": "film"},
        {"caption_position": "top"},
        {"caption_color": "red"},
        {"caption_uppercase": "yes"},
        {"voice_id": "nobody"},
        {"music_id": "nothing"},
        {"music_volume": 101},
        {"music_volume": True},
        {"music_url": "not a url"},
        {"video_animation_mode": "some"},
        {"is_automatic": "true"},
        {"webhook_url": "ftp://example.com"},
        {"titel": "x"},
        {"category": "product"},
        {"category": "ad", "image_urls": IMAGES[:2]},
        {"category": "ad", "image_urls": IMAGES * 4},
    ],
    ids=str,
)
def test_a_field_that_the_documents_do_not_allow_is_refused(sandbox: Any, fields: dict[str, Any]) -> None:
    """A wrong enum, type, range, id or an unknown field is a 400, and nothing is bought."""
    before = len(sandbox.purchases("fliz"))
    answer = sandbox.api("fliz").post(CREATE, json=wrapped(**fields))
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert len(sandbox.purchases("fliz")) == before


@pytest.mark.parametrize("field", GOOD)
def test_a_required_field_is_required(sandbox: Any, field: str) -> None:
    """Each of the four required fields is missed by name."""
    body = {"fliz_video_create_input": {key: value for key, value in GOOD.items() if key != field}}
    answer = sandbox.api("fliz").post(CREATE, json=body)
    assert answer.status_code == 400
    assert field in answer.json()["error"]


@pytest.mark.parametrize(
    "body", [GOOD, [], {"fliz_video_create_input": GOOD, "more": 1}, {"fliz_video_create_input": []}]
)
def test_the_body_must_be_wrapped(sandbox: Any, body: Any) -> None:
    """Only an object with the one documented key is a create request."""
    assert sandbox.api("fliz").post(CREATE, json=body).status_code == 400


def test_a_body_that_does_not_say_it_is_json_is_refused(sandbox: Any) -> None:
    """The Content-Type must be application/json."""
    answer = sandbox.api("fliz").post(CREATE, content=json.dumps(wrapped()))
    assert answer.status_code == 400


def test_every_documented_field_is_accepted(sandbox: Any) -> None:
    """A request with all optional fields of the documents goes through."""
    voice = sandbox.api("fliz").get("/api/rest/voices").json()["fliz_list_voices"]["voices"][0]["id"]
    music = sandbox.api("fliz").get("/api/rest/musics").json()["fliz_list_musics"]["musics"][0]["id"]
    sandbox.fliz_video(
        category="product", image_urls=IMAGES, script_style="news_tv_style", image_style="manga",
        caption_style="colored_words", caption_position="center", caption_font="inter", caption_color="#FFcc00",
        caption_uppercase=True, voice_id=voice, is_male_voice=False, music_id=music, music_volume=0,
        music_url="https://example.com/m.mp3", watermark_url="https://example.com/w.png",
        site_url="https://example.com", site_name="Example", webhook_url=None, is_automatic=True,
        video_animation_mode="hook_only",
    )  # fmt: skip


@pytest.mark.parametrize("token", [None, "", "invalid"])
def test_a_request_without_a_valid_token_is_refused(sandbox: Any, token: str | None) -> None:
    """No token, an empty one and the literal `invalid` are a 401."""
    assert sandbox.api("fliz", token=token).get("/api/rest/voices").status_code == 401


def test_an_unknown_video_is_not_found(sandbox: Any) -> None:
    """Status, translate and duplicate answer 404 for an id that was never given out."""
    api, path = sandbox.api("fliz"), "/api/rest/videos/00000000-0000-4000-8000-000000000000"
    assert api.get(path).status_code == 404
    assert api.post(f"{path}/translate", params={"new_lang": "fr"}).status_code == 404
    assert api.post(f"{path}/duplicate").status_code == 404


def test_the_list_is_newest_first_and_pages(start: Any) -> None:
    """The list pages by limit and offset, from the newest video on."""
    sandbox = start()
    videos = [sandbox.fliz_video(name=f"Video {number}") for number in range(3)]
    api = sandbox.api("fliz")
    page = api.get("/api/rest/videos", params={"limit": 2, "offset": 1}).json()["fliz_video"]
    assert [row["id"] for row in page] == [videos[1], videos[0]]
    assert {"title", "lang", "format", "step", "created_at"} <= page[0].keys()
    assert api.get("/api/rest/videos", params={"limit": "x"}).status_code == 400


def test_a_translation_is_a_purchase_of_its_own(start: Any) -> None:
    """Translate takes its settings from the query and makes a new video in the new language."""
    sandbox = start()
    source = sandbox.fliz_video()
    answer = sandbox.api("fliz").post(f"/api/rest/videos/{source}/translate", params={"new_lang": "fr"})
    new = answer.json()["fliz_video_translate"]["new_video_id"]
    assert sandbox.fliz_status(new)["lang"] == "fr"
    assert [row["operation"] for row in sandbox.purchases()] == ["video", "translate"]


@pytest.mark.parametrize(
    "query", [{}, {"new_lang": "french"}, {"new_lang": "fr", "voice": "x"}, {"new_lang": "fr", "is_automatic": "no"}]
)
def test_a_translation_with_a_wrong_query_is_refused(sandbox: Any, query: dict[str, str]) -> None:
    """A missing or malformed language and an unknown parameter are a 400."""
    source = sandbox.fliz_video()
    assert sandbox.api("fliz").post(f"/api/rest/videos/{source}/translate", params=query).status_code == 400


def test_a_duplicate_is_a_new_video_of_the_same_kind(sandbox: Any) -> None:
    """Duplicate makes another video with the same title and format."""
    source = sandbox.fliz_video(format="square")
    answer = sandbox.api("fliz").post(f"/api/rest/videos/{source}/duplicate")
    new = answer.json()["fliz_video_duplicate"]["new_video_id"]
    assert new != source
    assert sandbox.fliz_status(new)["format"] == "square"


def test_a_manual_video_waits_for_a_person(sandbox: Any) -> None:
    """With is_automatic false a video stays at user_action until somebody continues it."""
    video = sandbox.fliz_video(is_automatic=False)
    sandbox.until(lambda: sandbox.fliz_status(video)["step"], lambda step: step == "user_action")
    assert sandbox.api().post(f"/_/fliz/continue/{video}").status_code == 200
    assert sandbox.fliz_link(video)
    assert sandbox.api().post(f"/_/fliz/continue/{video}").status_code == 409


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Collect webhooks on loopback; the first attempt is turned away."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(json.loads(body))
            self.send_response(200 if len(received) > 1 else 500)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook?x=1", received
    server.shutdown()
    server.server_close()


def test_a_webhook_tells_of_the_finished_video_and_is_tried_again(sandbox: Any, listener: Listener) -> None:
    """The webhook has the documented fields, and one that was not taken is sent once more."""
    url, received = listener
    video = sandbox.fliz_video(webhook_url=url)
    sandbox.until(lambda: len(received), lambda count: count == 2)
    assert received[1].items() >= {"event": "video.complete", "video_id": video, "step": "complete"}.items()
    assert sandbox.api().get(received[1]["url"]).status_code == 200


def test_a_webhook_tells_of_a_failure(start: Any, listener: Listener) -> None:
    """A failed video's webhook has an error with a code and a message."""
    url, received = listener
    sandbox = start(faults=[{"fault": "fail", "provider": "fliz", "operation": "video", "message": "no words"}])
    sandbox.fliz_video(webhook_url=url)
    sandbox.until(lambda: len(received), lambda count: count == 2)
    assert received[0]["event"] == "video.failed"
    assert received[0]["error"]["message"] == "no words"


def test_a_webhook_never_leaves_this_machine(sandbox: Any) -> None:
    """An address elsewhere is accepted, as by the real service, but nothing is sent to it."""
    video = sandbox.fliz_video(webhook_url="http://192.0.2.1/hook")
    journal = sandbox.home / "tasks.jsonl"
    sandbox.until(lambda: any(video in line and '"told":false' in line for line in journal.read_text().splitlines()))
