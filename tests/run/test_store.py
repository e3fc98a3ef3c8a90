import errno
import hashlib
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from renderer.errors import DiskError
from renderer.plan.plan import Look
from renderer.project import Project
from renderer.run.disk import DiskFull, disk_errors, write_whole
from renderer.run.store import Store, hash_file

SIGNED = "https://cdn.example/a.mp4?Signature=q-canary&x=%2B"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give an empty project."""
    return Project(tmp_path, tmp_path)


@pytest.fixture
def store(project: Project) -> Store:
    """Give its store."""
    return Store(project)


@pytest.fixture
def admit(store: Store) -> Callable[[bytes], str]:
    """Put bytes into the cache and return their hash."""

    def admitted(data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        part = store.part("s1")
        part.write_bytes(data)
        store.admit(part, sha256)
        return sha256

    return admitted


@pytest.fixture
def small_files() -> Iterator[None]:
    """Limit the size of files, as a full disk would."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def leftovers(folder: Path) -> list[str]:
    """Return the temporary files below a folder."""
    return [path.name for path in folder.rglob("*.tmp")]


def test_a_link_is_kept_for_its_owner_alone(project: Project, store: Store) -> None:
    """Byte for byte, mode 0600, until it is dropped."""
    assert store.link("s1") is None
    store.keep_link("s1", "https://cdn.example/old")
    store.keep_link("s1", SIGNED)
    assert Store(project).link("s1") == SIGNED
    assert stat.S_IMODE((project.state / "links" / "s1").stat().st_mode) == 0o600
    store.drop_link("s1")
    store.drop_link("s1")
    assert store.link("s1") is None


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a\n"])
def test_an_id_cannot_lead_out_of_its_folder(store: Store, name: str) -> None:
    """Ids come from records; a path in one is a mistake."""
    with pytest.raises(ValueError, match="name"):
        store.part(name)
    with pytest.raises(ValueError, match="name"):
        store.keep_link(name, SIGNED)


def test_43_an_answer_is_kept_without_secrets(project: Project) -> None:
    """Queries of URLs, also of those that JSON escapes, and credentials are taken out; 64 KiB at most."""
    store = Store(project, secrets=["c-canary", ""])
    escaped = SIGNED.replace("/", "\\/")
    body = json.dumps({"a": SIGNED, "token": "c-canary"}) + f'{{"b": "{escaped}"}} <a href={SIGNED}>' + "x" * 100_000
    where = store.save_answer("s1", body.encode())
    assert where == ".renderer/answers/s1"
    path = project.root / where
    text = path.read_text()
    assert "canary" not in text
    assert "https://cdn.example/a.mp4?[query]" in text
    assert "<a href=https://cdn.example/a.mp4?[query]>" in text
    assert path.stat().st_size == 64 << 10
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Store(project).save_answer("s2", b"\xff\xfe not text") == ".renderer/answers/s2"


def test_a_file_goes_through_the_cache_to_its_place(project: Project, store: Store, admit: Any) -> None:
    """The part is gone, the cache has it by its hash, the output is a file of its own."""
    sha256 = admit(b"film")
    cached = store.cached(sha256)
    assert cached == project.state / "cache" / sha256[:2] / sha256
    assert not store.part("s1").exists()
    store.publish(sha256, "renders/spring/a.mp4")
    output = project.output("renders/spring/a.mp4")
    assert output.read_bytes() == b"film"
    assert not output.samefile(cached)
    assert store.at("renders/spring/a.mp4").look is Look.OURS
    assert leftovers(project.root) == []


def test_an_edited_output_does_not_reach_the_cache(project: Project, store: Store, admit: Any) -> None:
    """Who writes into an output in place harms only that output."""
    sha256 = admit(b"film")
    store.publish(sha256, "a.mp4")
    with project.output("a.mp4").open("r+b") as file:
        file.write(b"FILM")
    cached = store.cached(sha256)
    assert cached is not None
    assert hash_file(cached) == sha256


