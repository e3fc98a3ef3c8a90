"""From a task to its end: polls, deadlines, words that nobody knows, and what only a person can move on."""

from datetime import timedelta
from pathlib import Path

import pytest

from renderer.plan.standing import JobState
from renderer.state.lifecycle import Fact, State
from tests.run.scripted import Scene, ref
from tests.run.scripted_market import lost, reply, unsent, works

TASKED = ("fliz", "hifly", "yzx", "foxapi")
NO_SUCH_TASK = {
    "fliz": reply(200, {"fliz_video_by_pk": None}),
    "hifly": reply(200, {"code": 14, "message": "no such task"}),
    "yzx": reply(404, {"error": {"code": "task_not_exist"}}),
    "foxapi": reply(404),
}
NEW_WORD = {
    "fliz": reply(200, {"fliz_video_by_pk": {"step": "brand_new"}}),
    "hifly": reply(200, {"code": 0, "status": 9}),
    "yzx": reply(200, {"status": "brand_new"}),
    "foxapi": reply(200, {"status": "brand_new"}),
}
PERSON = reply(200, {"fliz_video_by_pk": {"step": "user_action"}})


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A scripted world."""
    return Scene(tmp_path)


@pytest.mark.parametrize("provider", TASKED)
def test_a_deadline_parks_the_job_and_the_next_run_goes_on(scene: Scene, provider: str) -> None:
    """What renders too long stays accepted; nothing is bought again; ``collect`` and ``apply`` go on with it."""
    scene.market.polls = lambda: 10_000
    jobs = [scene.film("a", provider)]
    life = scene.live(jobs)
    assert life.state("a") is JobState.ACCEPTED
    assert life.said("parked", "a")
    assert life.seconds <= scene.packs[provider].pacing.timeout + 60
    scene.market.sold[0].polls = 0
    assert scene.plan(jobs).actions[0].act == "collect"
    assert scene.live(jobs, buying=False).state("a") is JobState.SAVED
    assert len(scene.market.asked("submit")) == 1


@pytest.mark.parametrize("provider", TASKED)
def test_a_word_that_the_pack_does_not_list_keeps_polling_and_is_told(scene: Scene, provider: str) -> None:
    """New states are no end; they are reported."""
    scene.market.says(provider, "status", *[NEW_WORD[provider]] * 3)
    life = scene.live([scene.film("a", provider)])
    assert len(life.said("warning", "a")) == 3
    assert life.state("a") is JobState.SAVED


@pytest.mark.parametrize("provider", TASKED)
def test_trouble_in_polls_passes(scene: Scene, provider: str) -> None:
    """5xx, pages, lost connections and 429 to a poll cost nothing and are tried again."""
    scene.market.says(provider, "status", reply(502), reply(200, b"<html>"), lost(sells=False), unsent(), reply(429))
    life = scene.live([scene.film("a", provider)])
    assert life.state("a") is JobState.SAVED
    assert len(scene.market.sold) == 1


@pytest.mark.parametrize("provider", TASKED)
def test_an_unknown_task_has_a_moment_of_grace(scene: Scene, provider: str) -> None:
    """Just after the submit a provider may not know its own task yet."""
    scene.market.says(provider, "status", NO_SUCH_TASK[provider])
    assert scene.live([scene.film("a", provider)]).state("a") is JobState.SAVED


@pytest.mark.parametrize("provider", TASKED)
def test_a_task_that_stays_unknown_is_held_and_never_bought_again(scene: Scene, provider: str) -> None:
    """After the grace it is held with what the provider said; later runs ask again, and a recovery clears the note."""
    scene.market.says(provider, "status", *[NO_SUCH_TASK[provider]] * 100)
    jobs = [scene.film("a", provider)]
    life = scene.live(jobs)
    assert life.state("a") is JobState.HELD
    held = life.standing("a").held
    assert held is not None
    assert f"does not know task {provider}-1" in held.why
    notes = scene.disk.texts().count('"note"')
    assert scene.live(jobs).state("a") is JobState.HELD
    assert scene.disk.texts().count('"note"') == notes, "the same note was written again"
    scene.market._script.clear()
    assert scene.live(jobs).state("a") is JobState.SAVED
    assert len(scene.market.asked("submit")) == 1


def test_a_day_that_the_clock_jumps_takes_no_grace(scene: Scene) -> None:
    """The wall clock jumps a day just after the submit: the grace is of this run's steady clock."""
    scene.market.says("yzx", "status", NO_SUCH_TASK["yzx"])

    def jump(name: str, _: object) -> None:
        if name == "after submit":
            scene.jump = timedelta(days=1)

    assert scene.live([scene.film("a")], watch=jump).state("a") is JobState.SAVED


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_jumps_changes_nothing(scene: Scene, days: int) -> None:
    """Order, back-off and deadlines follow the steady clock."""
    scene.market.says("yzx", "submit", reply(429), reply(429))

    def jump(name: str, _: object) -> None:
        if name == "after submit":
            scene.jump += timedelta(days=days)

    life = scene.live([scene.film("a"), scene.film("b")], watch=jump)
    assert {life.state("a"), life.state("b")} == {JobState.SAVED}
    assert life.seconds < 120
    assert len(scene.market.sold) == 2


