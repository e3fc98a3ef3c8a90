"""What is known of one job: the submission that counts for it, the job's state, and why it is held.

A job's state is derived each time from facts and from three things that no record holds: whether a writer is alive,
which origin is configured, and which pack made the request. This module is pure; ``plan`` turns a standing into an
action, ``status`` shows it, the executor asks it what to do next.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from renderer.canonical import Json
from renderer.manifest.job import Job
from renderer.provider.outcome import ErrorClass
from renderer.provider.pack import Operation, Pack
from renderer.provider.request import OpenRequest
from renderer.state.history import History, Row, Submission
from renderer.state.lifecycle import Fact, State

SANDBOX_ORIGIN = "sandbox"
_RETRIED = frozenset({ErrorClass.UNSENT, ErrorClass.BUSY, ErrorClass.AUTH, ErrorClass.CREDITS})


class JobState(StrEnum):
    """The states of a job that users see (DESIGN 5)."""

    PLANNED = "planned"
    INTENDED = "intended"
    ACCEPTED = "accepted"
    RENDERED = "rendered"
    SAVED = "saved"
    HELD = "held"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A job with all that the provider floor says of it.

    ``request`` still has references and uploads in it. ``formerly`` is the fingerprint under the names that the
    manifest says were ``moved`` (the same where none was), ``was`` the key of the job that this one was then.
    ``origin`` is where it would be bought now (scheme, host and port, the word ``sandbox``, or None where no base URL
    is configured). ``output`` is relative to the root, None for a value and for a file asset that names none.
    ``price`` is what the manifest says one submit costs.
    """

    job: Job
    pack: Pack
    operation: Operation
    request: OpenRequest
    fingerprint: str
    declared: str
    formerly: str
    was: str = ""
    origin: str | None
    output: str | None
    price: Json = None

    @property
    def key(self) -> str:
        """``release/id``."""
        return self.job.key

    @property
    def needs(self) -> tuple[str, ...]:
        """The keys of the jobs that this one refers to, in order, each once."""
        return tuple(dict.fromkeys(f"{self.job.release}/{ref.job}" for _, ref in self.job.refs()))


@dataclass(frozen=True, slots=True)
class Held:
    """Why a job waits for a person, since when (RFC 3339), and what to do next."""

    why: str
    since: str
    next: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one job.

    ``older_pack`` is the revision that made the request where the pack has changed; ``renamed``: it was bought under a
    name that the manifest says was ``moved``.
    """

    state: JobState
    submission: Submission | None = None
    held: Held | None = None
    older_pack: int | None = None
    renamed: bool = False

    @property
    def error(self) -> dict[str, Any] | None:
        """The last refusal or failure: code, message and class; None where there is none."""
        if self.submission is None or self.state not in (JobState.PLANNED, JobState.REFUSED, JobState.FAILED):
            return None
        fact = self.submission.fact(Fact.FAILED if self.state is JobState.FAILED else Fact.REFUSED)
        return dict(fact) or None


def stand(wanted: Wanted, history: History, *, alive: bool) -> Standing:
    """Return what is known of a job. ``alive``: a writer is working, so that an open submission is no doubt yet."""
    found = _best(history, history.of_fingerprint(wanted.fingerprint), wanted)
    older_pack, renamed = None, False
    if not _binds(found):
        # A new pack may word the same declaration differently; what was bought for it still counts.
        others = (s for s in history.of_declared(wanted.declared) if s.intended.get("pack") != wanted.pack.revision)
        if _binds(older := _best(history, others, wanted)):
            found, older_pack = older, int(older.intended.get("pack", 0))
        elif wanted.formerly != wanted.fingerprint and _binds(
            former := _best(history, history.of_fingerprint(wanted.formerly), wanted)
        ):
            found, renamed = former, True
    if found is None:
        return Standing(JobState.PLANNED)
    held = why_held(found, wanted, alive=alive)
    state = JobState.HELD if held is not None else _state(found)
    return Standing(state, found, held, older_pack, renamed)


def _best(history: History, submissions: Iterable[Submission], wanted: Wanted) -> Submission | None:
    return history.best(s for s in submissions if counts(s, wanted.origin))


def _binds(found: Submission | None) -> TypeGuard[Submission]:
    """Whether a submission settles what becomes of a job: anything but a refusal and what a person has closed."""
    return found is not None and found.state not in (State.REFUSED, State.CLOSED)


def intent(wanted: Wanted, *, at: str, over: str = "") -> dict[str, Json]:
    """Return the fact that a job is about to be bought, ``over`` another submission where a person said so."""
    fact: dict[str, Json] = {
        "job": wanted.key,
        "kind": wanted.job.kind,
        "provider": wanted.job.provider,
        "operation": wanted.job.operation,
        "fingerprint": wanted.fingerprint,
        "declared": wanted.declared,
        "pack": wanted.pack.revision,
        "at": at,
        "origin": wanted.origin,
    }
    if over:
        fact["over"] = over
    return fact if wanted.price is None else {**fact, "price": wanted.price}


def _state(submission: Submission) -> JobState:
    match submission.state:
        case State.SAVED:
            return JobState.SAVED
        case State.RENDERED:
            return JobState.RENDERED
        case State.ACCEPTED:
            return JobState.ACCEPTED
        case State.DOUBTFUL:
            return JobState.INTENDED
        case State.FAILED | State.CLOSED:
            return JobState.FAILED
        case State.REFUSED if submission.fact(Fact.REFUSED).get("class") not in _RETRIED:
            return JobState.REFUSED
        case _:
            return JobState.PLANNED


def why_held(submission: Submission, wanted: Wanted, *, alive: bool) -> Held | None:
    """Return why a submission waits for a person, or None where it does not."""
    state = submission.state
    if state not in (State.DOUBTFUL, State.ACCEPTED, State.RENDERED):
        return None
    if state is State.DOUBTFUL and alive:
        return None
    if wanted.origin is not None and submission.origin != wanted.origin:
        return Held(
            f"it was bought at {submission.origin}, but {wanted.origin} is configured",
            submission.at,
            f"set the base URL of {wanted.job.provider} back to {submission.origin} to collect it",
        )
    note = submission.fact(Fact.NOTE)
    if state is State.DOUBTFUL:
        seen = note.get("message") or "it was sent and no answer came"
        again = "the next apply looks it up again" if wanted.operation.lookup else "look for it at the provider"
        return Held(
            f"whether it was bought is not known: {seen}",
            submission.at,
            f"{again}; renderer resolve says it was bought, or was not; it is never sent again by itself",
        )
    # Evidence that is stronger than a note ends it: what is rendered is downloaded, whoever was waited for before.
    if note.get("kind") in (("lost",) if state is State.RENDERED else ("person", "gone")):
        return Held(str(note.get("message", "")), str(note.get("at", "")), str(note.get("next", "")))
    return None


def counts(submission: Submission | Row, origin: str | None) -> bool:
    """Return whether a purchase may count at ``origin``: one from a loopback origin only at a loopback origin."""
    return not is_loopback(submission.origin) or (origin is not None and is_loopback(origin))


def is_loopback(origin: str) -> bool:
    """Return whether an origin is on this machine (or is the sandbox)."""
    if origin == SANDBOX_ORIGIN:
        return True
    host = urlsplit(origin).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
