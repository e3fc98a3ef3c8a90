import os
import wave
from pathlib import Path

import pytest

from renderer.manifest.localfile import MAX_TEXT, FileError, Files, audio_length
from renderer.project import PathError, Project


def write(project: Project, name: str, data: bytes) -> Path:
    """Put a file beside the manifest."""
    path = project.root / "specs" / name
    path.write_bytes(data)
    return path


def tone(path: Path, seconds: float) -> None:
    """Write silent audio of a known length."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"\x80" * int(8000 * seconds))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfa\r\nb\rc\n", "a\nb\rc\n"),
        ('{{ x }} {% y %} "\u202e\U0001f600'.encode(), '{{ x }} {% y %} "\u202e\U0001f600'),
        (b"x" * 1_000_000, "x" * 1_000_000),
        (b"", ""),
    ],
    ids=["bom-and-crlf", "syntax", "megabyte", "empty"],
)
def test_fault_12_a_text_file_is_its_content(project: Project, data: bytes, text: str) -> None:
    """A BOM is dropped and CR LF read as LF; nothing else changes."""
    write(project, "a.txt", data)
    assert Files(project).content("specs/m.yaml", "a.txt") == text


def test_what_is_not_text_is_refused_with_its_line(project: Project) -> None:
    """The line of the first byte that is not UTF-8 is named."""
    write(project, "a.txt", b"one\ntwo \xff\n")
    with pytest.raises(FileError, match="0xff in line 2"):
        Files(project).content("specs/m.yaml", "a.txt")


def test_fault_11_a_huge_text_file_is_refused_without_reading_it(project: Project) -> None:
    """A sparse file of 10 GB meets the cap."""
    os.truncate(write(project, "a.txt", b""), 10_000_000_000)
    with pytest.raises(FileError, match=f"more than {MAX_TEXT:,} bytes"):
        Files(project).content("specs/m.yaml", "a.txt")
    with pytest.raises(FileError, match="the limit is"):
        Files(project).upload("specs/m.yaml", "a.txt")


def test_an_upload_has_hash_size_and_length(project: Project) -> None:
    """The facts of a file are known before anything is sent."""
    tone(project.root / "specs" / "a.wav", 1.5)
    upload = Files(project).upload("specs/m.yaml", "a.wav")
    assert (upload.path, upload.size, upload.duration) == ("specs/a.wav", 12044, 1.5)
    assert len(upload.sha256) == 64


def test_a_changed_file_is_hashed_anew(project: Project) -> None:
    """Hashes are remembered only while size and time of change stay."""
    path, files = write(project, "a.bin", b"one"), Files(project)
    first = files.upload("specs/m.yaml", "a.bin")
    assert files.upload("specs/m.yaml", "a.bin") is first
    path.write_bytes(b"three")
    assert files.upload("specs/m.yaml", "a.bin").sha256 != first.sha256


def test_an_empty_upload_is_refused(project: Project) -> None:
    """There is nothing in it to receive."""
    write(project, "a.mp3", b"")
    with pytest.raises(FileError, match="empty"):
        Files(project).upload("specs/m.yaml", "a.mp3")


def test_a_missing_file_is_refused(project: Project) -> None:
    """The path is named as it is relative to the root."""
    with pytest.raises(PathError, match="specs/none"):
        Files(project).upload("specs/m.yaml", "none")


@pytest.mark.parametrize(
    "data", [b"", b"ID3", b"RIFF\xff\xff\xff\xffWAVE", b"\xff\xfb\x90" + b"\0" * 9, os.urandom(4096)]
)
def test_the_length_of_what_is_no_audio_is_unknown(tmp_path: Path, data: bytes) -> None:
    """Damaged or foreign bytes have no length, and raise nothing."""
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    assert audio_length(path) is None or audio_length(path) > 0
    assert audio_length(tmp_path / "none.mp3") is None