def test_what_stands_at_an_output(project: Project, store: Store, admit: Any) -> None:
    """Absent, ours, changed, foreign."""
    sha256 = admit(b"film")
    assert store.at("r/a.mp4").look is Look.ABSENT
    store.publish(sha256, "r/a.mp4")
    assert (store.at("r/a.mp4").look, store.at("r/a.mp4").sha256) == (Look.OURS, sha256)
    project.output("r/a.mp4").write_bytes(b"longer film")
    assert (store.at("r/a.mp4").look, store.at("r/a.mp4").sha256) == (Look.CHANGED, sha256)
    project.output("r/b.mp4").write_bytes(b"holidays")
    assert store.at("r/b.mp4").look is Look.FOREIGN
    assert store.at("r/a.mp4/below").look is Look.ABSENT
    assert store.at("r").look is Look.FOREIGN


def test_a_touched_file_is_still_ours(project: Project, store: Store, admit: Any) -> None:
    """Another time with the same content is no change; the same size with other content is one."""
    sha256 = admit(b"film")
    store.publish(sha256, "a.mp4")
    os.utime(project.output("a.mp4"), (1, 1))
    assert store.at("a.mp4").look is Look.OURS
    project.output("a.mp4").write_bytes(b"FILM")
    os.utime(project.output("a.mp4"), (1, 1))
    assert store.at("a.mp4").look is Look.CHANGED


@pytest.mark.parametrize("damage", [None, b"", b"{", b"[]", b'{"version": 9, "outputs": {}}', b'{"version": 1}'])
def test_without_outputs_json_files_are_known_by_content(
    project: Project, store: Store, admit: Any, damage: bytes | None
) -> None:
    """Lost, damaged or newer: by the cache, or by the hashes that records name."""
    store.publish(admit(b"film"), "a.mp4")
    known = hashlib.sha256(b"older film").hexdigest()
    project.output("b.mp4").write_bytes(b"older film")
    project.output("c.mp4").write_bytes(b"holidays")
    store.save()
    index = project.state / "outputs.json"
    index.unlink()
    if damage is not None:
        index.write_bytes(damage)
    again = Store(project, known=[known])
    looks = [again.at(name).look for name in ("a.mp4", "b.mp4", "c.mp4")]
    assert looks == [Look.OURS, Look.OURS, Look.FOREIGN]
    assert Store(project).at("b.mp4").look is Look.FOREIGN


def test_outputs_json_is_as_specified(project: Project, store: Store, admit: Any) -> None:
    """Its docstring is its format, and a new store reads it."""
    sha256 = admit(b"film")
    store.publish(sha256, "r/ü.mp4", submission="s1")
    store.save()
    status = project.output("r/ü.mp4").stat()
    entry = {"sha256": sha256, "size": 4, "mtime_ns": status.st_mtime_ns, "submission": "s1"}
    assert json.loads((project.state / "outputs.json").read_text()) == {"version": 1, "outputs": {"r/ü.mp4": entry}}
    assert dict(Store(project).placed()) == {"r/ü.mp4": sha256}


