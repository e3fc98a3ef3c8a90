"""The join: whatever order, however often, the same is known."""

import copy
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renderer.state.history import History, Record, join
from renderer.state.lifecycle import State

FP = "f" * 64


def intended(at: str = "2026-01-01T00:00:00.000Z", **more: Any) -> dict[str, Any]:
    base = {"job": "r/a", "provider": "p", "operation": "o", "fingerprint": FP, "declared": "d", "pack": 1}
    return {**base, "at": at, "origin": "https://p", **more}


def history(*records: Record) -> History:
    known = History()
    for record in records:
        known.absorb(record)
    return known


def current(known: History, fingerprint: str = FP) -> str | None:
    best = known.best(known.of_fingerprint(fingerprint))
    return best.id if best else None


facts = st.fixed_dictionaries(
    {},
    optional={
        "intended": st.sampled_from([intended(), intended("2026-01-02T00:00:00.000Z"), intended(over="b")]),
        "refused": st.sampled_from([{"class": "busy"}, {"class": "input", "code": "11"}]),
        "accepted": st.sampled_from([{"task": "1"}, {"task": "2"}]),
        "failed": st.just({"code": "x"}),
        "rendered": st.just({"produced": {}}),
        "saved": st.sampled_from([{"sha256": "1" * 64}, {"sha256": "2" * 64}]),
        "closed": st.sampled_from([{"state": "doubtful"}, {"state": "accepted"}]),
        "note": st.builds(lambda n, m: {"n": n, "message": m}, st.integers(1, 4), st.text(max_size=3)),
    },
)
records = st.one_of(
    st.builds(lambda id_, known: {"submission": id_, **known}, st.sampled_from("abcd"), facts),
    st.builds(
        lambda f, at: {"upload": {"provider": "p", "origin": "o", "sha256": "s", "file_id": f, "at": at}},
        st.sampled_from("xy"),
        st.sampled_from(["2026-01-01", "2026-01-02"]),
    ),
    st.builds(lambda s: {"approved": {"fingerprint": FP, "submission": s, "at": "t"}}, st.sampled_from("abcd")),
)


@given(st.lists(records, max_size=12), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(found: list[Record], chance: random.Random) -> None:
    """Any order of the same records, each any number of times, is the same history."""
    shuffled = [copy.deepcopy(record) for record in found for _ in range(chance.randint(1, 3))]
    chance.shuffle(shuffled)
    one, other = history(*found), history(*shuffled)
    assert list(one.records()) == sorted_like(one, other)
    assert {id_: s.state for id_, s in one.submissions.items()} == {
        id_: s.state for id_, s in other.submissions.items()
    }
    assert current(one) == current(other)


def sorted_like(one: History, other: History) -> list[Record]:
    """The other's records in the order of the first: uploads and approvals have no order of their own."""
    theirs = list(other.records())
    mine = list(one.records())
    assert len(theirs) == len(mine)
    return [next(record for record in theirs if record == wanted) for wanted in mine]


@given(facts, facts, facts)
def test_the_join_is_a_join(a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]) -> None:
    """It is commutative, associative and idempotent."""
    assert join(a, b) == join(b, a)
    assert join(a, join(b, c)) == join(join(a, b), c)
    assert join(a, a) == a


def test_the_larger_text_of_two_versions_counts_and_the_later_note() -> None:
    """Two versions of one fact resolve to the bytewise larger RFC 8785 text; of two notes the higher ``n`` counts."""
    known = history(
        {"submission": "a", "accepted": {"task": "1"}, "note": {"n": 2, "message": "a"}},
        {"submission": "a", "accepted": {"task": "2"}, "note": {"n": 1, "message": "z"}},
    )
    assert known.submissions["a"].task == "2"
    assert known.submissions["a"].facts["note"]["message"] == "a"


def test_a_refusal_never_hides_a_doubt() -> None:
    """Between two submissions of one fingerprint the doubtful one counts, so that nothing is sent again."""
    known = history(
        {"submission": "a", "intended": intended("2026-01-02T00:00:00.000Z")},
        {"submission": "b", "intended": intended(), "refused": {"class": "busy"}},
    )
    assert current(known) == "a"


@pytest.mark.parametrize(
    ("facts_of_b", "counts"),
    [({}, "b"), ({"accepted": {"task": "2"}}, "b"), ({"failed": {}}, "a"), ({"refused": {}}, "a")],
)
def test_over_replaces_as_long_as_the_successor_lives(facts_of_b: dict[str, Any], counts: str) -> None:
    """B over A counts, even when A has its video, until B comes to nothing."""
    known = history(
        {"submission": "a", "intended": intended(), "accepted": {"task": "1"}, "saved": {"sha256": "1"}},
        {"submission": "b", "intended": intended(over="a"), **facts_of_b},
    )
    assert current(known) == counts


def test_over_of_over_counts_through_a_failure() -> None:
    """A was replaced by B, B failed and was replaced by C: C counts."""
    known = history(
        {"submission": "a", "intended": intended(), "saved": {"sha256": "1"}},
        {"submission": "b", "intended": intended(over="a"), "failed": {}},
        {"submission": "c", "intended": intended(over="b"), "accepted": {"task": "3"}},
    )
    assert current(known) == "c"


def test_an_approved_submission_meets_another_fingerprint() -> None:
    """A person's word lets a saved video count for a changed request."""
    known = history(
        {"submission": "a", "intended": intended(), "saved": {"sha256": "1"}},
        {"approved": {"fingerprint": "e" * 64, "submission": "a", "at": "t"}},
    )
    assert current(known, "e" * 64) == "a"


def test_records_reproduce_the_history() -> None:
    """What compaction writes is what was known, sorted by job, one line a submission."""
    known = history(
        {"submission": "b", "intended": intended(job="r/b")},
        {"submission": "a", "intended": intended(job="r/c")},
        {"submission": "b", "accepted": {"task": "1"}},
    )
    written = list(known.records())
    assert [record["submission"] for record in written] == ["b", "a"]
    assert history(*written).submissions == known.submissions
    assert known.submissions["b"].state is State.ACCEPTED
