"""The sandbox's Hifly, against what its documents say."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from renderer.sandbox.media import render_audio, render_video

BASE = "/api/v2/hifly"
VOICE, AVATAR = "voice_public_01", "av_public_01"
SPEECH = {"voice": VOICE, "avatar": AVATAR, "text": "你好世界", "title": "问候"}
AUDIO_URL = "https://example.com/a.mp3"


@pytest.fixture
def hifly(sandbox: Any) -> httpx.Client:
    """The API with a good token."""
    return sandbox.api("hifly")


def post(api: httpx.Client, path: str, body: Any) -> dict[str, Any]:
    answer = api.post(f"{BASE}/{path}", json=body)
    assert answer.status_code == 200
    data = answer.json()
    assert data["request_id"]
    return data


def finished(sandbox: Any, kind: str, task: str) -> dict[str, Any]:
    def ask() -> Any:
        return sandbox.api("hifly").get(f"{BASE}/{kind}/task", params={"task_id": task}).json()

    return sandbox.until(ask, lambda data: data.get("status") in {3, 4})


def uploaded(sandbox: Any, extension: str, content: bytes) -> str:
    offer = sandbox.api("hifly").post(f"{BASE}/tool/create_upload_url", json={"file_extension": extension}).json()
    answer = sandbox.api().put(offer["upload_url"], content=content, headers={"Content-Type": offer["content_type"]})
    assert answer.status_code == 200, answer.text
    return offer["file_id"]


def test_a_spoken_video_is_made(sandbox: Any, hifly: httpx.Client) -> None:
    """create_by_tts gives a task of digits that ends at status 3 with video_Url, a query in it, and whole seconds."""
    task = post(hifly, "video/create_by_tts", SPEECH)["task_id"]
    assert task.isdigit()
    done = finished(sandbox, "video", task)
    assert done["code"] == 0
    assert "?" in done["video_Url"]
    assert isinstance(done["duration"], int)
    assert sandbox.api().get(done["video_Url"]).headers["content-type"] == "video/mp4"


def test_an_unfinished_task_has_no_result_yet(start: Any) -> None:
    """Before it is done a task answers status 1 or 2 and an empty address."""
    sandbox = start(speed=1)
    task = post(sandbox.api("hifly"), "video/create_by_tts", SPEECH)["task_id"]
    data = sandbox.api("hifly").get(f"{BASE}/video/task", params={"task_id": task}).json()
    assert (data["code"], data["status"], data["video_Url"]) == (0, 1, "")


def test_an_audio_work_is_an_audio_file(sandbox: Any, hifly: httpx.Client) -> None:
    """audio/create_by_tts ends in the same task call, with an MP3."""
    body = {key: SPEECH[key] for key in ("voice", "text", "title")}
    done = finished(sandbox, "video", post(hifly, "audio/create_by_tts", body)["task_id"])
    assert sandbox.api().get(done["video_Url"]).headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("video/create_by_tts", {**SPEECH, "text": ""}, 11),
        ("video/create_by_tts", {**SPEECH, "text": "字" * 10_001}, 11),
        ("video/create_by_tts", {**SPEECH, "text": "a <b>bold</b> word"}, 11),
        ("video/create_by_tts", {**SPEECH, "title": "字" * 21}, 11),
        ("video/create_by_tts", {**SPEECH, "voice": "voice_nobody"}, 14),
        ("video/create_by_tts", {**SPEECH, "avatar": "av_nobody"}, 14),
        ("video/create_by_tts", {"voice": VOICE, "text": "x"}, 11),
        ("audio/create_by_tts", {"text": "x"}, 11),
        ("video/create_by_audio", {"avatar": AVATAR}, 11),
        ("video/create_by_audio", {"avatar": AVATAR, "audio_url": AUDIO_URL, "file_id": "file_x"}, 11),
        ("video/create_by_audio", {"avatar": AVATAR, "audio_url": "a.mp3"}, 11),
        ("video/create_by_audio", {"avatar": AVATAR, "file_id": "file_unknown"}, 14),
        ("video/create_by_audio", {"avatar": AVATAR, "audio_url": "https://example.com/missing.mp3"}, 2013),
        ("avatar/create_by_video", {"title": "x"}, 11),
        ("avatar/create_by_video", {"video_url": "https://example.com/missing.mp4"}, 2014),
        ("avatar/create_by_image", {"image_url": "https://example.com/missing.png"}, 2016),
        ("avatar/create_by_image", {"image_url": "https://example.com/a.png", "model": 3}, 11),
        ("avatar/create_by_image", {"image_url": "https://example.com/a.png", "model": "2"}, 11),
        ("voice/create", {"voice_type": 8, "audio_url": AUDIO_URL}, 11),
        ("voice/create", {"title": "x", "voice_type": 20, "audio_url": AUDIO_URL}, 11),
        ("voice/create", {"title": "x" * 21, "voice_type": 8, "audio_url": AUDIO_URL}, 11),
        ("voice/edit", {"voice": VOICE, "rate": 1.0, "volume": "1.0", "pitch": "1.0"}, 11),
        ("voice/edit", {"voice": VOICE, "rate": "2.1", "volume": "1.0", "pitch": "1.0"}, 11),
        ("voice/edit", {"voice": VOICE, "rate": "1.0", "volume": "1.0"}, 11),
        ("voice/edit", {"voice": "voice_nobody", "rate": "1.0", "volume": "1.0", "pitch": "1.0"}, 14),
        ("tool/create_upload_url", {}, 11),
        ("tool/create_upload_url", {"file_extension": "exe"}, 2012),
    ],
    ids=str,
)
def test_a_refusal_is_a_code_in_a_200(sandbox: Any, hifly: httpx.Client, path: str, body: Any, code: int) -> None:
    """Each documented limit has its code, and what was refused is not bought."""
    before = len(sandbox.purchases("hifly"))
    data = post(hifly, path, body)
    assert data["code"] == code
    assert data["message"]
    assert len(sandbox.purchases("hifly")) == before


def test_a_bad_token_is_the_only_401(sandbox: Any) -> None:
    """A wrong token is HTTP 401 with code 2003."""
    answer = sandbox.api("hifly", token="invalid").get(f"{BASE}/account/credit")
    assert (answer.status_code, answer.json()["code"]) == (401, 2003)


@pytest.mark.parametrize(("query", "code"), [({}, 11), ({"task_id": "123"}, 14)])
@pytest.mark.parametrize("kind", ["video", "avatar", "voice"])
def test_an_unknown_task_is_code_14(hifly: httpx.Client, kind: str, query: dict[str, str], code: int) -> None:
    """A task that does not exist is 14, one that is not named 11."""
    assert hifly.get(f"{BASE}/{kind}/task", params=query).json()["code"] == code


def test_a_task_of_another_kind_is_not_found(hifly: httpx.Client) -> None:
    """A video's task is unknown to avatar/task."""
    task = post(hifly, "video/create_by_tts", SPEECH)["task_id"]
    assert hifly.get(f"{BASE}/avatar/task", params={"task_id": task}).json()["code"] == 14


