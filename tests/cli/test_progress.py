import io
import json
import time
from pathlib import Path

import pytest

from renderer.cli.progress import Expected, Lines, is_live, step, watch
from renderer.cli.tally import Tally
from renderer.errors import DiskError
from renderer.run.events import Event, Kind

HOSTILE = "\x1b[2J\x07 [red]x[/red] \u202e \x9b1m :smile:"
ALIVE = {"TERM": "xterm"}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is one."""
        return True


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Screen:
    """Lines as they are written, by a clock of the test."""

    def __init__(self, jobs: dict[str, int], *, manifests: int = 1) -> None:
        self.clock = Clock()
        self.said: list[str] = []
        self.tally = Tally(Expected(jobs=jobs, manifests=manifests), now=0.0)
        self.lines = Lines(self.tally, self.said.append, now=self.clock)

    def take(self, event: Event, *, at: float | None = None) -> None:
        """Let an event happen."""
        self.clock.now = self.clock.now if at is None else at
        self.tally.absorb(event, now=self.clock.now)
        self.lines.take(event)


def event(kind: Kind, id_: str = "a", provider: str = "fliz", *, message: str = "", **more: object) -> Event:
    """Return an event of a job in specs/spring.yaml."""
    at = "2026-03-01T10:00:00.000Z"
    return Event(t=at, event=kind, id=id_, manifest="specs/spring.yaml", provider=provider, message=message, **more)  # type: ignore[arg-type]


def test_each_thing_that_matters_gets_one_line() -> None:
    """Submitted, accepted, rendered, saved, failed, held and a stopped provider are said, with the time since start."""
    screen = Screen({"fliz": 2})
    screen.take(event("waiting", message="new"))
    screen.take(event("submitting", attempt=1), at=1)
    screen.take(event("accepted", message="task 7"), at=2)
    screen.take(event("polled", message="script", progress=3.0), at=9)
    screen.take(event("rendered"), at=65)
    screen.take(event("downloading", progress=5.0), at=66)
    screen.take(event("saved", message="renders/a.mp4"), at=67)
    screen.take(event("failed", "b", message="moderation: no"), at=3700)
    screen.take(event("held", "c", message="no answer came"))
    screen.take(event("provider-stopped", "c", message="the credits are used up"))
    assert screen.said == [
        "   0:01  a (fliz): submitting",
        "   0:02  a (fliz): accepted: task 7",
        "   1:05  a (fliz): rendered",
        "   1:07  a (fliz): saved: renders/a.mp4",
        "1:01:40  b (fliz): failed: moderation: no",
        "1:01:40  c (fliz): held: no answer came",
        "1:01:40  fliz: nothing more is sent to this provider: the credits are used up",
    ]


def test_a_job_is_named_with_its_manifest_where_there_are_several() -> None:
    """Two manifests may have jobs of the same id."""
    screen = Screen({"fliz": 2}, manifests=2)
    screen.take(event("rendered"))
    assert screen.said == ["   0:00  spring/a (fliz): rendered"]


def test_the_same_trouble_is_said_once() -> None:
    """What goes wrong again in the same way is no news; in another way it is."""
    screen = Screen({"fliz": 1})
    for attempt in range(1, 6):
        screen.take(event("trouble", message="the connection ended", attempt=attempt))
        screen.take(event("held", message="user_action: finish it"))
    screen.take(event("trouble", message="it is busy"))
    assert [line.partition("): ")[2] for line in screen.said] == [
        "trouble: the connection ended",
        "held: user_action: finish it",
        "trouble: it is busy",
    ]


def test_troubles_never_flood() -> None:
    """Of many troubles within half a minute twenty are shown and the rest is counted."""
    screen = Screen({"fliz": 500})
    for number in range(500):
        screen.take(event("trouble", f"v{number}", message="no connection"))
    assert len(screen.said) == 20
    screen.lines.close()
    assert screen.said[20:] == ["   0:00  and 480 more of such lines"]


def test_a_long_silence_is_broken_now_and_then() -> None:
    """While something renders there is one line per half a minute of silence, and none where nothing is open."""
    screen = Screen({"fliz": 2, "hifly": 1})
    screen.take(event("accepted"))
    for now in range(1, 100):
        screen.clock.now = now
        screen.lines.beat()
    still = "still rendering: 1 at fliz; unknown left"
    assert screen.said[1:] == [f"   0:{now}  {still}" for now in (30,)] + [
        f"   1:{now}  {still}" for now in ("00", "30")
    ]
    done = Screen({"fliz": 1})
    done.take(event("saved"))
    done.clock.now = 1000
    done.lines.beat()
    assert len(done.said) == 1


def test_without_a_terminal_words_of_a_provider_are_inert() -> None:
    """Escapes become visible marks, one event stays one line, and markup is only text."""
    out = io.StringIO()
    with watch(Expected(jobs={"fliz": 1}), stream=out) as sink:
        sink(event("failed", message=f"{HOSTILE}\nsecond line"))
    assert not set("\x1b\x07\x9b\u202e") & set(out.getvalue())
    assert "[red]x[/red]" in out.getvalue()
    assert out.getvalue().count("\n") == 1


def test_a_terminal_gets_a_table_and_what_shall_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a table counts jobs per provider and phase; text from elsewhere stays inert there, too."""
    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    out = Terminal()
    with watch(Expected(jobs={"fliz": 3}), stream=out) as sink:
        sink(event("accepted"))
        sink(event("downloading", "b", progress=40.0))
        sink(event("failed", "c", message=HOSTILE))
    shown = out.getvalue()
    for word in ("provider", "rendering", "downloading", "40%", "unknown left", "[red]x[/red]", ":smile:"):
        assert word in shown
    for escape in ("\x1b[2J", "\x07", "\x9b", "\u202e"):
        assert escape not in shown