@pytest.mark.parametrize("provider", TASKED)
def test_a_verdict_is_final(scene: Scene, provider: str) -> None:
    """``failed`` is reported and not bought again by ``apply``."""
    scene.market.fails = lambda: True
    jobs = [scene.film("a", provider)]
    assert scene.live(jobs).state("a") is JobState.FAILED
    again = scene.live(jobs)
    assert again.state("a") is JobState.FAILED
    assert again.fate.effects == []
    assert again.plan.actions[0].act == "failed"
    assert "the provider failed it" in again.plan.actions[0].reason


def test_a_denied_poll_says_nothing_about_the_task(scene: Scene) -> None:
    """A key that is no longer taken stops the provider; the job stays accepted and goes on with a good key."""
    scene.market.says("yzx", "status", reply(401))
    jobs = [scene.film("a")]
    life = scene.live(jobs)
    assert life.state("a") is JobState.ACCEPTED
    assert life.ended is not None
    assert life.ended.stopped == {"yzx"}
    assert scene.live(jobs).state("a") is JobState.SAVED


def test_a_completed_task_without_results_is_polled_on(scene: Scene) -> None:
    """FoxAPI: ``completed`` with empty results is not the end yet."""
    scene.market.says("foxapi", "status", *[reply(200, {"status": "completed", "results": []})] * 3)
    assert scene.live([scene.film("a", "foxapi")]).state("a") is JobState.SAVED


def test_unknown_with_a_link_is_done_and_without_one_is_running(scene: Scene) -> None:
    """YZX ``unknown``: the link decides."""
    url = "https://cdn.yzx.example/x.mp4?sig=1"
    scene.market.says("yzx", "status", reply(200, {"status": "unknown"}), reply(200, {"status": "unknown", "url": url}))
    life = scene.live([scene.film("a")])
    assert life.state("a") is JobState.SAVED
    assert scene.market.asked("fetch")[0].request.path == url


def test_the_content_path_is_used_where_no_link_is_given(scene: Scene) -> None:
    """YZX: done without a link means its content path, on the provider's own origin."""
    scene.market.says("yzx", "status", reply(200, {"status": "completed"}))
    assert scene.live([scene.film("a")]).state("a") is JobState.SAVED
    assert scene.market.asked("fetch")[0].request.path == f"{scene.origins['yzx']}/v1/videos/yzx-1/content"


# --- what only a person can move on ------------------------------------------------------------------------------


