"""What each provider delivers: a whole video of the asked shape and length, over HTTP."""

import io
from typing import Any

import av
import httpx
import pytest

SPEECH = {"voice": "voice_public_01", "avatar": "av_public_01", "text": "字" * 12}


def shape(content: bytes) -> tuple[int, int, float]:
    """Decode a video to its last frame and return its width, height and seconds."""
    with av.open(io.BytesIO(content)) as container:
        video = container.streams.video[0]
        frames = sum(1 for _ in container.decode(video))
        assert container.streams.audio
        return video.width, video.height, frames / float(video.average_rate)


def bought_and_fetched(
    sandbox: Any, provider: str, *, submit: str, body: Any, task: str, poll: str, link: Any
) -> bytes:
    """Go the whole way: submit, poll until there is a link, download."""
    api: httpx.Client = sandbox.api(provider)
    number = api.post(submit, json=body).json()
    for key in task.split("."):
        number = number[key]
    return api.get(sandbox.until(lambda: link(api.get(poll.format(number)).json()))).content


@pytest.mark.parametrize(
    ("form", "width", "height"), [("size_16_9", 640, 360), ("size_9_16", 360, 640), ("square", 480, 480)]
)
def test_fliz_keeps_the_format(sandbox: Any, form: str, width: int, height: int) -> None:
    """A Fliz video has the aspect of its format and grows with its text, to twelve seconds at most."""
    short = shape(sandbox.api().get(sandbox.fliz_link(sandbox.fliz_video(format=form))).content)
    long = shape(
        sandbox.api().get(sandbox.fliz_link(sandbox.fliz_video(format=form, description="word " * 99))).content
    )
    assert short == (width, height, 2.0)
    assert long == (width, height, 12.0)


def test_hifly_speaks_as_long_as_its_text(sandbox: Any) -> None:
    """Twelve characters are three seconds, upright."""
    content = bought_and_fetched(
        sandbox, "hifly", submit="/api/v2/hifly/video/create_by_tts", body=SPEECH, task="task_id",
        poll="/api/v2/hifly/video/task?task_id={}", link=lambda data: data["video_Url"],
    )  # fmt: skip
    assert shape(content) == (360, 640, 3.0)


def test_yzx_keeps_size_and_duration(sandbox: Any) -> None:
    """The asked size and seconds are what /content delivers."""
    body = {"model": "sora-2", "prompt": "x", "duration": 2, "size": "720x1280"}
    content = bought_and_fetched(
        sandbox, "yzx", submit="/v1/videos", body=body, task="id", poll="/v1/videos/{}",
        link=lambda data: data["status"] == "completed" and f"/v1/videos/{data['id']}/content",
    )  # fmt: skip
    assert shape(content) == (720, 1280, 2.0)


def test_foxapi_keeps_the_orientation(sandbox: Any) -> None:
    """A portrait is upright and lasts five to seven seconds."""
    body = {"model": "heygen-video-agent", "prompt": "x", "orientation": "portrait"}

    def link(data: dict[str, Any]) -> str | None:
        (result,) = data["results"] or [None]
        return result["url"] if isinstance(result, dict) else result

    content = bought_and_fetched(
        sandbox, "foxapi", submit="/v1/videos/generations", body=body, task="id", poll="/v1/tasks/{}", link=link
    )
    width, height, seconds = shape(content)
    assert (width, height) == (360, 640)
    assert 5 <= seconds <= 7


def test_gen_video_delivers_a_card_for_the_draft(sandbox: Any) -> None:
    """The export of a draft lasts five seconds, lying."""
    body = {"draft_url": "https://example.com/?draft_id=20260101000000abcdef01"}
    link = sandbox.api("gen_video").post("/v1/gen_video", json=body).json()["video_url"]
    assert shape(sandbox.api().get(link).content) == (640, 360, 5.0)


def test_a_deeply_nested_body_breaks_nothing(sandbox: Any) -> None:
    """Whatever nests in a field that an API ignores, it is bought, or refused as no JSON; never a crash."""
    for depth in (100, 300, 600, 900, 100_000):
        body = '{"model": "sora-2", "prompt": "x", "y": ' + "[" * depth + "]" * depth + "}"
        headers = {"Content-Type": "application/json"}
        assert sandbox.api("yzx").post("/v1/videos", content=body, headers=headers).status_code in {200, 400}
    assert sandbox.purchases("yzx")
