"""``docs/never-twice.md`` tells what happens, at every point and at all between them."""

import pytest

from renderer.plan.standing import JobState
from tests.disk import matrix


def test_the_document_is_what_is_made() -> None:
    """It is refreshed by an explicit command."""
    made = matrix.document()
    assert matrix.DOCUMENT.read_text(encoding="utf-8") == made, f"refresh it: {matrix.COMMAND}"


@pytest.mark.parametrize("kind", matrix.KINDS)
def test_no_point_between_those_shown_leads_elsewhere(kind: str) -> None:
    """Dead at any effect: bought once at most, and an end that the table shows for the same record."""
    shown = {(row.record, row.ends) for row in matrix.rows(kind)}
    for crash_at, name in enumerate(matrix.effects(kind), 1):
        row = matrix.observe(kind, crash_at)
        assert row.sold <= 1, name
        assert row.ends in (JobState.SAVED, JobState.HELD), name
        assert (row.record, row.ends) in shown, (name, row)


def test_only_a_doubt_needs_a_person() -> None:
    """Held is what was intended and no more, of operations that cannot be asked for; nothing else."""
    for kind in matrix.KINDS:
        for row in matrix.rows(kind):
            assert row.ends is JobState.SAVED or row.record == "`intended`", row
            assert not row.again or kind == "keyed", row
