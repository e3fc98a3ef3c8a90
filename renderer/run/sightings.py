"""What providers said last of the tasks that are still with them: their own word, their progress, and when.

Kept in ``.renderer/remote.json`` as ``{submission: {"state", "progress", "seen"}}``, so that ``status`` can show it
without asking anybody. It may be lost at any time; nothing depends on it.
"""

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from renderer.project import Project
from renderer.run.bench import Remote
from renderer.run.disk import write_whole

_OFTEN = 2.0


def read_sightings(project: Project) -> dict[str, Remote]:
    """Return what was seen last, by submission; nothing where the file is lost or damaged."""
    try:
        found = json.loads(_path(project).read_bytes())
        return {
            str(id_): Remote(str(seen["state"]), seen.get("progress"), str(seen["seen"])) for id_, seen in found.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def write_sightings(project: Project, sightings: Mapping[str, Remote]) -> None:
    """Keep what was seen last. A disk that refuses is no reason to end a run."""
    found = {id_: {"state": s.state, "progress": s.progress, "seen": s.seen} for id_, s in sightings.items()}
    with contextlib.suppress(Exception):
        write_whole(_path(project), json.dumps(found, ensure_ascii=False).encode())


class Notebook:
    """Writes sightings down while a run goes on, but not more often than people look."""

    def __init__(self, project: Project, *, monotonic: Callable[[], float]) -> None:
        """Take whose they are, and a clock in seconds."""
        self._project = project
        self._monotonic = monotonic
        self._before = read_sightings(project)
        self._next = 0.0

    def note(self, sightings: Mapping[str, Remote], *, now: bool = False) -> None:
        """Keep what was seen; ``now`` also where it was written a moment ago."""
        if now or self._monotonic() >= self._next:
            self._next = self._monotonic() + _OFTEN
            write_sightings(self._project, {**self._before, **sightings})


def _path(project: Project) -> Path:
    return project.state / "remote.json"
