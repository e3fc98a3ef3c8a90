import pytest

from renderer.cli.tally import Expected, Phase, Tally, clock, remaining
from renderer.run.events import Event, Kind


def tell(
    tally: Tally, kind: Kind, id_: str, at: float, *, provider: str = "fliz", progress: float | None = None
) -> None:
    """Let an event happen at a time."""
    event = Event(t="", event=kind, id=id_, manifest="specs/a.yaml", provider=provider, progress=progress)
    tally.absorb(event, now=at)


def test_jobs_move_from_phase_to_phase() -> None:
    """Each provider's jobs are counted where they are; those that nothing was heard of wait."""
    tally = Tally(Expected(jobs={"fliz": 5, "hifly": 1}), now=0)
    for kind, id_ in (("polled", "a"), ("rendered", "b"), ("saved", "c"), ("failed", "d")):
        tell(tally, kind, id_, 1)  # type: ignore[arg-type]
    counted = tally.providers
    assert list(counted["fliz"].values()) == [1, 1, 1, 1, 1, 0]
    assert counted["hifly"][Phase.WAITING] == 1
    assert tally.open == 4


def test_a_refused_job_that_is_sent_again_is_not_failed() -> None:
    """A busy provider's refusal counts only until the next submit."""
    tally = Tally(Expected(jobs={"fliz": 1}), now=0)
    tell(tally, "submitting", "a", 0)
    tell(tally, "refused", "a", 1)
    assert tally.providers["fliz"][Phase.FAILED] == 1
    tell(tally, "submitting", "a", 9)
    tell(tally, "accepted", "a", 10)
    assert tally.providers["fliz"] == {**dict.fromkeys(Phase, 0), Phase.RENDERING: 1}


def test_downloads_show_how_much_is_here() -> None:
    """A download is listed with its share until the file is saved, or something else becomes of it."""
    tally = Tally(Expected(jobs={"fliz": 2}), now=0)
    tell(tally, "downloading", "a", 1)
    tell(tally, "downloading", "a", 2, progress=35.0)
    tell(tally, "downloading", "b", 2, progress=5.0)
    assert tally.downloads == [("a", 35.0), ("b", 5.0)]
    tell(tally, "saved", "a", 3)
    tell(tally, "failed", "b", 3)
    assert tally.downloads == []


def test_the_time_left_is_unknown_until_a_render_was_seen() -> None:
    """No estimate without a measurement; then what waits goes in waves of the width that was seen."""
    tally = Tally(Expected(jobs={"fliz": 6}), now=0)
    for id_ in ("a", "b"):
        tell(tally, "submitting", id_, 0)
        tell(tally, "accepted", id_, 0)
    assert tally.left(50) is None
    tell(tally, "rendered", "a", 100)
    tell(tally, "rendered", "b", 100)
    tell(tally, "accepted", "c", 100)
    tell(tally, "accepted", "d", 100)
    # c and d are half done, e and f are one more wave of two.
    assert tally.left(150) == pytest.approx(150)


def test_the_time_left_is_unknown_again_where_the_measurement_does_not_fit() -> None:
    """Renders that take longer than any before, or that an earlier run bought, tell nothing about their end."""
    tally = Tally(Expected(jobs={"fliz": 2}), now=0)
    tell(tally, "accepted", "a", 0)
    tell(tally, "rendered", "a", 10)
    tell(tally, "accepted", "b", 10)
    assert tally.left(15) == pytest.approx(5)
    assert tally.left(25) is None
    other = Tally(Expected(jobs={"fliz": 2}), now=0)
    tell(other, "accepted", "a", 0)
    tell(other, "rendered", "a", 10)
    tell(other, "polled", "b", 10)
    assert other.left(11) is None


def test_the_slowest_provider_decides() -> None:
    """A run ends with its last provider; one without a measurement makes the end unknown."""
    tally = Tally(Expected(jobs={"fliz": 2, "hifly": 1}), now=0)
    tell(tally, "accepted", "a", 0)
    tell(tally, "rendered", "a", 10)
    tell(tally, "accepted", "b", 10)
    assert tally.left(12) is None
    tell(tally, "held", "c", 12, provider="hifly")
    assert tally.left(12) == pytest.approx(8)


def test_what_waits_for_a_stopped_provider_takes_no_time() -> None:
    """A stopped provider's waiting jobs are not waited for."""
    tally = Tally(Expected(jobs={"fliz": 9}), now=0)
    tell(tally, "provider-stopped", "a", 1)
    assert tally.left(2) == 0
    assert tally.stopped == {"fliz"}


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (760, "12:40"), (3723, "1:02:03")])
def test_times_read_like_a_clock(seconds: float, text: str) -> None:
    """Times are written with minutes, and with hours where there are any."""
    assert clock(seconds) == text
    assert remaining(seconds) == f"about {text}"


def test_an_unknown_time_is_called_unknown() -> None:
    """There is a word for not knowing."""
    assert remaining(None) == "unknown"
