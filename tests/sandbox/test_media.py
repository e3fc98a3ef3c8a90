"""Rendered media: real files that play to their end, as long and as large as was asked."""

import io
import wave
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from renderer.sandbox.media import FPS, measure, render_audio, render_video, spoken_seconds


def boxes(content: bytes) -> list[bytes]:
    """Name the top-level boxes of an MP4."""
    names, at = [], 0
    while at < len(content):
        names.append(content[at + 4 : at + 8])
        at += int.from_bytes(content[at : at + 4], "big")
    assert at == len(content)
    return names


@pytest.mark.parametrize(
    ("width", "height", "duration"), [(640, 360, 2.0), (360, 640, 3.3), (480, 480, 0.2), (1280, 720, 1.0)]
)
def test_a_video_is_as_long_and_large_as_asked(width: int, height: int, duration: float) -> None:
    """Size and duration are those that were asked for, to a frame, and every frame decodes."""
    content = render_video(text="Aurora 极光 🎬", width=width, height=height, duration=duration, seed=3)
    with av.open(io.BytesIO(content)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height) == (width, height)
        lengths = [float(stream.duration * stream.time_base) for stream in (video, audio)]
        assert lengths == pytest.approx([duration, duration], abs=1 / FPS)
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video)]
    assert len(frames) == round(duration * FPS)
    assert (frames[0] != frames[-1]).any()


def test_a_videos_sound_decodes_to_its_end() -> None:
    """The AAC stream is not silent and decodes wholly."""
    content = render_video(text="x", width=64, height=64, duration=1, seed=3)
    with av.open(io.BytesIO(content)) as container:
        loudest = max(abs(frame.to_ndarray()).max() for frame in container.decode(audio=0))
    assert 0 < loudest < 0.1


def test_the_index_comes_first_unless_asked_otherwise() -> None:
    """A faststart file has moov before mdat, a plain one after it."""
    layouts = [
        boxes(render_video(text="x", width=64, height=64, duration=1, seed=1, faststart=fast)) for fast in (True, False)
    ]
    fast, plain = ([name for name in layout if name in {b"moov", b"mdat"}] for layout in layouts)
    assert fast == [b"moov", b"mdat"]
    assert plain == [b"mdat", b"moov"]


def test_the_same_arguments_give_the_same_bytes() -> None:
    """Rendering is deterministic, and another seed is another video."""
    asked = {"text": "x", "width": 64, "height": 64, "duration": 1}
    assert render_video(**asked, seed=1) == render_video(**asked, seed=1)
    assert render_video(**asked, seed=1) != render_video(**asked, seed=2)


def test_odd_sizes_become_even() -> None:
    """4:2:0 needs even sides, so odd ones are rounded up."""
    content = render_video(text="x", width=101, height=63, duration=0.3, seed=1)
    with av.open(io.BytesIO(content)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (102, 64)


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=300))
def test_no_text_breaks_a_video(text: str) -> None:
    """Whatever Unicode a title holds, a video comes out."""
    assert boxes(render_video(text=text, width=64, height=96, duration=0.1, seed=1))[0] == b"ftyp"


def test_audio_comes_as_mp3_and_wav(tmp_path: Path) -> None:
    """Both forms last as long as asked, and a WAV is one for other readers too."""
    for form in ("mp3", "wav"):
        path = tmp_path / f"a.{form}"
        path.write_bytes(render_audio(duration=6, seed=1, form=form))
        assert measure(path) == pytest.approx(6, abs=0.1)
    with wave.open(str(tmp_path / "a.wav")) as sheet:
        assert sheet.getnframes() == 6 * sheet.getframerate()


def test_what_is_no_media_has_no_length(tmp_path: Path) -> None:
    """Text is not media (None), and neither is nothing."""
    (tmp_path / "a.mp4").write_text("hello")
    assert measure(tmp_path / "a.mp4") is None
    assert measure(tmp_path / "b.mp4") is None


def test_spoken_text_has_a_sensible_length() -> None:
    """Length grows with the text, faster for Chinese, between 2 seconds and the cap."""
    assert spoken_seconds("", longest=12) == 2
    assert spoken_seconds("字" * 20, longest=12) == 5
    assert spoken_seconds("word " * 10_000, longest=12) == 12
