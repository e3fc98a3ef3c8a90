"""Events -> how far a run is: jobs per provider and phase, downloads under way, how long it may still take.

The estimate is honest: it rests on renders that this run has seen from submit to file, and is None as long as some
provider with work left has shown none, or when what is left takes longer than everything so far. Time is an argument,
in seconds of a monotonic clock. Nothing here knows a terminal.
"""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from renderer.plan.plan import CHANGES, Action
from renderer.run.events import Event

_Job = tuple[str, str]
"""Manifest and id."""


class Phase(StrEnum):
    """Where a job is in this run."""

    WAITING = "waiting"
    RENDERING = "rendering"
    DOWNLOADING = "downloading"
    DONE = "done"
    FAILED = "failed"
    HELD = "held"


_PHASES: Mapping[str, Phase] = {
    "waiting": Phase.WAITING,
    "uploading": Phase.WAITING,
    "submitting": Phase.WAITING,
    "accepted": Phase.RENDERING,
    "polled": Phase.RENDERING,
    "rendered": Phase.DOWNLOADING,
    "downloading": Phase.DOWNLOADING,
    "saved": Phase.DONE,
    "restored": Phase.DONE,
    "renamed": Phase.DONE,
    "refused": Phase.FAILED,  # until it is sent again
    "failed": Phase.FAILED,
    "held": Phase.HELD,
}
_OPEN = (Phase.WAITING, Phase.RENDERING, Phase.DOWNLOADING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a run sets out to do: jobs per provider, and how many manifests they come from."""

    jobs: Mapping[str, int]
    manifests: int = 1


def expected(actions: Iterable[Action]) -> Expected:
    """Return what a run of these actions sets out to do; what only stays as it is does not count."""
    work = [action for action in actions if action.act in CHANGES]
    return Expected(
        jobs=Counter(action.provider for action in work), manifests=len({action.manifest for action in work})
    )


@dataclass(slots=True)
class _Lane:
    """One provider: its jobs' phases, and how long renders took in seconds."""

    expected: int
    phases: dict[_Job, Phase] = field(default_factory=dict)
    started: dict[_Job, float] = field(default_factory=dict)
    spans: list[float] = field(default_factory=list)
    widest: int = 1
    stopped: bool = False

    def count(self) -> dict[Phase, int]:
        """Return how many jobs are in each phase; those that nothing was heard of wait."""
        found = Counter(self.phases.values())
        unheard = max(0, self.expected - len(self.phases))
        return {phase: found[phase] + (unheard if phase is Phase.WAITING else 0) for phase in Phase}

    def left(self, now: float) -> float | None:
        """Return how many seconds it may still take, None where that is not known."""
        counted = self.count()
        waiting = 0 if self.stopped else counted[Phase.WAITING]
        if not waiting and not counted[Phase.RENDERING]:
            # Downloads take moments, compared with renders.
            return 0.0
        if not self.spans:
            return None
        usual = statistics.median(self.spans)
        rendering = [at for job, at in self.started.items() if self.phases.get(job) is Phase.RENDERING]
        current = max((usual - (now - at) for at in rendering), default=0.0)
        if len(rendering) < counted[Phase.RENDERING] or (rendering and current <= 0):
            # Some were bought by an earlier run, or all of them take longer than any so far.
            return None
        return max(0.0, current) + usual * waiting / self.widest


class Tally:
    """How far a run is, told by its events."""

    def __init__(self, expected: Expected, *, now: float) -> None:
        """Take what the run sets out to do, and the time of its start."""
        self._lanes = {provider: _Lane(number) for provider, number in sorted(expected.jobs.items()) if number}
        self._began = now
        self._several = expected.manifests > 1
        self._downloads: dict[_Job, float] = {}

    def absorb(self, event: Event, *, now: float) -> None:
        """Take one event into account."""
        if event.event == "provider-stopped" and event.provider in self._lanes:
            self._lanes[event.provider].stopped = True
        phase = _PHASES.get(event.event)
        if phase is None or not event.id or not event.provider:
            return
        job = (event.manifest, event.id)
        lane = self._lanes.setdefault(event.provider, _Lane(0))
        lane.phases[job] = phase
        if event.event in ("submitting", "accepted"):
            # Only what was sent in this run shows how long a render takes.
            lane.started[job] = now
            lane.widest = max(lane.widest, len(lane.started))
        elif phase is not Phase.RENDERING and job in lane.started and phase is not Phase.WAITING:
            began = lane.started.pop(job)
            if phase in (Phase.DOWNLOADING, Phase.DONE):
                lane.spans.append(now - began)
        if phase is Phase.DOWNLOADING:
            self._downloads[job] = event.progress or 0.0
        else:
            self._downloads.pop(job, None)

    @property
    def providers(self) -> dict[str, dict[Phase, int]]:
        """How many jobs each provider has in each phase."""
        return {provider: lane.count() for provider, lane in self._lanes.items()}

    @property
    def stopped(self) -> frozenset[str]:
        """The providers to which nothing more is sent in this run."""
        return frozenset(provider for provider, lane in self._lanes.items() if lane.stopped)

    @property
    def open(self) -> int:
        """How many jobs are neither done nor failed nor held."""
        return sum(counted[phase] for counted in self.providers.values() for phase in _OPEN)

    @property
    def downloads(self) -> list[tuple[str, float]]:
        """What is being downloaded, as people call it, and how much of it is here (0 to 100)."""
        return [(self.name(*job), progress) for job, progress in self._downloads.items()]

    def elapsed(self, now: float) -> float:
        """Return how long the run has taken, in seconds."""
        return now - self._began

    def left(self, now: float) -> float | None:
        """Return how many seconds the run may still take, None where that is not known."""
        times = [lane.left(now) for lane in self._lanes.values()]
        known = [time for time in times if time is not None]
        return None if len(known) < len(times) else max(known, default=0.0)

    def name(self, manifest: str, id_: str) -> str:
        """Return what people call a job: its id, with its manifest's stem where there are several."""
        stem = manifest.rpartition("/")[2].rpartition(".")[0]
        return f"{stem}/{id_}" if self._several and stem else id_


def clock(seconds: float) -> str:
    """Return a time for people: ``0:07``, ``12:40``, ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def remaining(seconds: float | None) -> str:
    """Return how long it may still take, for people."""
    return "unknown" if seconds is None else f"about {clock(seconds)}"
