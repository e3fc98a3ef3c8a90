"""Compaction, at the end of a run: each submission in one line with all its facts, sorted by job.

Nothing that was paid ever goes. What may go is a refusal that a later submission of the same fingerprint has
superseded, so that a provider that was busy for an hour does not fill the lockfile for good.
"""

from collections.abc import Iterator
from pathlib import Path

from renderer.state import lockfile
from renderer.state.history import History, Record, Submission
from renderer.state.lifecycle import State


def compact(path: Path, *, file: str) -> bool:
    """Rewrite a record file with what it holds, whole or not at all; return whether it changed.

    Raises :class:`~renderer.errors.DiskError`.
    """
    history = History()
    for record in lockfile.read(path, file=file).records:
        history.absorb(record)
    return lockfile.rewrite(path, list(kept(history)), file=file)


def kept(history: History) -> Iterator[Record]:
    """Yield what a compacted file holds, in its order."""
    last: dict[str, Submission] = {}
    for submission in history.submissions.values():
        before = last.get(submission.fingerprint)
        if before is None or (submission.at, submission.id) > (before.at, before.id):
            last[submission.fingerprint] = submission
    for record in history.records():
        found = history.submissions.get(record.get("submission", ""))
        # What replaced another by a person's word may itself have been replaced: the thread must not break.
        if (
            found is None
            or found.state is not State.REFUSED
            or found.intended.get("over")
            or last[found.fingerprint] is found
        ):
            yield record
