"""Durable first, known second: group commit, two files for each record, and a disk that refuses."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from renderer.errors import DiskError
from renderer.project import Project
from renderer.run.journal import Journal, Pair, replay
from renderer.state import lockfile
from renderer.state.history import History, Record

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run with a guard against hanging."""
    return asyncio.run(asyncio.wait_for(coroutine, 20))


class File:
    """A record file in memory that refuses from its ``last``-th append on."""

    def __init__(self, last: int = 10**9, error: Exception | None = None) -> None:
        self.data = b""
        self.appends = 0
        self.last = last
        self.error = error or DiskError("the disk is full", hint="free some space")

    def append(self, lines: bytes) -> None:
        """Take lines, or refuse."""
        self.appends += 1
        if self.appends >= self.last:
            raise self.error
        self.data += lines

    def close(self) -> None:
        """Do nothing."""

    @property
    def ids(self) -> list[str]:
        """The submissions that it holds, in order."""
        return [record["submission"] for record in lockfile.decode(self.data, file="x").records]


def journal(lock: File | None = None, ledger: File | None = None) -> tuple[Journal, File, File]:
    pair = Pair(lock or File(), ledger or File())
    return Journal(History(), {"r": pair}), pair.lockfile, pair.ledger  # type: ignore[return-value]  # they are Files


def accepted(id_: str) -> Record:
    return {"submission": id_, "accepted": {"task": f"task-{id_}"}}


def test_a_record_is_in_both_files_before_it_is_known() -> None:
    """``write`` returns when lockfile and ledger have it; only then does the history."""
    book, lock, ledger = journal()
    run(book.write("r", accepted("a")))
    assert lock.ids == ledger.ids == ["a"]
    assert book.history.submissions["a"].task == "task-a"


def test_records_that_wait_together_share_one_append() -> None:
    """A hundred at once are a handful of appends, in their order."""

    async def scenario() -> File:
        book, lock, _ = journal()
        await asyncio.gather(*(book.write("r", accepted(f"{n:03}")) for n in range(100)))
        return lock

    lock = run(scenario())
    assert lock.ids == [f"{n:03}" for n in range(100)]
    assert lock.appends < 10


