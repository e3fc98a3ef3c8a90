"""Facts -> submissions -> what is known of a job: the join and its order.

Records come from lockfiles and ledgers, in any order and any number of times. A record is one of

``{"submission": id, "intended": {...}, "accepted": {...}, ...}``  facts about one submission, any subset of them
``{"upload": {"sha256", "provider", "origin", "file_id", "at"}}``   a file that a provider has received
``{"approved": {"fingerprint", "submission", "at"}}``               that submission meets that fingerprint

The join: a submission is the union of its facts; two versions of one fact resolve to the bytewise larger RFC 8785
text, of two notes the higher counter ``n`` first. So the result depends neither on the order of records nor on how
often one stands there. Between the submissions of one fingerprint the better state counts (``ORDER``), then the
smallest ``at``, then the smallest id; a refusal must never hide a doubt. B ``over`` A replaces A as long as B is
neither failed, refused nor closed.

What files said is in an :class:`~renderer.state.archive.Archive`, light; a submission of it is joined when somebody
asks for it. What a run adds is joined at once and kept. This module does not know providers, nor what time it is; of
files only that an archive may have to read one.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any, NamedTuple

from renderer.canonical import canonical
from renderer.state.archive import Archive
from renderer.state.lifecycle import Fact, State, state_of
from renderer.state.lines import Record

__all__ = ["ORDER", "History", "Record", "Row", "SavedHashes", "Submission", "join"]

# Best first.
ORDER: tuple[State, ...] = (
    State.SAVED,
    State.RENDERED,
    State.ACCEPTED,
    State.DOUBTFUL,
    State.FAILED,
    State.CLOSED,
    State.REFUSED,
)
_OVERRULED = frozenset({State.FAILED, State.REFUSED, State.CLOSED})


@dataclass(frozen=True, slots=True)
class Submission:
    """One send of one buying request, as far as it is known."""

    id: str
    facts: Mapping[str, Mapping[str, Any]]

    @property
    def state(self) -> State | None:
        """The derived state; None where only notes are known."""
        return state_of(self.facts)

    def fact(self, fact: Fact) -> Mapping[str, Any]:
        """Return a fact's content, or an empty mapping where it is not known."""
        return self.facts.get(fact, {})

    @property
    def intended(self) -> Mapping[str, Any]:
        """What was meant to be bought: job, provider, operation, fingerprint, declared, pack, at, origin, ..."""
        return self.facts.get(Fact.INTENDED, {})

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the request that was sent, or "" where it is not known."""
        return str(self.intended.get("fingerprint", ""))

    @property
    def job(self) -> str:
        """``release/id`` of the job it was bought for."""
        return str(self.intended.get("job", ""))

    @property
    def provider(self) -> str:
        """The provider it was sent to."""
        return str(self.intended.get("provider", ""))

    @property
    def origin(self) -> str:
        """Where it was bought: scheme, host and port, or the word ``sandbox``."""
        return str(self.intended.get("origin", ""))

    @property
    def at(self) -> str:
        """When it was intended, RFC 3339 in UTC."""
        return str(self.intended.get("at", ""))

    @property
    def task(self) -> str | None:
        """The provider's id for it, where it was accepted."""
        task = self.fact(Fact.ACCEPTED).get("task")
        return None if task is None else str(task)

    @property
    def produced(self) -> Mapping[str, str]:
        """The values that it produced, links without their query."""
        produced: Mapping[str, str] = self.fact(Fact.RENDERED).get("produced", {})
        return produced

    @property
    def sha256(self) -> str | None:
        """The hash of the saved file; None where nothing, or a value without a file, was saved."""
        found = self.fact(Fact.SAVED).get("sha256")
        return None if found is None else str(found)

    @property
    def worth(self) -> tuple[int, str, str]:
        """The order between the submissions of one fingerprint; the smallest counts."""
        state = self.state
        return (len(ORDER) if state is None else ORDER.index(state), self.at, self.id)