def test_a_thousand_outputs_do_not_write_a_thousand_indexes(project: Project, store: Store, admit: Any) -> None:
    """Threads may publish at once; the index is complete at the end, and was written a bounded number of times."""
    sha256 = admit(b"film")
    writes: set[int] = set()

    def publish(start: int) -> None:
        for number in range(start, start + 250):
            store.publish(sha256, f"r/{number}.mp4")
            writes.add((project.state / "outputs.json").stat().st_mtime_ns)

    threads = [threading.Thread(target=publish, args=(start,)) for start in (0, 250, 500, 750)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.save()
    assert len(Store(project).placed()) == 1000
    assert len(writes) < 400


def test_an_old_output_stays_until_its_successor_is_whole(
    project: Project, store: Store, admit: Any, small_files: None
) -> None:
    """A disk that fills up in between leaves the old file, no half one and no temporary one."""
    project.output("a.mp4").write_bytes(b"old")
    sha256 = hashlib.sha256(b"new").hexdigest()
    with pytest.raises(DiskFull):
        write_whole(project.output("a.mp4"), b"x" * 5000)
    assert project.output("a.mp4").read_bytes() == b"old"
    assert leftovers(project.root) == []
    with pytest.raises(DiskError, match=r"a\.mp4"):
        store.publish(sha256, "a.mp4")  # not in the cache
    assert project.output("a.mp4").read_bytes() == b"old"


def test_what_a_killed_run_left_is_overwritten(project: Project, store: Store, admit: Any) -> None:
    """A half temporary file neither fails the next publish nor stays."""
    sha256 = admit(b"film")
    store.publish(sha256, "a.mp4")
    name = hashlib.sha256(b"a.mp4").hexdigest()[:12]
    (project.root / f".renderer-{name}.tmp").write_bytes(b"half")
    store.publish(sha256, "a.mp4")
    assert project.output("a.mp4").read_bytes() == b"film"
    assert leftovers(project.root) == []


def test_10_nothing_is_written_through_a_symlink(project: Project, store: Store, admit: Any, tmp_path: Path) -> None:
    """Neither a linked folder nor a linked file; looking at one sees something that is not ours."""
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    (project.root / "renders").symlink_to(outside)
    (project.root / "a.mp4").symlink_to(outside / "precious")
    sha256 = admit(b"film")
    for output in ("renders/b.mp4", "a.mp4"):
        assert store.at(output).look is Look.FOREIGN
        with pytest.raises(DiskError, match="symbolic link"):
            store.publish(sha256, output)
        with pytest.raises(DiskError, match="symbolic link"):
            store.rename("c.mp4", output)
    assert [path.name for path in outside.iterdir()] == ["precious"]
    assert (outside / "precious").read_bytes() == b"precious"


def test_an_output_moves_with_what_is_known_of_it(project: Project, store: Store, admit: Any) -> None:
    """The file stands at the new place only, and is ours there."""
    sha256 = admit(b"film")
    store.publish(sha256, "old/a.mp4", submission="s1")
    store.rename("old/a.mp4", "new/b.mp4")
    assert (store.at("old/a.mp4").look, store.at("new/b.mp4").look) == (Look.ABSENT, Look.OURS)
    assert dict(store.placed()) == {"new/b.mp4": sha256}


def test_clean_removes_what_no_record_names(project: Project, store: Store, admit: Any) -> None:
    """Parts with their ETags and cached files; links and outputs stay."""
    kept, dropped = admit(b"kept"), admit(b"dropped")
    store.publish(dropped, "a.mp4")
    for submission in ("s2", "s3"):
        store.part(submission).write_bytes(b"half")
        store.part(submission).with_name(f"{submission}.etag").write_text('"x"')
        store.keep_link(submission, SIGNED)
    cleaned = store.clean(["s2"], [kept])
    assert sorted(entry.path.name for entry in cleaned) == sorted(["s3", "s3.etag", dropped])
    assert sum(entry.bytes for entry in cleaned) == len(b"half") + 3 + len(b"dropped")
    assert store.cached(kept) is not None
    assert store.cached(dropped) is None
    assert store.part("s2").exists()
    assert store.link("s3") == SIGNED
    assert project.output("a.mp4").exists()
    assert store.clean(["s2"], [kept]) == []


def test_22_folders_that_take_no_files_are_all_named(project: Project, store: Store) -> None:
    """Before anything is sent; folders that do not exist yet are judged by the one above. Nothing is left behind."""
    store.check_writable([project.root / "renders" / "spring"])
    assert list(project.root.iterdir()) == []
    (project.root / "file").touch()
    with pytest.raises(DiskError, match=r"file.*/proc|/proc.*file") as error:
        store.check_writable([project.root / "file", Path("/proc"), project.root / "renders"])
    assert "renders" not in error.value.message


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_21_a_full_disk_is_told_from_other_trouble(tmp_path: Path, number: int) -> None:
    """DiskFull names the path and what to do; other errors are DiskError."""
    with pytest.raises(DiskFull, match="film") as full, disk_errors(tmp_path / "film"):
        raise OSError(number, os.strerror(number))
    assert "free some space" in full.value.hint
    with pytest.raises(DiskError, match="film") as other, disk_errors(tmp_path / "film"):
        raise OSError(errno.EIO, "Input/output error")
    assert not isinstance(other.value, DiskFull)


def test_a_hash_must_be_a_hash(store: Store) -> None:
    """What comes from a record cannot name another file."""
    with pytest.raises(ValueError, match="SHA-256"):
        store.cached("../../../etc/passwd")


def test_a_download_on_another_file_system_is_admitted(store: Store) -> None:
    """Where a rename cannot go, a copy does; the original is gone."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == Path.cwd().stat().st_dev:
        pytest.skip("no second file system to try")
    part = memory / f"renderer-test-{os.getpid()}"
    part.write_bytes(b"film")
    sha256 = hash_file(part)
    try:
        assert store.admit(part, sha256).read_bytes() == b"film"
        assert not part.exists()
    finally:
        part.unlink(missing_ok=True)
