"""The exception tree, problems with positions, and exit codes.

This is the ground: every other module may import it and it imports none of them. It knows nothing of YAML,
providers or terminals. An error is sorted by whose fault it is and by what to do next; the one boundary that turns
it into an exit code and into words on a terminal is ``cli``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

Severity: TypeAlias = Literal["error", "warning"]


class Exit(IntEnum):
    """Exit codes (DESIGN 5). Scripts rely on the numbers."""

    DONE = 0
    FAILED = 1
    CHANGES = 2
    UNFINISHED = 3
    BUDGET = 4
    USAGE = 64
    INVALID = 65
    BUG = 70
    DISK = 74
    LOCKED = 75
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong, with its place.

    ``file`` is relative to the project's root with ``/``; ``line`` and ``column`` count from 1; ``path`` is the
    place inside the document (``$.videos.launch.title``); ``code`` is a stable kebab-case word for scripts;
    ``message`` says what is wrong in one sentence; ``hint`` says what to do next, or is empty.
    """

    file: str
    line: int
    column: int
    path: str
    code: str
    message: str
    hint: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        """Return ``file:line:column: message (hint)``."""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.message}{hint}"


class RendererError(Exception):
    """Base of every error that a user can cause or must act on. Never a traceback.

    ``exit`` is the process's exit code; ``hint`` is what to do next.
    """

    exit = Exit.BUG

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Take one sentence on what is wrong, and one on what to do next."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(RendererError):
    """The command cannot be carried out as it was given (wrong words, a missing key)."""

    exit = Exit.USAGE


class InvalidError(RendererError):
    """Manifests, packs or templates are wrong; carries every problem that was found."""

    exit = Exit.INVALID

    def __init__(self, problems: Sequence[Problem], *, message: str = "", hint: str = "") -> None:
        """Take all the problems; the message defaults to their number."""
        errors = sum(problem.severity == "error" for problem in problems)
        super().__init__(message or f"{errors} problem{'' if errors == 1 else 's'}", hint=hint)
        self.problems = tuple(problems)


class StaleError(InvalidError):
    """A plan file no longer says what would happen now."""


class DiskError(RendererError):
    """A lockfile is damaged, or a disk does not do what it must."""

    exit = Exit.DISK


class LockedError(RendererError):
    """Another run holds the project's lock."""

    exit = Exit.LOCKED
