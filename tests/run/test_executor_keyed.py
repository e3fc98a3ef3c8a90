"""GEN_VIDEO: its call is also its poll, so there is never a doubt, and what was delivered is never called for again."""

from pathlib import Path

import pytest

from renderer.plan.standing import JobState
from renderer.run.download import Incomplete, LinkRefused
from renderer.state.lifecycle import Fact, State
from tests.run.scripted import Scene
from tests.run.scripted_market import Says, lost, reply, unsent
from tests.run.test_executor_limits import stop_at

STILL_WORKING = {
    "a timeout": lost(sells=True),
    "502": reply(502, sells=True),
    "503": reply(503, sells=True),
    "504": reply(504, sells=True),
    "a 200 without a link": reply(200, {"status": "processing"}, sells=True),
    "a page": reply(200, b"<html>", sells=True),
    "a redirect": reply(302, sells=True),
}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A scripted world."""
    return Scene(tmp_path)


@pytest.mark.parametrize("what", STILL_WORKING)
def test_whatever_is_no_verdict_means_call_again(scene: Scene, what: str) -> None:
    """One ``intended`` however often it is called, no ``accepted``, no doubt, one purchase."""
    scene.market.says("gen_video", "submit", *[STILL_WORKING[what]] * 3)
    life = scene.live([scene.film("a", "gen_video")])
    assert life.state("a") is JobState.SAVED
    (submission,) = scene.submissions()
    assert submission.intended["keyed"] is True
    assert Fact.ACCEPTED not in submission.facts
    assert len(scene.market.asked("submit")) == 5
    assert len(scene.market.sold) == 1


@pytest.mark.parametrize("what", ["400", "404"])
@pytest.mark.parametrize("calls", [0, 2])
def test_400_and_404_are_the_jobs_error(scene: Scene, what: str, calls: int) -> None:
    """At the first call or later: refused, not called again in this run, sent again by the next apply."""
    scene.market.says("gen_video", "submit", *[reply(504, sells=True)] * calls, reply(int(what)))
    jobs = [scene.film("a", "gen_video")]
    life = scene.live(jobs)
    assert life.state("a") is JobState.REFUSED
    assert len(scene.market.asked("submit")) == calls + 1
    assert scene.live(jobs).state("a") is JobState.SAVED


def test_an_error_of_a_resumed_call_waits_for_the_next_apply_too(scene: Scene) -> None:
    """A job that an earlier run left with the server is refused now: it is not bought anew in the same run."""
    jobs = [scene.film("a", "gen_video")]
    scene.market.says("gen_video", "submit", reply(504), reply(400))
    scene.live(jobs, watch=stop_at("after submit"))
    assert [s.state for s in scene.submissions()] == [State.ACCEPTED]
    assert scene.live(jobs).state("a") is JobState.REFUSED
    assert len(scene.market.asked("submit")) == 2


@pytest.mark.parametrize("calls", [0, 2])
def test_500_is_its_failure(scene: Scene, calls: int) -> None:
    """A verdict, final for apply."""
    scene.market.says("gen_video", "submit", *[reply(504, sells=True)] * calls, reply(500, {"detail": "no codec"}))
    jobs = [scene.film("a", "gen_video")]
    assert scene.live(jobs).state("a") is JobState.FAILED
    again = scene.live(jobs)
    assert again.state("a") is JobState.FAILED
    assert again.fate.effects == []


def test_no_connection_is_no_purchase(scene: Scene) -> None:
    """The first call that never left is a refusal like any other; a later one says nothing."""
    scene.market.says("gen_video", "submit", unsent(), reply(504, sells=True), unsent(), unsent())
    assert scene.live([scene.film("a", "gen_video")]).state("a") is JobState.SAVED
    assert [s.state for s in scene.submissions()] == [State.REFUSED, State.SAVED]


def test_after_a_crash_it_is_called_again_under_the_same_submission(scene: Scene) -> None:
    """Killed while it worked: no doubt, no second ``intended``."""
    jobs = [scene.film("a", "gen_video")]
    effects = Scene(scene.root).live(jobs).fate.effects
    for crash_at in range(1, effects.index("before keep_link") + 1):
        here = Scene(scene.root)
        here.live(jobs, crash_at=crash_at)
        assert here.live(jobs).state("a") is JobState.SAVED, effects[crash_at - 1]
        assert len(here.submissions()) == 1
        assert len(here.market.sold) == 1


def test_a_kept_link_without_its_record_counts_as_delivered(scene: Scene) -> None:
    """Killed after the link was kept: it is downloaded, and the server is not called again."""
    jobs = [scene.film("a", "gen_video")]
    effects = Scene(scene.root).live(jobs).fate.effects
    for crash_at in range(effects.index("after keep_link") + 1, len(effects) + 1):
        here = Scene(scene.root)
        assert here.live(jobs, crash_at=crash_at).crashed
        called = len(here.market.asked("submit"))
        assert here.live(jobs).state("a") is JobState.SAVED, effects[crash_at - 1]
        assert len(here.market.asked("submit")) == called, effects[crash_at - 1]
        assert not here.disk.links


def test_a_lost_link_is_held_and_never_called_for_again(scene: Scene) -> None:
    """Delivered, and the link is refused for good: a person decides."""
    scene.market.says("gen_video", "fetch", *[Says(error=LinkRefused(403))] * 9)
    jobs = [scene.film("a", "gen_video")]
    life = scene.live(jobs)
    assert life.state("a") is JobState.HELD
    held = life.standing("a").held
    assert held is not None
    assert "its link is lost" in held.why
    called = len(scene.market.asked("submit"))
    assert scene.live(jobs).state("a") is JobState.HELD
    assert len(scene.market.asked("submit")) == called
    assert not scene.disk.links


def test_a_link_that_is_gone_from_this_machine_is_held(scene: Scene) -> None:
    """The lockfile says rendered, the link file is not here (another clone): held, not called."""
    jobs = [scene.film("a", "gen_video")]
    scene.live(jobs, watch=stop_at("before fetch"))
    assert [s.state for s in scene.submissions()] == [State.RENDERED]
    scene.disk.links.clear()
    called = len(scene.market.asked("submit"))
    assert scene.live(jobs).state("a") is JobState.HELD
    assert len(scene.market.asked("submit")) == called


def test_a_download_that_breaks_off_keeps_the_link(scene: Scene) -> None:
    """Only a refusal of the link itself loses it."""
    scene.market.says("gen_video", "fetch", *[Says(error=Incomplete("cut short"))] * 4)
    jobs = [scene.film("a", "gen_video")]
    assert scene.live(jobs).state("a") is JobState.RENDERED
    assert scene.disk.links
    assert scene.live(jobs).state("a") is JobState.SAVED


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_stop_waits_for_the_answer_of_any_call(scene: Scene, number: int) -> None:
    """Each call may be the one that delivers, so its answer is heard and recorded even after Ctrl-C."""
    scene.market.polls = lambda: number - 1
    calls = 0

    def watch(name: str, executor: object) -> None:
        nonlocal calls
        calls += name == "before submit"
        if name == "during submit" and calls == number:
            executor.stop()  # type: ignore[attr-defined]

    jobs = [scene.film("a", "gen_video")]
    life = scene.live(jobs, watch=watch)
    assert life.state("a") is JobState.RENDERED
    assert scene.live(jobs).state("a") is JobState.SAVED
    assert len(scene.market.asked("submit")) == number
    assert not scene.market.called_again


def test_a_link_that_cannot_be_kept_is_still_a_delivery(scene: Scene) -> None:
    """A full disk: the delivery goes on record, the file is fetched with the link at hand, nothing is called again."""
    scene.disk.full = lambda name: name == "link"
    jobs = [scene.film("a", "gen_video")]
    life = scene.live(jobs)
    assert life.state("a") is JobState.SAVED
    assert life.said("trouble", "a")
    other = Scene(scene.root)
    other.disk.full = lambda name: name in ("link", "part")
    assert other.live(jobs).state("a") is JobState.RENDERED
    other.disk.full = lambda _: False
    assert other.live(jobs).state("a") is JobState.HELD
    assert len(other.market.sold) == 1


def test_a_purchase_whose_job_is_gone_is_not_polled_for_an_hour(scene: Scene) -> None:
    """Nobody can say any more what to call it with: told at once; a kept link of it is still downloaded."""
    scene.live([scene.film("old", "gen_video")], watch=stop_at("after submit"))
    life = scene.live([scene.film("new", "gen_video")])
    assert life.state("new") is JobState.SAVED
    assert life.seconds < 60
    here = Scene(scene.root)
    effects = Scene(scene.root).live([here.film("old", "gen_video")]).fate.effects
    here.live([here.film("old", "gen_video")], crash_at=effects.index("after keep_link") + 1)
    here.live([here.film("new", "gen_video")])
    assert {s.state for s in here.submissions()} == {State.SAVED}