def test_clones_work_once_they_are_done(sandbox: Any, hifly: httpx.Client) -> None:
    """An uploaded video becomes an avatar and an uploaded sound a voice, and both can then be used."""
    film = render_video(text="x", width=64, height=64, duration=1, seed=1)
    avatar_task = post(hifly, "avatar/create_by_video", {"file_id": uploaded(sandbox, "mp4", film), "title": "A"})
    speech = {
        "title": "Narrator",
        "voice_type": 8,
        "file_id": uploaded(sandbox, "wav", render_audio(duration=6, seed=1, form="wav")),
    }
    voice_task = post(hifly, "voice/create", speech)
    avatar = finished(sandbox, "avatar", avatar_task["task_id"])["avatar"]
    voice = finished(sandbox, "voice", voice_task["task_id"])
    assert sandbox.api().get(voice["demo_url"]).headers["content-type"] == "audio/mpeg"
    assert post(hifly, "video/create_by_tts", {**SPEECH, "avatar": avatar, "voice": voice["voice"]})["code"] == 0


def test_a_clone_cannot_be_used_before_it_is_done(start: Any) -> None:
    """An avatar's id is not known (14) while its task is still going on."""
    sandbox = start(speed=0.001)
    task = post(sandbox.api("hifly"), "avatar/create_by_video", {"video_url": "https://example.com/v.mp4"})["task_id"]
    assert post(sandbox.api("hifly"), "video/create_by_tts", {**SPEECH, "avatar": f"av_{task}"})["code"] == 14


def test_an_upload_that_is_no_media_fails_its_clone(sandbox: Any, hifly: httpx.Client) -> None:
    """A text file called mp4 is accepted, as nobody has looked yet, and then fails at status 4 with 2014."""
    task = post(hifly, "avatar/create_by_video", {"file_id": uploaded(sandbox, "mp4", b"hello")})["task_id"]
    done = finished(sandbox, "avatar", task)
    assert (done["status"], done["code"]) == (4, 2014)


def test_a_voice_sample_must_be_long_enough(sandbox: Any, hifly: httpx.Client) -> None:
    """Four seconds of sound are too few for a voice: code 11."""
    file_id = uploaded(sandbox, "mp3", render_audio(duration=4, seed=1))
    assert post(hifly, "voice/create", {"title": "x", "voice_type": 8, "file_id": file_id})["code"] == 11


def test_a_file_of_the_wrong_type_is_refused(sandbox: Any, hifly: httpx.Client) -> None:
    """A picture is no voice sample: code 2012."""
    file_id = uploaded(sandbox, "png", b"x")
    assert post(hifly, "voice/create", {"title": "x", "voice_type": 8, "file_id": file_id})["code"] == 2012


