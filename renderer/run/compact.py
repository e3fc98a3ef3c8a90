"""Compaction, at the end of a run: each submission in one line with all its facts, sorted by job.

Nothing that was paid ever goes. What may go is a refusal that a later submission of the same fingerprint has
superseded, so that a provider that was busy for an hour does not fill the lockfile for good.
"""

from collections.abc import Iterator
from pathlib import Path

from renderer.state import lockfile
from renderer.state.archive import Archive, Witness
from renderer.state.history import History, Record
from renderer.state.lifecycle import State


def compact(path: Path, *, file: str) -> bool:
    """Rewrite a record file with what it holds, whole or not at all; return whether it changed.

    Raises :class:`~renderer.errors.DiskError`.
    """
    archive = Archive()
    archive.read(path, file=file, witness=Witness.LOCKFILE)
    return lockfile.rewrite(path, kept(History(archive)), file=file)


def kept(history: History) -> Iterator[Record]:
    """Yield what a compacted file holds, in its order."""
    refused = {row.id for row in history.rows() if row.state is State.REFUSED}
    last: dict[str, str] = {}
    for record in history.records():
        id_ = record.get("submission", "")
        if id_ in refused:
            found = history.submissions[id_]
            # What replaced another by a person's word may itself have been replaced: the thread must not break. And
            # what git has parted from its intent tells of no fingerprint that another could have met since.
            if found.intended and not found.intended.get("over"):
                if found.fingerprint not in last:
                    last[found.fingerprint] = _last(history, found.fingerprint)
                if last[found.fingerprint] != id_:
                    continue
        yield record


def _last(history: History, fingerprint: str) -> str:
    """Return the submission that was the last to be sent for a fingerprint."""
    sent = (s for s in history.of_fingerprint(fingerprint) if s.fingerprint == fingerprint)
    return max((s.at, s.id) for s in sent)[1]
