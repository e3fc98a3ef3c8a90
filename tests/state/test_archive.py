"""What is replayed light is what a join of every record says."""

import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from renderer.errors import DiskError
from renderer.state import lockfile
from renderer.state.archive import Archive, Witness
from renderer.state.history import History, Record

PRINTS = ("f" * 64, "e" * 64)
DECLARED = ("d" * 64, "c" * 64)
# Files are written for each example; a busy machine is no news.
FILES = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])

intended = st.fixed_dictionaries(
    {
        "job": st.sampled_from(["r/a", "r/b"]),
        "provider": st.just("p"),
        "fingerprint": st.sampled_from(PRINTS),
        "declared": st.sampled_from(DECLARED),
        "pack": st.integers(1, 2),
        "at": st.sampled_from(["2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"]),
        "origin": st.sampled_from(["https://p", None]),
    },
    optional={"keyed": st.booleans(), "over": st.sampled_from("abc")},
)
facts = st.fixed_dictionaries(
    {},
    optional={
        "intended": intended,
        "refused": st.sampled_from([{"class": "busy"}, {"class": "input", "code": "11"}]),
        "accepted": st.sampled_from([{"task": "1"}, {"task": "2"}]),
        "failed": st.just({"code": "x"}),
        "rendered": st.just({"produced": {"url": 'https://p/},"saved":{'}}),
        "saved": st.sampled_from([{"sha256": "1" * 64}, {"sha256": "2" * 64}]),
        "closed": st.sampled_from([{"state": "doubtful"}, {"state": "accepted"}, {"state": "later"}]),
        "note": st.builds(lambda n, m: {"n": n, "message": m}, st.integers(1, 4), st.text(max_size=3)),
        "unheard": st.just({"of": 1}),
    },
)
records = st.one_of(
    st.builds(lambda id_, known: {"submission": id_, **known}, st.sampled_from("abcd"), facts),
    st.builds(
        lambda f, at: {"upload": {"provider": "p", "origin": "o", "sha256": "s", "file_id": f, "at": at}},
        st.sampled_from("xy"),
        st.sampled_from(["2026-01-01", "2026-01-02"]),
    ),
    st.builds(
        lambda f, s: {"approved": {"fingerprint": f, "submission": s, "at": "t"}},
        st.sampled_from(PRINTS),
        st.sampled_from("abcd"),
    ),
)
files = st.lists(st.tuples(st.sampled_from(Witness), st.lists(records, max_size=8)), max_size=3)


def write(path: Path, found: Iterable[Record]) -> Path:
    path.write_bytes(lockfile.HEADER + b"\n" + b"".join(map(lockfile.encode, found)))
    return path


def naive(found: Iterable[Record]) -> History:
    """Every record joined, one after the other."""
    history = History()
    for record in found:
        history.absorb(record)
    return history


def view(history: History) -> dict[str, Any]:
    """All that the rest asks of a history."""
    everything = [history.of_fingerprint(key) for key in PRINTS] + [history.of_declared(key) for key in DECLARED]
    return {
        "submissions": dict(history.submissions),
        "states": {id_: found.state for id_, found in history.submissions.items()},
        "rows": sorted(history.rows()),
        "found": [sorted(s.id for s in found) for found in everything],
        "best": [best.id if (best := history.best(found)) else None for found in everything],
        "replaced": {id_ for id_, found in history.submissions.items() if history.replaced(found)},
        "tasks": history.tasks("p", "https://p"),
        "uploads": history.uploads,
        "approvals": history.approvals,
        "records": sorted(map(repr, history.records())),
    }


@FILES
@given(files, st.lists(records, max_size=4))
def test_light_and_naive_agree(
    tmp_path: Path, written: list[tuple[Witness, list[Record]]], later: list[Record]
) -> None:
    """Whatever stands in whatever files, and whatever a run adds, the light history answers as a plain join does."""
    archive = Archive()
    for number, (witness, found) in enumerate(written):
        assert archive.read(write(tmp_path / f"{number}", found), file=f"{number}", witness=witness) is not None
    light = History(archive)
    plain = naive(record for _, found in written for record in found)
    assert view(light) == view(plain)
    for record in later:
        light.absorb(record)
        plain.absorb(record)
    assert view(light) == view(plain)


