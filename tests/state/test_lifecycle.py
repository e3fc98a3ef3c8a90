"""The table of one submission, and that nothing illegal changes anything."""

import itertools
from typing import Any

import pytest

from renderer.state.lifecycle import STRENGTH, TABLE, Fact, IllegalFact, State, Step, check, next_step, state_of


def facts(*names: str, **more: Any) -> dict[str, dict[str, Any]]:
    return {**{name: {"at": "2026-01-01T00:00:00Z"} for name in names}, **more}


@pytest.mark.parametrize(
    ("known", "state"),
    [
        ((), None),
        (("note",), None),
        (("intended",), State.DOUBTFUL),
        (("intended", "refused"), State.REFUSED),
        (("intended", "accepted"), State.ACCEPTED),
        (("intended", "refused", "accepted"), State.ACCEPTED),
        (("intended", "accepted", "failed"), State.FAILED),
        (("intended", "accepted", "failed", "rendered"), State.RENDERED),
        (("intended", "accepted", "rendered", "saved"), State.SAVED),
        (("intended", "failed", "saved"), State.SAVED),
        (("accepted",), State.ACCEPTED),
        (("saved",), State.SAVED),
    ],
)
def test_the_strongest_fact_decides(known: tuple[str, ...], state: State | None) -> None:
    """A submission's state is that of its strongest fact, whatever else is known."""
    assert state_of(facts(*known)) is state


def test_a_keyed_submission_is_never_doubtful() -> None:
    """Its call is also its poll, so that it was intended means that it may be asked for."""
    keyed = {"intended": {"keyed": True}}
    assert state_of(keyed) is State.ACCEPTED
    assert next_step(keyed) is Step.POLL
    assert state_of({**keyed, "refused": {}}) is State.REFUSED


@pytest.mark.parametrize("seen", [state for _, state in STRENGTH])
def test_closed_outranks_what_was_seen_and_nothing_better(seen: State) -> None:
    """A person's word covers the state they saw and weaker ones; stronger evidence wins again."""
    order = [state for _, state in STRENGTH]
    for count in range(1, len(STRENGTH) + 1):
        names = [fact for fact, _ in STRENGTH[:count]]
        known = facts(*names, closed={"state": seen.value})
        expected = State.CLOSED if order.index(order[count - 1]) <= order.index(seen) else order[count - 1]
        assert state_of(known) is expected


def test_a_word_of_a_later_version_closes_nothing() -> None:
    """An unknown state in ``closed`` outranks nothing, so it can hide no purchase."""
    assert state_of(facts("intended", "accepted", closed={"state": "levitating"})) is State.ACCEPTED


@pytest.mark.parametrize(("state", "fact"), list(itertools.product([None, *State], Fact)))
def test_only_what_the_table_allows_may_follow(state: State | None, fact: Fact) -> None:
    """An illegal fact raises and leaves the facts as they were; a legal one does not raise."""
    known: dict[str, dict[str, Any]] = {}
    if state is State.CLOSED:
        known = facts("intended", closed={"state": "doubtful"})
    elif state is not None:
        known = facts(next(name for name, derived in STRENGTH if derived is state))
    before = repr(known)
    assert state_of(known) is state
    if fact in TABLE[state][0]:
        check(known, {fact: {}})
    else:
        with pytest.raises(IllegalFact):
            check(known, {fact: {}})
    assert repr(known) == before


def test_every_state_has_a_row_and_a_way_out() -> None:
    """The table is complete, and no state but saved is a dead end."""
    assert set(TABLE) == {None, *State}
    assert all(TABLE[state][0] for state in TABLE)
