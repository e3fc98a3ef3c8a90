"""Words in, a real media file out: MP4 with H.264 and AAC, MP3, or WAV.

The pictures are deliberately plain, a coloured ground over which the words drift, because a
rehearsal renders hundreds of them on one core: frames are composed directly in the encoder's own
colour planes, so nothing is converted and next to nothing changes from frame to frame. The same
arguments give the same bytes. It knows nothing of providers, tasks or HTTP; another engine can
take its place behind the same three functions.
"""

import io
import wave
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from numpy.typing import NDArray

from .lettering import lettered

FPS = 10
"""Frames a second of every rendered video."""

_RATE = 16_000  # Hz; speech quality, a third of the encoding time of 48 kHz
_VOLUME = 0.02
_FIRST_DENSE = 0x2E80  # from here on Unicode is mostly Chinese, Japanese and Korean
_WHITE, _DARK = 235, 32
_Planes = NDArray[np.uint8]
_Samples = NDArray[np.float32]


def render_video(*, text: str, width: int, height: int, duration: float, seed: int, faststart: bool = True) -> bytes:
    """Render ``duration`` seconds of ``text`` on moving frames, with a quiet tone.

    Sizes are pixels and are rounded up to even numbers. ``faststart=False`` leaves the index at
    the end of the file, as encoders do by default.
    """
    width, height = width + width % 2, height + height % 2
    frames = max(1, round(duration * FPS))
    with TemporaryDirectory(prefix="sandbox-") as folder:
        # The index can only be moved to the front of a file that ffmpeg can open again.
        path = Path(folder, "video.mp4")
        flags = {"movflags": "faststart"} if faststart else {}
        with av.open(str(path), "w", format="mp4", options=flags) as container:
            video = container.add_stream(
                "libx264", rate=FPS, options={"preset": "ultrafast", "crf": "28", "threads": "1"}
            )
            video.width, video.height, video.pix_fmt = width, height, "yuv420p"
            audio = container.add_stream("aac", rate=_RATE, layout="mono", options={"aac_coder": "fast"})
            audio.bit_rate = 32_000
            for number, planes in enumerate(_pictures(text=text, width=width, height=height, frames=frames, seed=seed)):
                frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
            _encode(container, audio, _tone(duration=frames / FPS, seed=seed))
        return path.read_bytes()


def render_audio(*, duration: float, seed: int, form: Literal["mp3", "wav"] = "mp3") -> bytes:
    """Render ``duration`` seconds of a quiet tone."""
    samples = _tone(duration=duration, seed=seed)
    target = io.BytesIO()
    if form == "wav":
        with wave.open(target, "wb") as sheet:
            sheet.setnchannels(1)
            sheet.setsampwidth(2)
            sheet.setframerate(_RATE)
            sheet.writeframes((samples * 32767).astype("<i2").tobytes())
        return target.getvalue()
    with av.open(target, "w", format="mp3") as container:
        audio = container.add_stream("libmp3lame", rate=_RATE, layout="mono")
        _encode(container, audio, samples)
    return target.getvalue()


def measure(path: Path) -> float | None:
    """Tell how many seconds a media file lasts; 0.0 for a still, None if it is no media at all."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video and not container.streams.audio:
                return None
            return max(0.0, (container.duration or 0) / 1_000_000)
    except (av.FFmpegError, OSError, ValueError):
        return None


def spoken_seconds(text: str, *, longest: float) -> float:
    """Estimate how long ``text`` takes to say, to a tenth of a second, between 2 and ``longest``.

    A Chinese character is about a syllable; a letter of other scripts far less.
    """
    head = text[:10_000]
    dense = sum(1 for char in head if ord(char) >= _FIRST_DENSE)
    seconds = dense / 4 + (len(head) - dense) / 14
    return round(min(longest, max(2.0, seconds)), 1)


def _pictures(*, text: str, width: int, height: int, frames: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Yield planar YUV 4:2:0 frames: rows of Y, then U and V in the same width."""
    short = min(width, height)
    size = max(8, short // 12)
    ink = lettered(text or "untitled", size=size, columns=max(6, width * 9 // (size * 8)), lines=4)
    ink = ink[: height * 2 // 3, : width * 4 // 5]
    ground = np.empty((height * 3 // 2, width), np.uint8)
    ground[:height] = np.linspace(50 + seed % 40, 100 + seed // 40 % 40, height, dtype=np.uint8)[:, None]
    chroma = ground[height:].reshape(-1)
    half = chroma.size // 2
    chroma[:half], chroma[half:] = 90 + seed // 1600 % 76, 90 + seed // 121_600 % 76
    tall, wide = ink.shape
    room_x, room_y = width - wide, height - tall
    bar = max(2, height // 60)
    for number in range(frames):
        planes = ground.copy()
        phase = number / max(1, frames - 1)
        left = int(room_x * phase)
        top = int(room_y * (0.3 + 0.4 * abs(1 - 2 * phase)))
        under = planes[top : top + tall, left : left + wide]
        np.maximum(under, ink, out=under)
        planes[height - bar : height, : int(width * phase)] = _WHITE
        planes[height - bar : height, int(width * phase) :] = _DARK
        yield planes


def _tone(*, duration: float, seed: int) -> _Samples:
    pitch = 180 + seed % 120
    time = np.arange(round(duration * _RATE), dtype=np.float64) / _RATE
    swell = 0.6 + 0.4 * np.sin(2 * np.pi * 0.5 * time)
    return (np.sin(2 * np.pi * pitch * time) * swell * _VOLUME).astype(np.float32)


def _encode(container: OutputContainer, stream: AudioStream, samples: _Samples) -> None:
    """Feed samples in the codec's own frame length, so that nothing has to be buffered."""
    codec = stream.codec_context
    if not codec.is_open:  # a container opens its codecs with its first packet; the length is known then
        codec.format = av.AudioFormat("fltp")
        codec.open()
    step = codec.frame_size or 1024
    for start in range(0, len(samples), step):
        piece = samples[start : start + step].reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _RATE, start, Fraction(1, _RATE)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
