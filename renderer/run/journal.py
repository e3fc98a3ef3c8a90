"""Records made durable: each goes to its manifest's lockfile and to the ledger, and counts only after both fsyncs.

Records that wait at the same moment share one fsync (group commit); a lone one is written inline. Once the disk has
refused a record nothing more is written, ever, in this process: the caller must stop submitting. What could not be
written is carried by the error, all of it, so that a person gets to see it. The journal also keeps the
:class:`~renderer.state.history.History` current; it does not know what the facts mean.
"""

import asyncio
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from renderer.errors import DiskError
from renderer.project import Project
from renderer.state import lockfile
from renderer.state.archive import Archive, Source, Witness
from renderer.state.history import History, Record
from renderer.state.lifecycle import State


class RecordFile(Protocol):
    """A file that grows by whole lines; ``append`` returns when they are durable, or raises ``DiskError``."""

    def append(self, lines: bytes) -> None:
        """Write whole lines, durably."""

    def close(self) -> None:
        """Close the file."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Where a release's records go: its lockfile and its ledger."""

    lockfile: RecordFile
    ledger: RecordFile


@dataclass(frozen=True, slots=True)
class _Entry:
    """Records that somebody waits for, and their lines."""

    release: str
    records: Sequence[Record]
    lines: bytes
    done: "asyncio.Future[None]"


class Journal:
    """Appends records, durably, and absorbs them into the history."""

    def __init__(self, history: History, files: Mapping[str, Pair], *, threads: bool = True) -> None:
        """Take the history to keep current and the open files of each release."""
        self.history = history
        self._files = files
        self._threads = threads
        self._waiting: list[_Entry] = []
        self._writer: asyncio.Task[None] | None = None
        self._refusal: DiskError | None = None
        self._lost: list[_Entry] = []

    @property
    def broken(self) -> DiskError | None:
        """The disk's refusal, once there was one, with every record that was lost to it."""
        if (refusal := self._refusal) is None:
            return None
        text = "".join(f"{entry.release}: {entry.lines.decode()}" for entry in self._lost)
        return DiskError(f"{refusal.message}\nThis could not be recorded; keep it:\n{text}", hint=refusal.hint)

    async def write(self, release: str, *records: Record) -> None:
        """Return when ``records`` are durable and absorbed. Raises :class:`DiskError`; then they are not absorbed."""
        # Encoded here, so that a record that cannot be is the fault of its caller alone.
        lines = b"".join(map(lockfile.encode, records))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Entry(release, records, lines, future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._drain())
        # A caller that is cancelled must not take the others' records with it.
        await asyncio.shield(future)

    async def drained(self) -> None:
        """Return when nothing waits to be written."""
        while self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer])

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                if self._refusal is None:
                    await self._write(batch)
            except DiskError as error:
                self._refusal = error
            except Exception as bug:  # noqa: BLE001 (whoever waits would wait for ever; it is raised there)
                for entry in batch:
                    _refuse(entry.done, bug)
                continue
            if self._refusal is not None:
                self._lost += batch
            for entry in batch:
                if (broken := self.broken) is not None:
                    _refuse(entry.done, broken)
                elif not entry.done.done():
                    entry.done.set_result(None)

    async def _write(self, batch: Sequence[_Entry]) -> None:
        lines: dict[str, bytearray] = {}
        for entry in batch:
            lines.setdefault(entry.release, bytearray()).extend(entry.lines)
        if self._threads and len(batch) > 1:
            await asyncio.to_thread(self._append, lines)
        else:
            self._append(lines)
        for entry in batch:
            for record in entry.records:
                self.history.absorb(record)

    def _append(self, lines: Mapping[str, bytearray]) -> None:
        refused: DiskError | None = None
        for release, data in lines.items():
            pair = self._files[release]
            # The ledger is the second place: it is written even where the lockfile could not be.
            for file in (pair.lockfile, pair.ledger):
                try:
                    file.append(bytes(data))
                except DiskError as error:
                    refused = refused or error
        if refused is not None:
            raise refused

    def close(self) -> None:
        """Close the files."""
        for pair in self._files.values():
            pair.lockfile.close()
            pair.ledger.close()


def _refuse(done: "asyncio.Future[None]", error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
        # The caller may be gone; the journal, or another caller, still tells of it.
        done.exception()


@dataclass(frozen=True, slots=True)
class Records:
    """Records that stand in some file, by their lines: each is read when it is looked at."""

    archive: Archive
    lines: "array[int]"

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.lines)

    def __iter__(self) -> Iterator[Record]:
        """Yield them. Raises :class:`DiskError`."""
        return map(self.archive.record, self.lines)

    def submissions(self) -> list[str]:
        """Return the submission of each, "" where it is about none; no file is read for it."""
        return list(map(self.archive.owner, self.lines))


@dataclass(frozen=True, slots=True)
class Known:
    """What all record files of a project say together, and where they differ, by release.

    ``unlocked`` are records that only a ledger knows (bought on another branch, perhaps), ``unledgered`` those that
    only a lockfile knows (bought on another machine, perhaps). Refusals are left out of the first: compaction lets
    the lockfile forget them.
    """

    history: History
    unlocked: Mapping[str, Records] = field(default_factory=dict)
    unledgered: Mapping[str, Records] = field(default_factory=dict)


def replay(project: Project, manifests: Mapping[str, str] | None = None) -> Known:
    """Return what every record file of the project says. Read-only.

    ``manifests`` (path -> release) are those of the batch: their lockfiles are read whatever they look like. Raises
    :class:`DiskError` for a damaged file.
    """
    own = {project.lockfile(path): release for path, release in (manifests or {}).items()}
    archive = Archive()
    locked: dict[str, Source] = {}
    ledgered: dict[str, Source] = {}
    for path in dict.fromkeys([*own, *lockfile.lockfiles(project)]):
        source = archive.read(path, file=project.relative(path), witness=Witness.LOCKFILE)
        if source is not None and path in own:
            locked[own[path]] = source
    for path in lockfile.ledgers(project):
        source = archive.read(path, file=project.relative(path), witness=Witness.LEDGER)
        if source is not None:
            ledgered[path.stem] = source
    history = History(archive)
    unlocked = {release: archive.lacking(Witness.LOCKFILE, [source]) for release, source in ledgered.items()}
    unledgered = {release: archive.lacking(Witness.LEDGER, [source]) for release, source in locked.items()}
    if any(unlocked.values()):
        refused = {row.id for row in history.rows() if row.state is State.REFUSED}
        unlocked = {
            release: array("I", (line for line in lines if archive.owner(line) not in refused))
            for release, lines in unlocked.items()
        }
    return Known(history, _records(archive, unlocked), _records(archive, unledgered))


def _records(archive: Archive, lines: "Mapping[str, array[int]]") -> dict[str, Records]:
    return {release: Records(archive, found) for release, found in lines.items() if found}


def homes(unlocked: Mapping[str, Records], releases: Collection[str], used: Mapping[str, str]) -> dict[str, Records]:
    """Return which records of ledgers go into the lockfile of which release.

    A record belongs to its own release; where that has no manifest in the batch (it was renamed), to the release of
    a job that ``used`` (submission -> release) its submission.
    """
    found: dict[str, Records] = {}
    for release, records in unlocked.items():
        for line, submission in zip(records.lines, records.submissions(), strict=True):
            home = release if release in releases else used.get(submission)
            if home is not None:
                found.setdefault(home, Records(records.archive, array("I"))).lines.append(line)
    return found