def test_a_job_that_needs_a_person_is_held_and_does_not_keep_the_run_alive(scene: Scene) -> None:
    """Its note says what to do; the run ends although it is still polled."""
    scene.market.says("fliz", "status", *[PERSON] * 1000)
    jobs = [scene.film("a", "fliz")]
    life = scene.live(jobs)
    assert life.state("a") is JobState.HELD
    held = life.standing("a").held
    assert held is not None
    assert "user_action" in held.why
    assert "dashboard" in held.next
    assert life.seconds < 120


def test_it_gives_its_place_to_others_and_goes_on_beside_them(scene: Scene) -> None:
    """While others keep the run alive it is polled; when a person has acted it ends like any other."""
    scene.pacing["fliz"] = {"in_flight": 1}
    scene.market.polls = lambda: 4
    scene.market.says("fliz", "status", *[PERSON] * 3, about="first")
    life = scene.live([scene.film("first", "fliz"), scene.film("second", "fliz")])
    assert {life.state("first"), life.state("second")} == {JobState.SAVED}
    (submission,) = scene.submissions(job="spring/first")
    assert submission.fact(Fact.NOTE)["kind"] == "clear"


def test_done_straight_after_a_person_acted_is_saved(scene: Scene) -> None:
    """No poll need see it running in between: the old note holds nothing back."""
    scene.market.says("fliz", "status", PERSON, about="first")
    scene.market.polls = lambda: 0
    scene.market.says("yzx", "status", *[reply(502)] * 6)
    jobs = [scene.film("first", "fliz"), scene.film("other")]
    life = scene.live(jobs)
    assert life.state("first") is JobState.SAVED


def test_done_between_two_runs_is_saved(scene: Scene) -> None:
    """A person acted while nothing ran: the next run saves it at its first poll."""
    scene.market.says("fliz", "status", *[PERSON] * 1000)
    jobs = [scene.film("a", "fliz")]
    assert scene.live(jobs).state("a") is JobState.HELD
    scene.market._script.clear()
    scene.market.sold[0].polls = 0
    assert scene.live(jobs).state("a") is JobState.SAVED


def test_found_again_and_done_is_saved(scene: Scene) -> None:
    """A task that was unknown and is now finished is saved at once."""
    scene.market.says("yzx", "status", *[NO_SUCH_TASK["yzx"]] * 60)
    jobs = [scene.film("a")]
    assert scene.live(jobs).state("a") is JobState.HELD
    scene.market._script.clear()
    scene.market.sold[0].polls = 0
    assert scene.live(jobs).state("a") is JobState.SAVED


def test_its_download_is_not_cut_off_when_the_last_other_job_ends(scene: Scene) -> None:
    """Once it goes on it is a job like any other: the run waits for its file."""
    scene.market.polls = lambda: 0
    scene.market.says("fliz", "status", PERSON)
    scene.market.says("fliz", "fetch", works(300.0))
    scene.market.says("yzx", "status", *[reply(502)] * 4)
    life = scene.live([scene.film("a", "fliz"), scene.film("b")])
    assert life.state("b") is JobState.SAVED
    assert life.state("a") is JobState.SAVED


def test_dependants_of_a_held_job_do_not_hang(scene: Scene) -> None:
    """Who refers to a job that waits for a person waits with it, and the run ends."""
    scene.market.says("fliz", "status", *[PERSON] * 1000, about="first")
    jobs = [
        scene.film("first", "fliz"),
        scene.job("fr", "fliz", "translate", source=ref("first.task"), language="fr"),
        scene.job("de", "fliz", "duplicate", source=ref("fr.task")),
    ]
    life = scene.live(jobs)
    assert life.state("first") is JobState.HELD
    assert {life.state("fr"), life.state("de")} == {JobState.PLANNED}
    planned = scene.plan(jobs)
    assert [a.act for a in planned.actions] == ["hold", "wait", "wait"]
    assert scene.live(jobs).state("fr") is JobState.PLANNED
    assert [s.state for s in scene.submissions()] == [State.ACCEPTED]
