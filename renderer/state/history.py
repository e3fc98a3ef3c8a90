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

This module is pure. It does not know files, providers, nor what time it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from renderer.canonical import canonical
from renderer.state.lifecycle import Fact, State, state_of

Record: TypeAlias = dict[str, Any]

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


@dataclass(slots=True)
class History:
    """Everything that is known. It grows by :meth:`absorb` and is asked by the rest."""

    submissions: dict[str, Submission] = field(default_factory=dict)
    uploads: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    approvals: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)
    _by_fingerprint: dict[str, set[str]] = field(default_factory=dict)
    _by_declared: dict[str, set[str]] = field(default_factory=dict)
    _over: dict[str, set[str]] = field(default_factory=dict)

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
            facts = {name: fact for name, fact in record.items() if name not in ("submission", "crc")}
            submission = Submission(id_, join(known.facts, facts) if known else facts)
            self.submissions[id_] = submission
            intended = submission.intended
            if intended:
                self._by_fingerprint.setdefault(submission.fingerprint, set()).add(id_)
                self._by_declared.setdefault(str(intended.get("declared", "")), set()).add(id_)
                if over := intended.get("over"):
                    self._over.setdefault(str(over), set()).add(id_)

    def of_fingerprint(self, fingerprint: str) -> list[Submission]:
        """Return every submission that meets a fingerprint: its own, and those that a person approved for it."""
        own = [self.submissions[id_] for id_ in self._by_fingerprint.get(fingerprint, ())]
        approved = [self.submissions[id_] for id_ in self.approvals.get(fingerprint, ()) if id_ in self.submissions]
        # The indexes only grow: an entry may stem from a version of a fact that another has since outranked.
        return [s for s in own if s.fingerprint == fingerprint] + approved

    def of_declared(self, declared: str) -> list[Submission]:
        """Return every submission of an equal declaration, whatever pack made its request."""
        found = [self.submissions[id_] for id_ in self._by_declared.get(declared, ())]
        return [s for s in found if s.intended.get("declared") == declared]

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
            for id_ in self._over.get(waiting.pop(), set()) - seen:
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
        return {
            s.task
            for s in self.submissions.values()
            if s.task is not None and s.provider == provider and s.origin == origin
        }

    def records(self) -> Iterator[Record]:
        """Yield what is known as records: each submission once with all its facts, sorted by job."""
        for approvals in self.approvals.values():
            for approved in approvals.values():
                yield {"approved": dict(approved)}
        for files in self.uploads.values():
            for upload in files.values():
                yield {"upload": dict(upload)}
        for submission in sorted(self.submissions.values(), key=lambda s: (s.job, s.at, s.id)):
            yield {"submission": submission.id, **submission.facts}


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
