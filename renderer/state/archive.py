"""What record files said when they were read: light columns in memory, the facts themselves left on disk.

A project of a million records is replayed at each start, and a plan asks for the few submissions that its jobs name.
So replay holds every line against its checksum, but keeps of a submission only what finds it and tells its state:

- a submission is a number, in the order in which the files first name it; ``_numbers`` knows it by its id,
- columns say of that number which facts it has (by which kind of file), its job, provider and origin, and hashes of
  its fingerprint and of what it declared; the indexes over these are sorted when they are first asked,
- a line is a number too: of which submission it is, where it stands, which facts it has, and the submission's line
  before it. From the last line back, all facts of one submission are read when somebody asks for them.

Where the columns might not tell the truth (two lines tell different versions of what was intended, or a person has
closed it), a submission has no state in outline and is judged by its facts. What an index answers is judged by the
facts too, by whoever asked: a hash only narrows the search.

Files stay open, so that a line is read from the file that was replayed, even when another one takes its name; a line
that does not fit its checksum any more is refused. Nothing here changes after replay.

Considered and left out: keeping every record (1.5 GB for a million), every submission as an object with all strings of
its outline (the hashes alone take more than all columns of numbers), a mapped file (its pages count as memory, and a
file that shrinks ends the process), an index on disk (one more thing that can be wrong).
"""

import os
import weakref
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeAlias

from renderer.errors import DiskError
from renderer.state import lockfile
from renderer.state.lifecycle import Fact
from renderer.state.lines import Chunk, Intended, Record, chunks, decode_line

_NONE = 0xFFFFFFFF
_INTENDED, _REFUSED, _ACCEPTED, _FAILED, _RENDERED, _SAVED, _CLOSED, _NOTE, _MORE = (1 << bit for bit in range(9))
_FACTS = {
    Fact.INTENDED: _INTENDED,
    Fact.REFUSED: _REFUSED,
    Fact.ACCEPTED: _ACCEPTED,
    Fact.FAILED: _FAILED,
    Fact.RENDERED: _RENDERED,
    Fact.SAVED: _SAVED,
    Fact.CLOSED: _CLOSED,
    Fact.NOTE: _NOTE,
}
_UNTOLD = Intended()
# Provider, origin, and whether the operation is keyed.
_Place: TypeAlias = tuple[str, str, bool]
# Of a smaller file the bytes are kept, so that a project of many does not run out of open files.
_SMALL = 1 << 16


class Witness(IntEnum):
    """The kinds of record files; what each of them knows is told apart."""

    LOCKFILE = 0
    LEDGER = 1


class Outline(NamedTuple):
    """What is known of a submission without reading its facts. ``names`` are those of its facts; None where only the
    facts themselves tell its state.
    """

    id: str
    job: str
    provider: str
    origin: str
    keyed: bool
    names: frozenset[Fact] | None


@dataclass(frozen=True, slots=True)
class Source:
    """A file that was read: its lines from ``first`` up to ``last``, whole up to byte ``end``.

    A small file is kept in ``data``; of a large one ``handle`` stays open.
    """

    file: str
    witness: Witness
    first: int
    last: int
    end: int
    data: bytes
    handle: int


