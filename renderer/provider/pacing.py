"""In-flight limits, spacing, backing off, and when to poll. Time is an argument, in seconds of a monotonic clock.

A :class:`Lane` is one provider's queue in one run. It only counts and answers; who waits, and how, is the
executor's business. The numbers of DESIGN 4 stand here: after 5 tries or 60 seconds without a connection a provider
stops; after 10 minutes of "busy" without one accepted submit it stops too.
"""

from dataclasses import dataclass

from renderer.provider.outcome import ErrorClass, Fault

UNSENT_TRIES = 5
UNSENT_SECONDS = 60.0
BUSY_SECONDS = 600.0
_BACK_OFF_FIRST = 1.0
_BACK_OFF_MOST = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How a provider wants to be treated; times in seconds.

    ``in_flight`` counts jobs at the provider, not sockets; ``apart`` is the least time between two submits; ``call``
    is the deadline of one API call; the first poll comes ``first`` after the submit, the next ones ``every`` (least,
    most), and polling parks the job after ``timeout``.
    """

    in_flight: int = 4
    apart: float = 0.0
    call: float = 60.0
    first: float = 5.0
    every: tuple[float, float] = (5.0, 10.0)
    timeout: float = 3600.0


@dataclass(slots=True)
class Lane:
    """One provider's queue: how many jobs it has, when the next send may leave, and whether it has stopped."""

    pacing: Pacing
    at_provider: int = 0
    stopped: Fault | None = None
    _next: float = 0.0
    _tries: int = 0
    _since: float | None = None
    _busy: bool = False

    @property
    def has_room(self) -> bool:
        """Whether one more job may be at the provider."""
        return self.at_provider < self.pacing.in_flight

    def wait(self, now: float) -> float:
        """Return how long the next send must still wait."""
        return max(0.0, self._next - now)

    def sent(self, now: float) -> None:
        """A submit is about to leave."""
        self._next = max(self._next, now + self.pacing.apart)

    def answered(self) -> None:
        """The provider took a submit, or refused it for the job's own sake: it is reachable and not too busy."""
        self._tries, self._since, self._busy = 0, None, False

    def unsent(self, now: float, fault: Fault, *, jitter: float) -> bool:
        """No connection was made. Return whether the job may be sent again in this run."""
        return self._refused(now, fault, busy=False, wait=self._back_off(jitter), patience=UNSENT_SECONDS)

    def busy(self, now: float, fault: Fault, *, retry_after: float | None, jitter: float) -> bool:
        """The provider is busy. Return whether the job may be sent again in this run."""
        # Bounded: a provider that says "in a day" is asked again in a minute, a few times, and then stops.
        wait = self._back_off(jitter) if retry_after is None else min(retry_after, _BACK_OFF_MOST)
        return self._refused(now, fault, busy=True, wait=wait, patience=BUSY_SECONDS)

    def stop(self, fault: Fault) -> None:
        """Nothing more may be sent to this provider in this run."""
        self.stopped = self.stopped or fault

    def _back_off(self, jitter: float) -> float:
        """Return a growing wait; ``jitter`` from 0 to 1 spreads it over half of its length."""
        return min(_BACK_OFF_MOST, _BACK_OFF_FIRST * 2.0**self._tries) * (0.5 + jitter / 2)

    def _refused(self, now: float, fault: Fault, *, busy: bool, wait: float, patience: float) -> bool:
        if self._since is None or self._busy != busy:
            self._tries, self._since, self._busy = 0, now, busy
        self._tries += 1
        self._next = max(self._next, now + wait)
        spent = self._next - self._since >= patience
        if spent or (fault.kind is ErrorClass.UNSENT and self._tries >= UNSENT_TRIES):
            self.stop(fault)
        return self.stopped is None


def poll_wait(pacing: Pacing, *, polls: int, troubles: int, jitter: float, retry_after: float | None = None) -> float:
    """Return how long to wait before the next poll of a job.

    ``polls`` have been made so far, of which the last ``troubles`` in a row came to nothing (they double the wait, up
    to a minute); ``jitter`` from 0 to 1 chooses within the pack's range, so that many jobs do not ask at once.
    """
    least, most = pacing.every
    wait = pacing.first if polls == 0 else least + (most - least) * jitter
    if troubles:
        wait = min(max(wait, _BACK_OFF_MOST), max(wait, _BACK_OFF_FIRST) * 2.0 ** (troubles - 1))
    return max(wait, retry_after or 0.0)
