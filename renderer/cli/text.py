"""Text from elsewhere, made harmless for a terminal.

A provider's message, a title or a file name may hold terminal escapes, or characters that hide and reorder what
stands around them. What goes to a terminal goes through :func:`inert` first. This module knows no terminal.
"""

import re
from collections.abc import Sequence
from unicodedata import east_asian_width

from renderer.errors import Problem

# Controls but tab and newline, and what reorders or hides text; half characters cannot be encoded at all.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def inert(text: str) -> str:
    """Return text that a terminal only shows: each character that would act on it is replaced (U+FFFD)."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str) -> str:
    """Return inert text on one line."""
    return inert(" ".join(text.split()))


def count(number: int, thing: str) -> str:
    """Return ``1 job``, ``2 jobs``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def size(number: float) -> str:
    """Return a number of bytes for people: ``1.5 MB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:  # noqa: PLR2004 - SI, as disks are sold
            return f"{number:.0f} {unit if number != 1 else 'byte'}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def install(extra: str) -> str:
    """Return how to get an extra. (The package index has another program of our name.)"""
    return f"install Renderer with its extra: in a checkout, pip install '.[{extra}]'"


def problem_line(problem: Problem) -> str:
    """Return a problem as one inert line: where, how bad, what, and what to do."""
    hint = f" ({problem.hint})" if problem.hint else ""
    place = f"{problem.file}:{problem.line}:{problem.column}"
    return inert(f"{place}: {problem.severity}: {problem.message}{hint}")


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows as aligned columns under ``heads`` (none for no heads); wide characters count twice."""
    lines = [[one_line(cell) for cell in row] for row in ([heads, *rows] if heads else rows)]
    widths = [max(_width(line[at]) for line in lines) for at in range(len(lines[0]))] if lines else []
    return "\n".join(
        "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _width(text: str) -> int:
    return len(text) if text.isascii() else sum(1 + (east_asian_width(c) in "WF") for c in text)
