"""What is wrong with a manifest, collected while it is expanded: each problem once, at its place, and counted.

A mistake in a job with ``for_each`` shows in every row; people want it once, with one row as the example. Knows
nothing of what the mistakes are.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from renderer.errors import Problem, Severity
from renderer.manifest.position import Mark, Path, spell
from renderer.manifest.values import ValueFaults
from renderer.manifest.yamlfile import Document

MAX_PROBLEMS = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is wrong; ``who`` is the job whose row shows it, where a declaration makes several."""

    file: str
    mark: Mark
    path: Path
    who: str = ""


class TooManyProblems(Exception):
    """There are so many problems that more of them would not help."""


class Notes:
    """Collects problems. Mutable, and lives for one expansion."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._found: dict[tuple[str, Mark, str], Problem] = {}
        self._again: Counter[tuple[str, Mark, str]] = Counter()

    def at(self, path: Path, *, key: bool = False, who: str = "") -> Place:
        """Return the place of a path of the manifest, or of its key."""
        return Place(self._document.file, self._document.locate(path, key=key), path, who)

    def add(self, place: Place, code: str, message: str, hint: str = "", *, severity: Severity = "error") -> None:
        """Write down a problem, or count it where it stands already. Raises :class:`TooManyProblems`."""
        spot = (place.file, place.mark, message)
        if spot in self._found:
            self._again[spot] += 1
            return
        if len(self._found) >= MAX_PROBLEMS:
            raise TooManyProblems
        shown = f"{message} (in `{place.who}`)" if place.who else message
        line, column = place.mark
        self._found[spot] = Problem(place.file, line, column, spell(place.path), code, shown, hint, severity)

    def faults(self, error: ValueFaults, place: Callable[[Path], Place]) -> None:
        """Write down what is wrong with values; ``place`` answers where a path inside them was written."""
        for fault in error.faults:
            if not fault.follows:
                self.add(place(fault.path), fault.code, fault.message, fault.hint)

    def problems(self) -> list[Problem]:
        """Return what was written down, in no particular order."""
        return [self._counted(spot, problem) for spot, problem in self._found.items()]

    def _counted(self, spot: tuple[str, Mark, str], problem: Problem) -> Problem:
        if not (more := self._again[spot]):
            return problem
        return replace(problem, message=f"{problem.message}, and {more:,} time{'s' if more > 1 else ''} more")
