"""In-flight limits, spacing, backing off, and when to poll. Time is an argument, in seconds of a monotonic clock.

A :class:`Lane` is one provider's queue in one run. It only counts and answers; who waits, and how, is the
executor's business. The numbers of DESIGN 4 stand here: after 5 tries or 60 seconds without a connection a provider
stops; after 10 minutes of "busy" without one accepted submit it stops too.
"""

from dataclasses import dataclass

from renderer.provider.outcome import Fault

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
    _resting: float = 0.0  # until then a refusal belongs to the moment that began the rest: it is one try
    _tries: int = 0
    _since: float | None = None  # the first refusal after the last submit that was taken
    _misses: int = 0
    _cut_off: float | None = None  # the first miss after the last connection

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
        self._tries, self._since = 0, None
        self._misses, self._cut_off = 0, None

    def unsent(self, now: float, fault: Fault, *, jitter: float) -> bool:
        """No connection was made. Return whether the job may be sent again in this run."""
        if self._cut_off is None:
            self._misses, self._cut_off = 0, now
        if now >= self._resting:
            self._misses += 1
        self._rest(now, self._back_off(jitter))
        if self._misses >= UNSENT_TRIES or self._next - self._cut_off >= UNSENT_SECONDS:
            self.stop(fault)
        return self._patient(fault)

    def busy(self, now: float, fault: Fault, *, retry_after: float | None, jitter: float) -> bool:
        """The provider is busy. Return whether the job may be sent again in this run."""
        self._misses, self._cut_off = 0, None
        # Bounded: who says "at once" is not hammered; who says "in a day" is asked in a minute, a few times.
        told = None if retry_after is None else min(max(retry_after, _BACK_OFF_FIRST), _BACK_OFF_MOST)
        self._rest(now, self._back_off(jitter) if told is None else told)
        return self._patient(fault)

    def stop(self, fault: Fault) -> None:
        """Nothing more may be sent to this provider in this run."""
        self.stopped = self.stopped or fault

    def _back_off(self, jitter: float) -> float:
        """Return a growing wait; ``jitter`` from 0 to 1 spreads it over half of its length."""
        return min(_BACK_OFF_MOST, _BACK_OFF_FIRST * 2.0**self._tries) * (0.5 + jitter / 2)

    def _rest(self, now: float, wait: float) -> None:
        """Let no send leave for ``wait`` seconds."""
        self._since = now if self._since is None else self._since
        self._next = max(self._next, now + wait)
        if now >= self._resting:
            self._tries += 1
            self._resting = now + wait

    def _patient(self, fault: Fault) -> bool:
        """Return whether more may be sent after a refusal; stop where too long nothing was taken."""
        if self._since is not None and self._next - self._since >= BUSY_SECONDS:
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
