"""Records on disk: every cut and every flip leaves the surviving prefix or a refusal."""

import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renderer.errors import DiskError
from renderer.project import Project
from renderer.state import lockfile

RECORDS: list[dict[str, Any]] = [
    {"submission": "a", "intended": {"job": "r/a", "provider": "p", "at": "2026-01-01T00:00:00.000Z"}},
    {"submission": "a", "accepted": {"task": "ünï-1"}},
    {"submission": "b", "intended": {"job": "r/b"}, "refused": {"class": "busy", "message": 'q"\\u2028 \u2028'}},
]
WHOLE = lockfile.HEADER + b"\n" + b"".join(lockfile.encode(record) for record in RECORDS)


def test_a_line_is_as_documented() -> None:
    """The last key is ``crc``: CRC-32 of the bytes up to the comma before it, as 8 lower-case hex digits."""
    line = lockfile.encode({"submission": "a", "accepted": {"task": "1"}})
    assert line == b'{"submission":"a","accepted":{"task":"1"},"crc":"%08x"}\n' % zlib.crc32(
        b'{"submission":"a","accepted":{"task":"1"}'
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Append, close, read: the same records."""
    path = tmp_path / "specs" / "r.lock"
    with lockfile.Appender(path, file="r.lock") as file:
        for record in RECORDS:
            file.append(lockfile.encode(record))
    assert path.read_bytes() == WHOLE
    assert list(lockfile.read(path, file="r.lock").records) == RECORDS


@pytest.mark.parametrize("cut", range(len(WHOLE) + 1))
def test_cut_at_every_byte_the_prefix_survives(tmp_path: Path, cut: int) -> None:
    """A file that was cut anywhere gives the records whose lines are whole, and can be appended to again."""
    path = tmp_path / "r.lock"
    path.write_bytes(WHOLE[:cut])
    found = lockfile.read(path, file="r.lock")
    expected = [
        record
        for record in RECORDS
        if len(WHOLE[: WHOLE.index(lockfile.encode(record))]) + len(lockfile.encode(record)) - 1 <= cut
    ]
    assert list(found.records) == expected
    with lockfile.Appender(path, file="r.lock") as file:
        file.append(lockfile.encode({"submission": "z"}))
    assert list(lockfile.read(path, file="r.lock").records) == [*expected, {"submission": "z"}]


@pytest.mark.parametrize("at", range(len(WHOLE)))
@pytest.mark.parametrize("bit", [0, 5])
def test_flipped_at_every_byte_no_record_changes(at: int, bit: int) -> None:
    """A flipped bit is refused, or costs only the last line; no record is ever read as something else."""
    data = bytearray(WHOLE)
    data[at] ^= 1 << bit
    try:
        found = list(lockfile.decode(bytes(data), file="r.lock").records)
    except DiskError as error:
        assert "r.lock:" in error.message
        return
    assert found in (RECORDS, RECORDS[:2])


def test_what_git_leaves_is_no_damage() -> None:
    """Markers, carriage returns, blank lines, repeated headers and records, any order."""
    lines = [lockfile.encode(record).rstrip(b"\n") for record in RECORDS]
    data = b"\r\n".join(
        [
            lockfile.HEADER, b"<<<<<<< HEAD", lines[2], b"||||||| base", b"=======", lines[0], lockfile.HEADER, b"",
            lines[1], b">>>>>>> other", lines[1],
        ]
    )  # fmt: skip
    found = list(lockfile.decode(data, file="r.lock").records)
    assert found == [RECORDS[2], RECORDS[0], RECORDS[1], RECORDS[1]]


def test_markers_before_the_header_are_read_too(tmp_path: Path) -> None:
    """A conflict that begins at the first line does not make it a foreign file."""
    path = tmp_path / "r.lock"
    path.write_bytes(b"<<<<<<< HEAD\n" + WHOLE)
    assert lockfile.is_lockfile(path)
    assert list(lockfile.read(path, file="r.lock").records) == RECORDS


def test_a_newer_version_is_refused_by_its_number() -> None:
    """It names both versions and says what to do."""
    with pytest.raises(DiskError, match=r"version 7.*version 1") as caught:
        lockfile.decode(b'{"renderer-lock":7}\n', file="specs/r.lock")
    assert "newer" in caught.value.hint


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    """A uv.lock beside the manifest is not ours to append to, and not ours to read."""
    path = tmp_path / "uv.lock"
    path.write_text("version = 1\n")
    assert not lockfile.is_lockfile(path)
    with pytest.raises(DiskError, match="not a lockfile"):
        lockfile.Appender(path, file="uv.lock")
    assert path.read_text() == "version = 1\n"


def test_lockfiles_are_found_by_their_header(tmp_path: Path) -> None:
    """Hidden folders, node_modules and other tools' lock files are passed over."""
    for name in ("specs/a.lock", "b.lock", ".git/c.lock", "node_modules/d.lock"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(WHOLE)
    (tmp_path / "uv.lock").write_text("version = 1\n")
    found = [path.relative_to(tmp_path).as_posix() for path in lockfile.lockfiles(Project(tmp_path, tmp_path))]
    assert found == ["b.lock", "specs/a.lock"]


def test_a_full_disk_is_refused_in_words(tmp_path: Path) -> None:
    """A file that may not grow becomes an error for people; what was whole before stays readable."""
    path = tmp_path / "r.lock"
    program = f"""
import resource, signal, pathlib
from renderer.errors import DiskError
from renderer.state.lockfile import Appender, encode
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = Appender(pathlib.Path({str(path)!r}), file="r.lock")
file.append(encode({{"submission": "a"}}))
resource.setrlimit(resource.RLIMIT_FSIZE, (90, 90))
try:
    file.append(encode({{"submission": "b" * 200}}))
except DiskError as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "r.lock cannot be written: File too large" in done.stdout
    assert list(lockfile.read(path, file="r.lock").records) == [{"submission": "a"}]


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A device or a pipe in a lockfile's place is refused before it is read: it might never end."""
    (tmp_path / "r.lock").symlink_to("/dev/full")
    with pytest.raises(DiskError, match="not a regular file"):
        lockfile.Appender(tmp_path / "r.lock", file="r.lock")


def test_rewriting_is_whole_or_not_at_all(tmp_path: Path) -> None:
    """Compaction replaces by rename, changes nothing when nothing changed, and leaves no temporary file."""
    path = tmp_path / "r.lock"
    assert lockfile.rewrite(path, RECORDS, file="r.lock")
    assert not lockfile.rewrite(path, RECORDS, file="r.lock")
    assert path.read_bytes() == WHOLE
    assert [p.name for p in tmp_path.iterdir()] == ["r.lock"]


@given(st.binary(max_size=300))
def test_any_bytes_are_records_or_a_refusal(tail: bytes) -> None:
    """Whatever follows the header, the reader returns or raises an error for people."""
    try:
        lockfile.decode(lockfile.HEADER + b"\n" + tail, file="r.lock")
    except DiskError as error:
        assert error.hint