def test_a_caller_that_is_cancelled_takes_nobodys_record_with_it() -> None:
    """Its own record is written as well: ``drained`` waits for it."""

    async def scenario() -> tuple[Journal, File]:
        book, lock, _ = journal()
        tasks = [asyncio.create_task(book.write("r", accepted(name))) for name in "abc"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await book.drained()
        return book, lock

    book, lock = run(scenario())
    assert lock.ids == ["a", "b", "c"]
    assert set(book.history.submissions) == {"a", "b", "c"}


@pytest.mark.parametrize("which", ["lock", "ledger"])
def test_what_one_file_refuses_is_not_known_but_stands_in_the_other(which: str) -> None:
    """The second place gets it all the same, and the error carries it."""
    book, lock, ledger = journal(File(last=1) if which == "lock" else None, File(last=1) if which == "ledger" else None)
    with pytest.raises(DiskError, match="the disk is full") as raised:
        run(book.write("r", accepted("a")))
    assert '"task":"task-a"' in raised.value.message
    assert raised.value.hint == "free some space"
    assert not book.history.submissions
    assert (ledger if which == "lock" else lock).ids == ["a"]
    assert book.broken is not None


def test_after_a_refusal_nothing_is_written_ever() -> None:
    """A disk that works again later is not trusted; every later record is carried by the error, too."""

    async def scenario() -> tuple[Journal, File, File]:
        book, lock, ledger = journal(File(last=2))
        await book.write("r", accepted("a"))
        for name in "bc":
            with pytest.raises(DiskError, match=f"task-{name}"):
                await book.write("r", accepted(name))
            lock.last = 10**9
        return book, lock, ledger

    book, lock, ledger = run(scenario())
    assert lock.ids == ["a"]
    assert ledger.ids == ["a", "b"]
    assert book.broken is not None
    assert all(f'"task":"task-{name}"' in book.broken.message for name in "bc")


def test_all_records_of_a_shared_append_are_in_the_error() -> None:
    """Whoever raises it, a person gets to see every one of them, whole, with its checksum."""

    async def scenario() -> DiskError:
        book, _, _ = journal(File(last=1))
        errors = await asyncio.gather(*(book.write("r", accepted(name)) for name in "abc"), return_exceptions=True)
        assert all(isinstance(error, DiskError) for error in errors)
        assert book.broken is not None
        return book.broken

    broken = run(scenario())
    lines = [line.removeprefix("r: ") for line in broken.message.splitlines() if '"crc"' in line]
    told = lockfile.decode("".join(f"{line}\n" for line in lines).encode(), file="told").records
    assert {record["submission"] for record in told} == {"a", "b", "c"}


def test_a_record_that_cannot_be_encoded_is_its_callers_fault_alone() -> None:
    """It is raised where it was written; the others are durable, and the journal goes on."""

    async def scenario() -> File:
        book, lock, _ = journal()
        bad: Record = {"submission": "b", "accepted": {"task": "\ud800"}}
        done = await asyncio.gather(
            book.write("r", accepted("a")), book.write("r", bad), book.write("r", accepted("c")), return_exceptions=True
        )
        assert isinstance(done[1], UnicodeEncodeError)
        await book.write("r", accepted("d"))
        return lock

    assert run(scenario()).ids == ["a", "c", "d"]


def test_a_bug_below_hangs_nobody() -> None:
    """What nobody expected of a file is raised by every write that it hit, and not by later ones."""

    async def scenario() -> None:
        lock = File(last=1, error=ZeroDivisionError("a bug"))
        book, _, _ = journal(lock)
        done = await asyncio.gather(*(book.write("r", accepted(name)) for name in "ab"), return_exceptions=True)
        assert all(isinstance(error, ZeroDivisionError) for error in done)
        lock.last = 10**9
        await book.write("r", accepted("c"))

    run(scenario())


def test_an_unknown_release_is_an_error_and_hangs_nobody() -> None:
    """There is no file for it."""

    async def scenario() -> None:
        book, _, _ = journal()
        with pytest.raises(KeyError):
            await book.write("x", accepted("a"))
        await book.write("r", accepted("b"))

    run(scenario())


# --- replay ------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    (tmp_path / ".renderer" / "ledger").mkdir(parents=True)
    (tmp_path / "specs").mkdir()
    return Project(tmp_path, tmp_path)


def write(path: Path, *records: Record) -> None:
    with lockfile.Appender(path, file=path.name) as file:
        file.append(b"".join(map(lockfile.encode, records)))


def test_replay_joins_every_file(project: Project) -> None:
    """Lockfiles and ledgers together; what only a ledger knows is named, refusals aside."""
    intended = {"job": "spring/a", "fingerprint": "f" * 64, "at": "t", "origin": "o"}
    write(project.root / "specs" / "spring.lock", {"submission": "a", "intended": intended})
    write(project.root / "specs" / "autumn.lock", {"submission": "b", "intended": intended})
    refused: Record = {"submission": "d", "intended": intended, "refused": {"class": "busy"}}
    write(project.ledger / "spring.jsonl", accepted("a"), accepted("c"), refused)
    known = replay(project)
    assert set(known.history.submissions) == {"a", "b", "c", "d"}
    assert known.history.submissions["a"].task == "task-a"
    assert {release: [record["submission"] for record in found] for release, found in known.unlocked.items()} == {
        "spring": ["a", "c"]
    }


def test_replay_is_read_only_and_refuses_damage(project: Project) -> None:
    """A torn tail stays on disk until somebody appends; other damage is refused with its place."""
    path = project.root / "specs" / "spring.lock"
    write(path, accepted("a"))
    torn = path.read_bytes() + lockfile.encode(accepted("b"))[:20]
    path.write_bytes(torn)
    assert set(replay(project).history.submissions) == {"a"}
    assert path.read_bytes() == torn
    path.write_bytes(path.read_bytes().replace(b"task-a", b"task-z"))
    with pytest.raises(DiskError, match=r"specs/spring\.lock:2:1"):
        replay(project)
