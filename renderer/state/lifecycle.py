"""The lifecycle of one submission: facts, states, and what may follow.

The rules, in the order in which they are applied:

1. A submission is a set of facts. Its state is derived from them, never stored.
2. The strongest fact decides (``STRENGTH``): saved > rendered > failed > accepted > refused > intended. A submission
   of which only ``intended`` is known was sent, or was about to be: it is *doubtful*.
3. A ``keyed`` submission is never doubtful: its call is also its poll, so ``intended`` alone means *accepted*.
4. ``closed`` outranks the state that the person saw and every weaker one; evidence that is stronger than what they
   saw wins again.
5. Which fact may be written next depends on the state (``TABLE``). A fact that may not follow raises
   :class:`IllegalFact` and leaves everything as it was. Replay never raises: facts from a merge are only joined.

=========  ==================================================  ==========================================
state      facts that may follow                               what a run does next
=========  ==================================================  ==========================================
(none)     intended                                            submit
doubtful   refused accepted failed rendered saved closed note  hold (look it up where a lookup exists)
accepted   refused failed rendered saved closed note           poll
rendered   saved closed note                                   download
saved      saved closed                                        publish
failed     rendered saved closed note                          stop
refused    accepted rendered saved closed                      stop
closed     accepted failed rendered saved closed note          stop
=========  ==================================================  ==========================================

``saved`` after ``failed``, ``accepted`` after ``refused`` are late evidence: a provider that changed its mind. Only a
``keyed`` call is ``refused`` once it counts as accepted: it was made again. ``closed`` after ``saved`` hides a purchase
whose job is gone. This module is pure: it knows neither files nor clocks, nor what a provider is.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeAlias

Facts: TypeAlias = Mapping[str, Mapping[str, Any]]


class Fact(StrEnum):
    """The facts that a record can hold about one submission."""

    INTENDED = "intended"
    REFUSED = "refused"
    ACCEPTED = "accepted"
    FAILED = "failed"
    RENDERED = "rendered"
    SAVED = "saved"
    CLOSED = "closed"
    NOTE = "note"


class State(StrEnum):
    """The state of one submission."""

    DOUBTFUL = "doubtful"
    REFUSED = "refused"
    ACCEPTED = "accepted"
    FAILED = "failed"
    RENDERED = "rendered"
    SAVED = "saved"
    CLOSED = "closed"


class Step(StrEnum):
    """What a run does next with a submission."""

    SUBMIT = "submit"
    HOLD = "hold"
    POLL = "poll"
    DOWNLOAD = "download"
    PUBLISH = "publish"
    STOP = "stop"


class IllegalFact(ValueError):
    """A fact that may not follow the state that a submission is in."""


# Weakest first: the state that a submission is in when this is its strongest fact.
STRENGTH: tuple[tuple[Fact, State], ...] = (
    (Fact.INTENDED, State.DOUBTFUL),
    (Fact.REFUSED, State.REFUSED),
    (Fact.ACCEPTED, State.ACCEPTED),
    (Fact.FAILED, State.FAILED),
    (Fact.RENDERED, State.RENDERED),
    (Fact.SAVED, State.SAVED),
)

TABLE: Mapping[State | None, tuple[frozenset[Fact], Step]] = {
    None: (frozenset({Fact.INTENDED}), Step.SUBMIT),
    State.DOUBTFUL: (frozenset(Fact) - {Fact.INTENDED}, Step.HOLD),
    State.ACCEPTED: (frozenset(Fact) - {Fact.INTENDED, Fact.ACCEPTED}, Step.POLL),
    State.RENDERED: (frozenset({Fact.SAVED, Fact.CLOSED, Fact.NOTE}), Step.DOWNLOAD),
    State.SAVED: (frozenset({Fact.SAVED, Fact.CLOSED}), Step.PUBLISH),
    State.FAILED: (frozenset({Fact.RENDERED, Fact.SAVED, Fact.CLOSED, Fact.NOTE}), Step.STOP),
    State.REFUSED: (frozenset({Fact.ACCEPTED, Fact.RENDERED, Fact.SAVED, Fact.CLOSED}), Step.STOP),
    State.CLOSED: (
        frozenset({Fact.ACCEPTED, Fact.FAILED, Fact.RENDERED, Fact.SAVED, Fact.CLOSED, Fact.NOTE}),
        Step.STOP,
    ),
}

_RANK: Mapping[State, int] = {state: rank for rank, (_, state) in enumerate(STRENGTH)}


def state_of(facts: Facts) -> State | None:
    """Return the state that ``facts`` amount to, or None where nothing is known.

    A submission whose ``intended`` is missing (a record file that was cut or set aside) is judged by what is left.
    """
    strongest = None
    for fact, state in STRENGTH:
        if fact in facts:
            strongest = state
    if strongest is State.DOUBTFUL and facts[Fact.INTENDED].get("keyed"):
        strongest = State.ACCEPTED
    closed = facts.get(Fact.CLOSED)
    if closed is not None and (strongest is None or _RANK[strongest] <= _rank(closed.get("state"))):
        return State.CLOSED
    return strongest


def _rank(word: object) -> int:
    """Return the rank of the state that a person saw; a word of a later version outranks nothing."""
    try:
        return _RANK[State(str(word))]
    except (ValueError, KeyError):
        return -1


def next_step(facts: Facts) -> Step:
    """Return what a run does next with a submission of which ``facts`` are known."""
    return TABLE[state_of(facts)][1]


def check(facts: Facts, new: Facts) -> None:
    """Raise :class:`IllegalFact` where facts may not be written, one after the other, after those that are known."""
    known = dict(facts)
    for name, content in new.items():
        state = state_of(known)
        if name not in TABLE[state][0]:
            raise IllegalFact(f"{name} may not follow a submission that is {state or 'not intended'}")
        known[name] = content
