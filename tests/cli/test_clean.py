from hashlib import sha256
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from renderer.cli.main import group
from renderer.project import Project
from renderer.state.lockfile import HEADER, encode
from renderer.state.runlock import RunLock

HASHES = {name: sha256(name.encode()).hexdigest() for name in ("saved", "ledger", "approved", "nobody")}


def intended(at: str = "2026-03-01T10:00:00Z") -> dict[str, object]:
    """Return the fact that something was about to be bought."""
    return {"job": "spring/a", "provider": "p", "operation": "video", "fingerprint": "f", "declared": "d", "at": at}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project with a purchase of each kind, a cache, and partial files."""
    project = Project(tmp_path.resolve(), tmp_path.resolve())
    accepted = {"accepted": {"task": "t"}}
    saved = {"rendered": {}, "saved": {"sha256": HASHES["saved"]}}
    records = [
        {"submission": "rendering", "intended": intended(), **accepted},
        {"submission": "done", "intended": intended(), **accepted, **saved},
        {"approved": {"fingerprint": "f", "submission": "done", "sha256": HASHES["approved"]}},
    ]
    elsewhere = {"rendered": {}, "saved": {"sha256": HASHES["ledger"]}}
    write(tmp_path / "specs" / "spring.lock", *records)
    write(project.ledger / "spring.jsonl", {"submission": "other", "intended": intended(), **accepted, **elsewhere})
    for name, hash_ in HASHES.items():
        put(project.state / "cache" / hash_[:2] / hash_, name.encode())
    for name in ("rendering", "rendering.etag", "done", "unheard-of"):
        put(project.state / "part" / name, b"x" * 1500)
    return project


def write(path: Path, *records: dict[str, object]) -> None:
    """Write a record file."""
    put(path, HEADER + b"\n" + b"".join(map(encode, records)))


def put(path: Path, data: bytes) -> None:
    """Write a file in a folder that may be missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def files(project: Project) -> set[str]:
    """Return the names of all files that may be dropped."""
    names = {hash_: name for name, hash_ in HASHES.items()}
    found = [*project.state.glob("part/*"), *project.state.glob("cache/*/*")]
    return {names.get(path.name, path.name) for path in found}


def clean(project: Project, *arguments: str) -> Result:
    """Run `renderer clean`."""
    return CliRunner().invoke(group, ["clean", "--project", str(project.root), *arguments])


KEPT = {"saved", "ledger", "approved", "rendering", "rendering.etag"}


def test_only_what_no_record_names_is_dropped(project: Project) -> None:
    """Files of any record stay, also of one that only the ledger has; partial files stay while they may go on."""
    lock = (project.root / "specs" / "spring.lock").read_bytes()
    result = clean(project)
    assert result.exit_code == 0
    assert files(project) == KEPT
    assert (project.root / "specs" / "spring.lock").read_bytes() == lock
    assert "3 files dropped: 3.0 kB." in result.output
    assert f".renderer/cache/{HASHES['nobody'][:2]}/{HASHES['nobody']}" in result.output


def test_a_dry_run_drops_nothing(project: Project) -> None:
    """`--dry-run` names the same files and leaves them."""
    before = files(project)
    told = clean(project, "--dry-run").output
    assert files(project) == before
    assert told.replace("would be dropped", "dropped") == clean(project).output


def test_nothing_is_dropped_while_a_run_works(project: Project) -> None:
    """Another run's files are its own: exit 75."""
    before = files(project)
    with RunLock(project, command="renderer apply"):
        assert clean(project).exit_code == 75
    assert files(project) == before


def test_nothing_is_dropped_where_records_cannot_be_read(project: Project) -> None:
    """A damaged lockfile may name anything, so everything stays: exit 74."""
    before = files(project)
    lock = project.root / "specs" / "spring.lock"
    lock.write_bytes(lock.read_bytes().replace(b'"task":"t"', b'"task":"u"', 1))
    assert clean(project).exit_code == 74
    assert files(project) == before


def test_a_rehearsals_files_are_its_own(project: Project) -> None:
    """`--sandbox` means the rehearsal's files, and only those."""
    before = files(project)
    put(project.sandbox().state / "part" / "old", b"x")
    assert "1 file dropped: 1 byte." in clean(project, "--sandbox").output
    assert files(project) == before


def test_a_folder_that_is_no_project_stays_as_it_is(tmp_path: Path) -> None:
    """Where no run has kept anything nothing is made either."""
    result = CliRunner().invoke(group, ["clean", "--project", str(tmp_path)])
    assert (result.exit_code, list(tmp_path.iterdir())) == (0, [])
