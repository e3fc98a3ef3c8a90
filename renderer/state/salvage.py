"""A damaged record file: what can still be read of it, and what cannot.

Each line stands for itself (it has its own checksum), so damage costs no more than the lines that it hit. Nothing is
guessed of those: of a line that does not fit its checksum only the submission's id is looked at, to tell whether
another file still knows all that it could have said.
"""

import re
from dataclasses import dataclass

from renderer.errors import DiskError
from renderer.state import lockfile
from renderer.state.history import History, Record

_ID = re.compile(rb'"submission":"([\w.-]{1,100})"')
_VERSION = re.compile(rb'\{"renderer-lock":\s*\d+\}')
_HEADER_LENGTH = len(lockfile.HEADER) + 2
_FACT = re.compile(rb'"(intended|refused|accepted|failed|rendered|saved|closed|note)":\{')


@dataclass(frozen=True, slots=True)
class Lost:
    """A line that cannot be read: its number, and the submission and facts that it seems to be about."""

    line: int
    submission: str
    facts: frozenset[str]


def salvage(data: bytes, *, file: str) -> tuple[list[Record], list[Lost]]:
    """Return the records of a file that are whole, and the lines that are not.

    A torn tail is neither: what it would have said was never acted upon. Raises :class:`DiskError` for a newer version.
    """
    records: list[Record] = []
    lost = []
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        ending = b"" if number == len(lines) else b"\n"
        try:
            found = lockfile.decode(line + ending, file=file).records
        except DiskError:
            if _VERSION.fullmatch(line.strip()):
                raise
            if number == 1 and len(line) <= _HEADER_LENGTH:
                # A damaged header spoke of no purchase.
                continue
            about = _ID.search(line)
            facts = frozenset(match.decode() for match in _FACT.findall(line))
            lost.append(Lost(number, about[1].decode() if about is not None else "", facts))
        else:
            records.extend(found)
    return records, lost


def unaccounted(lost: list[Lost], history: History) -> list[Lost]:
    """Return the lines of which ``history`` does not know all that they seem to have said."""
    return [line for line in lost if not _known(line, history)]


def _known(line: Lost, history: History) -> bool:
    found = history.submissions.get(line.submission)
    return found is not None and bool(line.facts) and line.facts <= set(found.facts)