def test_an_upload_offer_without_its_upload_is_nothing(hifly: httpx.Client) -> None:
    """A file_id that nothing was put to is not found; the offer itself has neither code nor message."""
    offer = post(hifly, "tool/create_upload_url", {"file_extension": "mp4"})
    assert not {"code", "message"} & offer.keys()
    assert post(hifly, "avatar/create_by_video", {"file_id": offer["file_id"]})["code"] == 14


@pytest.mark.parametrize(
    "spoil", [lambda url: url.replace("%2F", "/", 1), lambda url: url.replace("%3D", "="), lambda url: url + "&x=1"]
)
def test_an_upload_address_is_good_only_byte_for_byte(
    sandbox: Any, hifly: httpx.Client, spoil: Callable[[str], str]
) -> None:
    """An escape undone or a query added breaks the signature: 403, in XML."""
    offer = post(hifly, "tool/create_upload_url", {"file_extension": "mp4"})
    answer = sandbox.api().put(spoil(offer["upload_url"]), content=b"x", headers={"Content-Type": "video/mp4"})
    assert answer.status_code == 403
    assert "SignatureDoesNotMatch" in answer.text


def test_an_upload_needs_the_media_type_it_was_signed_with(sandbox: Any, hifly: httpx.Client) -> None:
    """Another Content-Type than the offered one is a 403."""
    offer = post(hifly, "tool/create_upload_url", {"file_extension": "mp4"})
    answer = sandbox.api().put(offer["upload_url"], content=b"x", headers={"Content-Type": "video/quicktime"})
    assert answer.status_code == 403


def test_an_audio_driven_video_is_as_long_as_its_audio(sandbox: Any, hifly: httpx.Client) -> None:
    """The length of an uploaded sound, or of an audio work's own link, is the video's."""
    file_id = uploaded(sandbox, "wav", render_audio(duration=7, seed=1, form="wav"))
    task = post(hifly, "video/create_by_audio", {"avatar": AVATAR, "file_id": file_id})["task_id"]
    assert finished(sandbox, "video", task)["duration"] == 7
    words = {"voice": VOICE, "text": "字" * 24}
    audio = finished(sandbox, "video", post(hifly, "audio/create_by_tts", words)["task_id"])
    task = post(hifly, "video/create_by_audio", {"avatar": AVATAR, "audio_url": audio["video_Url"]})["task_id"]
    assert finished(sandbox, "video", task)["duration"] == audio["duration"] == 6


def test_tuning_a_voice_changes_the_list_and_costs_nothing(start: Any) -> None:
    """voice/edit is seen in voice/list afterwards and is no purchase."""
    sandbox = start()
    api = sandbox.api("hifly")
    assert post(api, "voice/edit", {"voice": VOICE, "rate": "1.2", "volume": "1.0", "pitch": "0.9"})["code"] == 0
    rows = api.get(f"{BASE}/voice/list", params={"kind": 2}).json()["data"]
    assert {"voice": VOICE, "type": 10, "title": "晓月", "rate": "1.2", "volume": "1.0", "pitch": "0.9"} in rows
    assert sandbox.purchases() == []


def test_a_list_is_paged_and_has_only_what_is_done(start: Any) -> None:
    """Kind 1 lists one's own finished voices, page by page."""
    sandbox = start()
    api = sandbox.api("hifly")
    for number in range(3):
        body = {"title": f"Voice {number}", "voice_type": 8, "audio_url": AUDIO_URL}
        finished(sandbox, "voice", post(api, "voice/create", body)["task_id"])
    rows = api.get(f"{BASE}/voice/list", params={"page": 2, "size": 2}).json()["data"]
    assert [row["title"] for row in rows] == ["Voice 0"]
    assert api.get(f"{BASE}/voice/list", params={"kind": 3}).json()["code"] == 11


def test_credits_go_down_and_run_out(start: Any) -> None:
    """A work takes credits, and without enough of them it is refused with 1002."""
    sandbox = start(faults={"limits": {"hifly_credits": 15}})
    api = sandbox.api("hifly")
    assert post(api, "video/create_by_tts", SPEECH)["code"] == 0
    assert api.get(f"{BASE}/account/credit").json()["left"] == 5
    assert post(api, "video/create_by_tts", SPEECH)["code"] == 1002


def test_too_many_works_at_once_are_refused(start: Any) -> None:
    """Above the limit of works in progress the answer is 1001, and nothing was created."""
    sandbox = start(speed=0.001, faults={"limits": {"hifly_in_flight": 2}})
    codes = [post(sandbox.api("hifly"), "video/create_by_tts", SPEECH)["code"] for _ in range(3)]
    assert codes == [0, 0, 1001]
    assert len(sandbox.purchases()) == 2


def test_a_field_that_hifly_does_not_know_is_ignored_but_logged(start: Any) -> None:
    """An unknown field goes through, and /_/requests names it."""
    sandbox = start()
    assert post(sandbox.api("hifly"), "video/create_by_tts", {**SPEECH, "titel": "x"})["code"] == 0
    assert sandbox.requests()[-1]["ignored"] == ["titel"]