class Archive:
    """All submissions of some record files."""

    def __init__(self) -> None:
        """Begin with nothing."""
        # Uploads and approvals, whole: they are few.
        self.others: list[Record] = []
        # Which submissions say that they replace another one.
        self.over: dict[str, set[str]] = {}
        self._sources: list[Source] = []
        # By submission.
        self._numbers: dict[str, int] = {}
        self._ids: list[str] = []
        self._jobs: list[str] = []
        self._places: list[_Place] = []
        self._known = (array("H"), array("H"))
        self._fingerprints = _Index()
        self._declared = _Index()
        self._latest = array("I")
        self._contested: set[int] = set()
        # By line.
        self._owners = array("I")
        self._offsets = array("Q")
        self._told = array("H")
        self._before = array("I")
        # The lines of uploads and approvals.
        self._loose: list[int] = []
        self._kept_places: dict[_Place, _Place] = {}

    def read(self, path: Path, *, file: str, witness: Witness) -> Source | None:
        """Take in a record file; None where there is none. ``file`` is its name for messages.

        Raises :class:`DiskError` where it cannot be read, is damaged, is of a newer version, or is no record file.
        """
        stream = lockfile.open_records(path, file=file)
        if stream is None:
            return None
        with stream:
            first, end = len(self._owners), 0
            for chunk in chunks(stream, file=file):
                self._take(chunk, witness)
                end = chunk.end
            data, handle = b"", -1
            if end <= _SMALL:
                stream.seek(0)
                data = stream.read(end)
            else:
                handle = os.dup(stream.fileno())
                weakref.finalize(self, os.close, handle)
        source = Source(file, witness, first, len(self._owners), end, data, handle)
        self._sources.append(source)
        self.others += [self.record(line) for line in self._loose if line >= first]
        return source

    def _take(self, chunk: Chunk, witness: Witness) -> None:
        """Take in some lines. The loop runs once for each: what it leaves out is what makes replay fast."""
        numbers, latest, known = self._numbers, self._latest, self._known[witness]
        # Lists take single numbers faster than arrays do.
        owners: list[int] = []
        told: list[int] = []
        before: list[int] = []
        for line, sketch in enumerate(chunk.sketches, len(self._owners)):
            names = 0
            if sketch.intended is not None:
                names = _INTENDED
            if sketch.refused is not None:
                names |= _REFUSED
            if sketch.accepted is not None:
                names |= _ACCEPTED
            if sketch.failed is not None:
                names |= _FAILED
            if sketch.rendered is not None:
                names |= _RENDERED
            if sketch.saved is not None:
                names |= _SAVED
            if sketch.closed is not None:
                names |= _CLOSED
            if sketch.note is not None:
                names |= _NOTE
            if sketch.more:
                names |= _MORE
            told.append(names)
            if sketch.submission is None:
                owners.append(_NONE)
                before.append(_NONE)
                self._loose.append(line)
                continue
            number = numbers.get(sketch.submission)
            if number is None:
                number = self._begin(sketch.submission, sketch.intended or _UNTOLD)
            elif sketch.intended is not None:
                self._again(number, sketch.intended)
            owners.append(number)
            before.append(latest[number])
            latest[number] = line
            known[number] |= names
        self._owners.fromlist(owners)
        self._told.fromlist(told)
        self._before.fromlist(before)
        self._offsets.extend(chunk.offsets)

    def _begin(self, id_: str, intended: Intended) -> int:
        """Give a submission its number, and its place in each column."""
        number = self._numbers[id_] = len(self._ids)
        self._ids.append(id_)
        self._jobs.append(intended.job)
        self._places.append(self._place(intended))
        self._fingerprints.keys.append(hash(intended.fingerprint))
        self._declared.keys.append(hash(intended.declared))
        self._latest.append(_NONE)
        self._known[Witness.LOCKFILE].append(0)
        self._known[Witness.LEDGER].append(0)
        if intended.over:
            self.over.setdefault(intended.over, set()).add(id_)
        return number

    def _again(self, number: int, intended: Intended) -> None:
        """Hold what a line intends against the columns: a copy, the first to say it, or another version."""
        place = self._place(intended)
        keys = hash(intended.fingerprint), hash(intended.declared)
        mine = self._fingerprints.keys[number], self._declared.keys[number]
        if (self._jobs[number], self._places[number], mine) == (intended.job, place, keys):
            pass
        elif any(known[number] & _INTENDED for known in self._known):
            self._contested.add(number)
        else:
            self._jobs[number], self._places[number] = intended.job, place
            self._fingerprints.keys[number], self._declared.keys[number] = keys
        if intended.over:
            self.over.setdefault(intended.over, set()).add(self._ids[number])

    def _place(self, intended: Intended) -> _Place:
        """Return where something was bought: of these there are few, so that each is kept once."""
        # What has no origin was made by a provider that has no address.
        place = (intended.provider, str(intended.origin), intended.keyed)
        return self._kept_places.setdefault(place, place)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def of_fingerprint(self, fingerprint: str) -> Iterator[str]:
        """Yield the submissions that may have been bought for a fingerprint, by their ids; some may not."""
        return self._candidates(self._fingerprints, fingerprint)

    def of_declared(self, declared: str) -> Iterator[str]:
        """Yield the submissions that may have been declared so, by their ids; some may not."""
        return self._candidates(self._declared, declared)

    def _candidates(self, index: "_Index", key: str) -> Iterator[str]:
        return (self._ids[number] for number in {*index.find(hash(key)), *self._contested})

    def outlines(self) -> Iterator[Outline]:
        """Yield every submission in outline; no file is read for it."""
        names_of: dict[int, frozenset[Fact]] = {}
        columns = zip(self._ids, self._jobs, self._places, *self._known, strict=True)
        for number, (id_, job, place, one, other) in enumerate(columns):
            told = one | other
            names = None
            if not told & _CLOSED and number not in self._contested:
                names = names_of.get(told)
                if names is None:
                    names = names_of[told] = frozenset(fact for fact, bit in _FACTS.items() if told & bit)
            yield Outline(id_, job, *place, names)

    def records(self, id_: str) -> list[Record]:
        """Return every record of a submission, in the order in which they stand. Raises :class:`DiskError`."""
        lines = []
        line = self._latest[self._numbers[id_]]
        while line != _NONE:
            lines.append(line)
            line = self._before[line]
        return [self.record(line) for line in reversed(lines)]

    def record(self, line: int) -> Record:
        """Return the record of a line. Raises :class:`DiskError` where its file was written over since."""
        source = self._sources[bisect_right(self._sources, line, key=lambda source: source.last)]
        start = self._offsets[line]
        end = self._offsets[line + 1] if line + 1 < source.last else source.end
        if source.data:
            data = source.data[start:end]
        else:
            try:
                data = os.pread(source.handle, end - start, start)
            except OSError as error:
                raise DiskError(f"{source.file} cannot be read: {error.strerror}", hint="check the disk") from None
        record = decode_line(data.split(b"\n", 1)[0].rstrip(b"\r"))
        if record is None:
            raise DiskError(f"{source.file} was changed while it was in use", hint="run the same command again")
        return record

    def owner(self, line: int) -> str:
        """Return the submission of a line, "" for an upload or an approval."""
        owner = self._owners[line]
        return "" if owner == _NONE else self._ids[owner]

    def lacking(self, witness: Witness, sources: Iterable[Source]) -> "array[int]":
        """Return the lines of ``sources`` with a fact, by its name, that no file of a kind has."""
        found = array("I")
        known = self._known[witness]
        if not self.others and self._known[0] == self._known[1]:
            return found
        others = {
            _identity(self.record(line))
            for source in self._sources
            if source.witness is witness
            for line in self._loose
            if source.first <= line < source.last
        }
        for line in chain.from_iterable(range(source.first, source.last) for source in sources):
            owner = self._owners[line]
            if owner == _NONE:
                if _identity(self.record(line)) not in others:
                    found.append(line)
            elif self._told[line] & ~known[owner]:
                found.append(line)
        return found


def _identity(record: Record) -> tuple[str, ...]:
    """Return what makes an upload or an approval the same one."""
    if (upload := record.get("upload")) is not None:
        return ("upload", upload["provider"], upload["origin"], upload["sha256"], upload["file_id"])
    approved = record.get("approved", {})
    return ("approved", approved.get("fingerprint", ""), approved.get("submission", ""))


class _Index:
    """Which submissions have a key: a number each, sorted when it is first asked. A dictionary takes several times
    the memory.
    """

    def __init__(self) -> None:
        self.keys = array("q")
        self._sorted = array("q")
        self._order = array("I")

    def find(self, key: int) -> Sequence[int]:
        """Return the submissions whose key this is."""
        if len(self._order) != len(self.keys):
            self._order = array("I", sorted(range(len(self.keys)), key=self.keys.__getitem__))
            self._sorted = array("q", map(self.keys.__getitem__, self._order))
        return self._order[bisect_left(self._sorted, key) : bisect_right(self._sorted, key)]
