"""Where a node stands: marks in a file, paths inside a document, and how both are looked up.

Every message of this floor points at ``file:line:column``. The words for that are here, so that a parsed file, a job
and a schema error can all speak of places in the same way. Nothing here knows what a file holds.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""A place inside a document: map keys and list indexes from the root."""


class Mark(NamedTuple):
    """Where a node stands in its file: line and column count from 1."""

    line: int
    column: int


class Locate(Protocol):
    """Answers where a path stands; ``key`` asks for the key rather than its value."""

    def __call__(self, path: Path, /, *, key: bool = False) -> Mark:
        """Return the position of ``path``, or of the nearest node around it."""
        ...


_PLAIN = re.compile(r"[^\W\d][\w-]*")


def spell(path: Path) -> str:
    """Return a path as people read it: ``$.videos.launch.images[0]``; a key that is no plain word stands in quotes."""
    parts = ["$"]
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif _PLAIN.fullmatch(step):
            parts.append(f".{step}")
        else:
            parts.append(f"[{step!r}]")
    return "".join(parts)


def nearest(marks: Mapping[Path, Mark], path: Path) -> Mark:
    """Return the mark of ``path``, or of the nearest node around it that has one; 1:1 where none has."""
    for end in range(len(path), -1, -1):
        if (found := marks.get(path[:end])) is not None:
            return found
    return Mark(1, 1)