class Row(NamedTuple):
    """A submission as far as it is known without reading its facts: what a look at all of them needs."""

    id: str
    job: str
    provider: str
    origin: str
    state: State | None


class _Submissions(Mapping[str, Submission]):
    """Submissions by their ids: those that a run has touched, and those of the archive, joined at each look."""

    def __init__(self, archive: Archive, touched: Mapping[str, Submission]) -> None:
        self._archive = archive
        self._touched = touched

    def __getitem__(self, id_: str) -> Submission:
        if (found := self._touched.get(id_)) is not None:
            return found
        if id_ not in self._archive:
            raise KeyError(id_)
        facts: dict[str, Mapping[str, Any]] = {}
        for record in self._archive.records(id_):
            facts = join(facts, _facts(record))
        return Submission(id_, facts)

    def __contains__(self, id_: object) -> bool:
        return id_ in self._touched or id_ in self._archive

    def __iter__(self) -> Iterator[str]:
        return chain(self._archive, (id_ for id_ in self._touched if id_ not in self._archive))

    def __len__(self) -> int:
        return len(self._archive) + sum(id_ not in self._archive for id_ in self._touched)


class History:
    """Everything that is known. It grows by :meth:`absorb` and is asked by the rest."""

    def __init__(self, archive: Archive | None = None) -> None:
        """Begin with what files said; without them, with nothing."""
        self._archive = Archive() if archive is None else archive
        self._touched: dict[str, Submission] = {}
        self.submissions: Mapping[str, Submission] = _Submissions(self._archive, self._touched)
        self.uploads: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = {}
        self.approvals: dict[str, dict[str, Mapping[str, Any]]] = {}
        # Of what was touched; the archive has indexes of its own.
        self._by_fingerprint: dict[str, set[str]] = {}
        self._by_declared: dict[str, set[str]] = {}
        self._over: dict[str, set[str]] = {}
        for record in self._archive.others:
            self.absorb(record)

    def absorb(self, record: Record) -> None:
        """Join one record into what is known. Absorbing it again changes nothing."""
        if (upload := record.get("upload")) is not None:
            key = (upload["provider"], upload["origin"], upload["sha256"])
            files = self.uploads.setdefault(key, {})
            files[upload["file_id"]] = _larger(files.get(upload["file_id"]), upload)
        if (approved := record.get("approved")) is not None:
            meets = self.approvals.setdefault(approved["fingerprint"], {})
            meets[approved["submission"]] = _larger(meets.get(approved["submission"]), approved)
        if (id_ := record.get("submission")) is not None:
            known = self.submissions.get(id_)
            submission = Submission(id_, join(known.facts if known else {}, _facts(record)))
            self._touched[id_] = submission
            intended = submission.intended
            if intended:
                self._by_fingerprint.setdefault(submission.fingerprint, set()).add(id_)
                self._by_declared.setdefault(str(intended.get("declared", "")), set()).add(id_)
                if over := intended.get("over"):
                    self._over.setdefault(str(over), set()).add(id_)

    def rows(self) -> Iterator[Row]:
        """Yield every submission, light: facts are read from disk only where nothing else tells its state."""
        states: dict[tuple[frozenset[Fact], bool], State | None] = {}
        for found in self._archive.outlines():
            if found.names is None or found.id in self._touched:
                yield _row(self.submissions[found.id])
                continue
            key = (found.names, found.keyed)
            if key not in states:
                states[key] = state_of({name: {"keyed": found.keyed} for name in found.names})
            yield Row(found.id, found.job, found.provider, found.origin, states[key])
        for submission in self._touched.values():
            if submission.id not in self._archive:
                yield _row(submission)

    def of_fingerprint(self, fingerprint: str) -> list[Submission]:
        """Return every submission that meets a fingerprint: its own, and those that a person approved for it."""
        own = self._all({*self._by_fingerprint.get(fingerprint, ()), *self._archive.of_fingerprint(fingerprint)})
        approved = self._all(id_ for id_ in self.approvals.get(fingerprint, ()) if id_ in self.submissions)
        # The indexes only grow: an entry may stem from a version of a fact that another has since outranked.
        return [s for s in own if s.fingerprint == fingerprint] + approved

    def of_declared(self, declared: str) -> list[Submission]:
        """Return every submission of an equal declaration, whatever pack made its request."""
        found = self._all({*self._by_declared.get(declared, ()), *self._archive.of_declared(declared)})
        return [s for s in found if s.intended.get("declared") == declared]

    def _all(self, ids: Iterable[str]) -> list[Submission]:
        return [self.submissions[id_] for id_ in ids]

    def best(self, submissions: Iterable[Submission]) -> Submission | None:
        """Return the one of ``submissions`` that counts, or None where there are none.

        Submissions that a person's word has replaced stand back as long as their successor is neither failed,
        refused nor closed.
        """
        return min((s for s in submissions if not self.replaced(s)), key=lambda s: s.worth, default=None)

    def replaced(self, submission: Submission) -> bool:
        """Return whether a person's word has put another submission in the place of this one."""
        seen = {submission.id}
        waiting = [submission.id]
        while waiting:
            replaced = waiting.pop()
            successors = self._over.get(replaced, set()) | self._archive.over.get(replaced, set())
            for id_ in successors - seen:
                successor = self.submissions[id_]
                if successor.intended.get("over") not in seen:
                    continue
                if successor.state not in _OVERRULED:
                    return True
                # A successor that came to nothing may itself have been replaced by one that did not.
                seen.add(id_)
                waiting.append(id_)
        return False

    def upload(self, provider: str, origin: str, sha256: str) -> Mapping[str, Any] | None:
        """Return the latest upload of a file to a provider, or None where it never received it."""
        files = self.uploads.get((provider, origin, sha256), {}).values()
        return max(files, key=lambda upload: (str(upload["at"]), str(upload["file_id"])), default=None)

    def tasks(self, provider: str, origin: str) -> set[str]:
        """Return every task of a provider that some submission has claimed."""
        here = (self.submissions[row.id] for row in self.rows() if (row.provider, row.origin) == (provider, origin))
        return {s.task for s in here if s.task is not None}

    def records(self) -> Iterator[Record]:
        """Yield what is known as records: each submission once with all its facts, sorted by job."""
        for approvals in self.approvals.values():
            for approved in approvals.values():
                yield {"approved": dict(approved)}
        for files in self.uploads.values():
            for upload in files.values():
                yield {"upload": dict(upload)}
        for _, rows in groupby(sorted(self.rows(), key=lambda row: row.job), key=lambda row: row.job):
            # A job at a time: all submissions at once may be more than fits into memory.
            for submission in sorted(self._all(row.id for row in rows), key=lambda s: (s.at, s.id)):
                yield {"submission": submission.id, **submission.facts}


class SavedHashes(Container[str]):
    """The hashes of every file that was saved. All are read when one is first asked for, which is rare."""

    def __init__(self, history: History) -> None:
        """Take the history; nothing is read yet."""
        self._history = history
        self._found: frozenset[str | None] | None = None

    def __contains__(self, sha256: object) -> bool:
        if self._found is None:
            self._found = frozenset(s.sha256 for s in self._history.submissions.values())
        return sha256 is not None and sha256 in self._found


def _facts(record: Record) -> dict[str, Mapping[str, Any]]:
    return {name: fact for name, fact in record.items() if name not in ("submission", "crc")}


def _row(submission: Submission) -> Row:
    return Row(submission.id, submission.job, submission.provider, submission.origin, submission.state)


def join(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """Return the union of two sets of facts about one submission."""
    joined = dict(left)
    for name, fact in right.items():
        joined[name] = _larger(joined.get(name), fact)
    return joined


def _larger(left: Mapping[str, Any] | None, right: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the version of a fact that counts: the higher ``n`` of two notes, then the larger RFC 8785 text."""
    if left is None or left == right:
        return right
    return max(left, right, key=lambda fact: (fact.get("n", 0), canonical(fact)))