@pytest.mark.parametrize(
    ("stream", "environment", "live"),
    [
        (Terminal(), ALIVE, True),
        (io.StringIO(), ALIVE, False),
        (Terminal(), {**ALIVE, "NO_COLOR": "1"}, False),
        (Terminal(), {**ALIVE, "CI": "true"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
    ],
)
def test_plain_lines_without_a_terminal_or_on_demand(
    stream: io.StringIO, environment: dict[str, str], live: bool
) -> None:
    """A table needs a terminal, and that nobody asked for plain lines."""
    assert is_live(stream, environment) is live


def test_events_become_json_lines(tmp_path: Path) -> None:
    """Each event is one line with exactly the promised keys, there as soon as it happened; a file is appended to."""
    path = tmp_path / "events.jsonl"
    path.write_text('{"cut', encoding="utf-8")
    with watch(Expected(jobs={"fliz": 1}), stream=io.StringIO(), events=path) as sink:
        sink(event("polled", message=f"晓 {HOSTILE}\n", progress=12.5))
        first, line = path.read_text("utf-8").split("\n")[:2]
    assert first == '{"cut'
    assert not set("\x1b\x07\x9b\u202e") & set(line)
    found = json.loads(line)
    assert list(found) == ["t", "event", "id", "manifest", "provider", "attempt", "progress", "message", "error"]
    assert (found["event"], found["progress"], found["attempt"]) == ("polled", 12.5, None)
    assert found["message"].startswith("晓")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_fails_ends_the_events_not_the_run() -> None:
    """When the events file cannot be written this is said once, and the run goes on."""
    out = io.StringIO()
    with watch(Expected(jobs={"fliz": 1}), stream=out, events=Path("/dev/full")) as sink:
        sink(event("submitting"))
        sink(event("accepted"))
    assert out.getvalue().count("events are no longer written to /dev/full") == 1
    assert "accepted" in out.getvalue()


def test_an_events_file_that_cannot_be_opened_is_refused_at_once(tmp_path: Path) -> None:
    """Nothing runs where the events that were asked for cannot be had."""
    with pytest.raises(DiskError, match="nowhere"), watch(Expected(jobs={}), events=tmp_path / "nowhere" / "e"):
        pytest.fail("the block must not run")


def test_nobody_reading_is_not_the_runs_problem() -> None:
    """A closed stderr raises nothing."""
    out = io.StringIO()
    with watch(Expected(jobs={"fliz": 1}), stream=out) as sink:
        out.close()
        sink(event("accepted"))


def test_a_quick_step_says_nothing() -> None:
    """What takes a moment leaves no trace, with or without a terminal."""
    for out in (io.StringIO(), Terminal()):
        with step("reading", stream=out):
            pass
        assert out.getvalue() == ""


def test_a_long_step_shows_that_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes longer shows its words, as text."""
    for name in ("NO_COLOR", "CI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    with step("reading \x1b]0;x", stream=out):
        end = time.monotonic() + 30
        while "reading" not in out.getvalue() and time.monotonic() < end:
            time.sleep(0.02)
    assert "reading" in out.getvalue()
    assert "\x1b]0" not in out.getvalue()
