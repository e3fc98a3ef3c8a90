"""Compaction: fewer lines, the same knowledge."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from renderer.run.compact import compact, kept
from renderer.state import lockfile
from renderer.state.history import History, Record
from renderer.state.lifecycle import State

# A busy machine is no news.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
PRINTS = ("f" * 64, "e" * 64)


def intended(fingerprint: str, at: int, over: str = "") -> dict[str, Any]:
    fact = {"job": f"r/{fingerprint[0]}", "provider": "p", "operation": "o", "fingerprint": fingerprint}
    fact |= {"declared": fingerprint, "pack": 1, "at": f"2026-01-01T00:00:{at:02}.000Z", "origin": "https://p:443"}
    return {**fact, "over": over} if over else fact


def history(*records: Record) -> History:
    known = History()
    for record in records:
        known.absorb(record)
    return known


def through_text(records: list[Record]) -> list[Record]:
    """Return records as a file gives them back."""
    return list(lockfile.decode(b"".join(map(lockfile.encode, records)), file="x").records)


ends = st.fixed_dictionaries(
    {},
    optional={
        "refused": st.sampled_from([{"class": "busy"}, {"class": "input", "code": "11"}]),
        "accepted": st.just({"task": "1", "at": "t"}),
        "failed": st.just({"code": "x"}),
        "rendered": st.just({"produced": {}}),
        "saved": st.just({"sha256": "1" * 64}),
        "closed": st.sampled_from([{"state": "doubtful"}, {"state": "accepted"}, {"state": "refused"}]),
        "note": st.builds(lambda n: {"n": n, "message": "m", "kind": "gone"}, st.integers(1, 3)),
    },
)
submissions = st.builds(
    lambda id_, fingerprint, at, over, facts: {
        "submission": id_,
        "intended": intended(fingerprint, at, over if over != id_ else ""),
        **facts,
    },
    st.sampled_from("abcdef"),
    st.sampled_from(PRINTS),
    st.integers(0, 9),
    st.sampled_from(["", "", "a", "b", "c"]),
    ends,
)
others = st.one_of(
    st.builds(
        lambda name: {"upload": {"provider": "p", "origin": "o", "sha256": "s", "file_id": name, "at": "t"}},
        st.sampled_from("xy"),
    ),
    st.builds(
        lambda print_, id_: {"approved": {"fingerprint": print_, "submission": id_, "at": "t"}},
        st.sampled_from(PRINTS),
        st.sampled_from("abc"),
    ),
)


def view(known: History) -> list[tuple[str, State | None] | None]:
    """What counts for each fingerprint: all that anybody asks of a history."""
    best = [known.best(known.of_fingerprint(print_)) for print_ in PRINTS]
    return [None if s is None else (s.id, s.state) for s in best]


@UNHURRIED
@given(st.lists(st.one_of(submissions, others), max_size=10))
def test_it_changes_nothing_that_counts(records: list[Record]) -> None:
    """Of every fingerprint the same submission counts before and after, through the text of a file."""
    before = history(*records)
    after = history(*through_text(list(kept(before))))
    assert view(after) == view(before)
    for id_, submission in before.submissions.items():
        if submission.state is not State.REFUSED:
            assert after.submissions[id_].facts == submission.facts
    assert after.uploads == before.uploads
    assert after.approvals == before.approvals


@UNHURRIED
@given(st.lists(st.one_of(submissions, others), max_size=10), st.randoms(use_true_random=False))
def test_it_is_the_same_text_whatever_the_order(records: list[Record], chance: Any) -> None:
    """Two clones that merged in either order compact to the same bytes; compacting again changes nothing."""
    shuffled = list(records)
    chance.shuffle(shuffled)
    one, other = list(kept(history(*records))), list(kept(history(*shuffled)))
    assert sorted(map(lockfile.encode, one)) == sorted(map(lockfile.encode, _in_order_of(one, other)))
    again = list(kept(history(*through_text(one))))
    assert [lockfile.encode(record) for record in again] == [lockfile.encode(record) for record in one]


def _in_order_of(one: list[Record], other: list[Record]) -> list[Record]:
    """Return the other's records with the keys in the order of the first: facts have no order of their own."""
    assert len(one) == len(other)
    return [next(found for found in other if found == record) and record for record in one]


def test_only_superseded_refusals_go(tmp_path: Path) -> None:
    """Of a provider that was busy for an hour the last word stays, and so does everything that was paid."""
    path = tmp_path / "spring.lock"
    with lockfile.Appender(path, file="spring.lock") as file:
        for number in range(5):
            file.append(lockfile.encode({"submission": f"s{number}", "intended": intended(PRINTS[0], number)}))
            if number < 4:
                file.append(lockfile.encode({"submission": f"s{number}", "refused": {"class": "busy"}}))
        file.append(lockfile.encode({"submission": "t0", "intended": intended(PRINTS[1], 0)}))
        file.append(lockfile.encode({"submission": "t0", "refused": {"class": "input"}}))
    assert compact(path, file="spring.lock")
    found = lockfile.read(path, file="spring.lock").records
    assert [record["submission"] for record in found] == ["t0", "s4"]
    assert not compact(path, file="spring.lock")


@pytest.mark.parametrize("state", ["refused", "failed"])
def test_the_thread_of_replacements_is_kept(state: str) -> None:
    """A, replaced by B, which was refused and replaced by C: without B nobody would know that C replaces A."""
    records: list[Record] = [
        {"submission": "a", "intended": intended(PRINTS[0], 1), "saved": {"sha256": "1" * 64}},
        {"submission": "b", "intended": intended(PRINTS[0], 2, "a"), state: {"class": "busy"}},
        {"submission": "c", "intended": intended(PRINTS[0], 3, "b"), "accepted": {"task": "2"}},
    ]
    before = history(*records)
    assert view(before)[0] == ("c", State.ACCEPTED)
    assert view(history(*kept(before))) == view(before)