def names(found: Iterable[Record]) -> set[tuple[Any, ...]]:
    """Which facts records tell, by their names; uploads and approvals by what makes them the same one."""
    told: set[tuple[Any, ...]] = set()
    for record in found:
        if "submission" in record:
            told |= {(record["submission"], name) for name in record if name != "submission"}
        elif "upload" in record:
            told.add(("upload", record["upload"]["file_id"]))
        else:
            told.add(("approved", record["approved"]["fingerprint"], record["approved"]["submission"]))
    return told


@FILES
@given(st.lists(records, max_size=8), st.lists(records, max_size=8))
def test_what_the_other_kind_of_file_lacks_is_found(tmp_path: Path, locked: list[Record], kept: list[Record]) -> None:
    """A line is lacking where it tells a fact whose name no file of the other kind has for that submission."""
    archive = Archive()
    lock = archive.read(write(tmp_path / "l", locked), file="l", witness=Witness.LOCKFILE)
    ledger = archive.read(write(tmp_path / "j", kept), file="j", witness=Witness.LEDGER)
    assert lock is not None
    assert ledger is not None
    for source, mine, other, witness in (
        (ledger, kept, locked, Witness.LOCKFILE),
        (lock, locked, kept, Witness.LEDGER),
    ):
        found = [archive.record(line) for line in archive.lacking(witness, [source])]
        assert found == [record for record in mine if not names([record]) <= names(other)]


LARGE = [{"submission": f"s{n}", "accepted": {"task": f"{n}"}} for n in range(3000)]


def test_a_large_file_is_read_where_it_stood(tmp_path: Path) -> None:
    """A file that compaction or git has replaced since is still read as it was replayed."""
    path = write(tmp_path / "r.lock", LARGE)
    archive = Archive()
    archive.read(path, file="r.lock", witness=Witness.LOCKFILE)
    write(tmp_path / "new", []).replace(path)
    assert History(archive).submissions["s2999"].task == "2999"


def test_a_file_that_was_written_over_is_refused(tmp_path: Path) -> None:
    """Bytes that no longer fit their checksum are never taken for what was replayed."""
    path = write(tmp_path / "r.lock", LARGE)
    archive = Archive()
    archive.read(path, file="specs/r.lock", witness=Witness.LOCKFILE)
    with path.open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(DiskError, match=r"specs/r\.lock was changed"):
        History(archive).submissions["s2999"]


@pytest.mark.parametrize("line", [0, 1, 1500, 2998])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_damage_in_a_large_file_is_located(tmp_path: Path, line: int, ending: bytes) -> None:
    """The line is named wherever it stands, and whatever the line ends are."""
    lines = [lockfile.HEADER, *(lockfile.encode(record).rstrip(b"\n") for record in LARGE)]
    lines[line + 1] = lines[line + 1].replace(b"task", b"tusk")
    path = tmp_path / "r.lock"
    path.write_bytes(ending.join([*lines, b""]))
    with pytest.raises(DiskError, match=rf"r\.lock:{line + 2}:1: "):
        Archive().read(path, file="r.lock", witness=Witness.LOCKFILE)


def test_nothing_stays_open(tmp_path: Path) -> None:
    """The files of an archive are closed with it."""
    archive = Archive()
    source = archive.read(write(tmp_path / "r.lock", LARGE), file="r.lock", witness=Witness.LOCKFILE)
    assert source is not None
    gone = weakref.ref(archive)
    with Path(f"/dev/fd/{source.handle}").open("rb"):
        del archive
    assert gone() is None
    assert not Path(f"/dev/fd/{source.handle}").exists()
