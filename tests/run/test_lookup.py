"""A doubtful purchase and its provider's own list: attached only where nothing else is possible."""

from dataclasses import replace
from pathlib import Path

import pytest

from renderer.plan.standing import JobState
from renderer.state.lifecycle import Fact, State
from tests.run.scripted import Scene, ref
from tests.run.scripted_market import lost, reply


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A scripted world."""
    return Scene(tmp_path)


def test_exactly_one_is_attached(scene: Scene) -> None:
    """The list shows it: it is accepted as found, polled and saved in the same run, and bought once."""
    scene.market.says("fliz", "submit", lost(sells=True))
    assert scene.live([scene.film("a", "fliz")]).state("a") is JobState.SAVED
    (submission,) = scene.submissions()
    assert submission.fact(Fact.ACCEPTED)["found"] is True
    assert submission.task == "fliz-1"


def test_none_is_held_with_what_was_seen_and_looked_for_again(scene: Scene) -> None:
    """A list cannot show that nothing was bought: held, and the next run looks again, without buying."""
    scene.market.says("fliz", "submit", lost(sells=False))
    jobs = [scene.film("a", "fliz"), scene.film("b", "fliz")]
    life = scene.live(jobs)
    assert (life.state("a"), life.state("b")) == (JobState.HELD, JobState.SAVED)
    held = life.standing("a").held
    assert held is not None
    assert "list does not show it" in held.why
    asked = len(scene.market.asked("list"))
    assert scene.live(jobs).state("a") is JobState.HELD
    assert len(scene.market.asked("list")) > asked
    assert len(scene.market.asked("submit")) == 2


def test_one_that_shows_late_is_attached_by_a_later_run(scene: Scene) -> None:
    """A list that could not be read, or was slow, is read again."""
    scene.market.says("fliz", "submit", lost(sells=True))
    scene.market.says("fliz", "list", *[reply(502)] * 3)
    jobs = [scene.film("a", "fliz")]
    assert scene.live(jobs).state("a") is JobState.HELD
    assert scene.live(jobs).state("a") is JobState.SAVED
    assert len(scene.market.sold) == 1


def test_several_are_held_and_named(scene: Scene) -> None:
    """Two that could be it: a person decides."""
    scene.market.says("fliz", "submit", lost(sells=True))

    def shown_twice(name: str, _: object) -> None:
        if name == "before list" and len(scene.market.sold) == 1:
            scene.market.sold.append(replace(scene.market.sold[0], task="fliz-other"))

    life = scene.live([scene.film("a", "fliz")], watch=shown_twice)
    assert life.state("a") is JobState.HELD
    held = life.standing("a").held
    assert held is not None
    assert "fliz-1" in held.why
    assert "fliz-other" in held.why


def test_two_doubts_with_equal_marks_are_both_held(scene: Scene) -> None:
    """One candidate and two that could claim it: neither gets it, whichever was bought."""
    scene.pacing["fliz"] = {"apart": 0.0}
    scene.market.says("fliz", "submit", lost(sells=True), lost(sells=False))
    jobs = [scene.film("a", "fliz", title="Same"), scene.film("b", "fliz", title="Same", text="Other words.")]
    life = scene.live(jobs)
    assert {life.state("a"), life.state("b")} == {JobState.HELD}
    again = scene.live(jobs)
    assert {again.state("a"), again.state("b")} == {JobState.HELD}


def test_one_that_another_submission_has_is_no_candidate(scene: Scene) -> None:
    """A job of the same title that was bought normally keeps its video."""
    scene.pacing["fliz"] = {"in_flight": 1}
    scene.market.says("fliz", "submit", lost(sells=False), about="Other words.")
    jobs = [scene.film("a", "fliz", title="Same"), scene.film("b", "fliz", title="Same", text="Other words.")]
    life = scene.live(jobs)
    assert (life.state("a"), life.state("b")) == (JobState.SAVED, JobState.HELD)


@pytest.mark.parametrize(("shift", "state"), [(-1.5, "saved"), (-3600, "held"), (60, "saved"), (3600, "held")])
def test_only_what_was_made_in_the_window_is_a_candidate(scene: Scene, shift: float, state: str) -> None:
    """From two seconds before the send (slack) to the pack's window after it."""
    scene.market.says("fliz", "submit", lost(sells=True))

    def shifted(name: str, _: object) -> None:
        if name == "during submit":
            scene.market.sold[0].at += shift

    assert scene.live([scene.film("a", "fliz")], watch=shifted).state("a") == state


def test_one_without_a_time_is_never_attached(scene: Scene) -> None:
    """It could be any old video of that title: a person decides."""
    scene.market.says("fliz", "submit", lost(sells=False))
    row = {"id": "old", "title": "a", "lang": "en", "format": "size_16_9", "created_at": "yesterday"}
    scene.market.says("fliz", "list", *[reply(200, {"fliz_video": [row]})] * 9)
    life = scene.live([scene.film("a", "fliz")])
    assert life.state("a") is JobState.HELD
    held = life.standing("a").held
    assert held is not None
    assert "old" in held.why
    assert scene.submissions()[0].task is None


@pytest.mark.parametrize("changed", [{"title": "b"}, {"lang": "fr"}, {"format": "square"}])
def test_every_mark_must_fit(scene: Scene, changed: dict[str, str]) -> None:
    """Title, language and format."""
    scene.market.says("fliz", "submit", lost(sells=False))
    now = scene.now + 1767225600
    row = {"id": "x", "title": "a", "lang": "en", "format": "size_16_9", "created_at": now} | changed
    scene.market.says("fliz", "list", *[reply(200, {"fliz_video": [row]})] * 9)
    assert scene.live([scene.film("a", "fliz")]).state("a") is JobState.HELD


def test_all_pages_are_read_until_one_is_too_old(scene: Scene) -> None:
    """It stands on the third page of twenty."""
    scene.market.says("fliz", "submit", lost(sells=True))
    now = scene.now + 1767225600
    others = [{"id": f"o{n}", "title": "x", "lang": "en", "format": "square", "created_at": now} for n in range(20)]
    scene.market.says("fliz", "list", *[reply(200, {"fliz_video": others})] * 2)
    assert scene.live([scene.film("a", "fliz")]).state("a") is JobState.SAVED
    assert [sent.request.query["offset"] for sent in scene.market.asked("list")] == ["0", "20", "40"]


@pytest.mark.parametrize("provider", ["hifly", "yzx", "foxapi"])
def test_without_a_list_a_doubt_is_held(scene: Scene, provider: str) -> None:
    """Where nothing can be looked up nothing is asked, and the rest of the batch goes on."""
    scene.market.says(provider, "submit", lost(sells=True))
    life = scene.live([scene.film("a", provider), scene.film("b", provider)])
    assert (life.state("a"), life.state("b")) == (JobState.HELD, JobState.SAVED)
    assert not scene.market.asked("list")


def test_an_operation_without_marks_is_held(scene: Scene) -> None:
    """A translation is in no list."""
    scene.market.says("fliz", "submit", lost(sells=True), about="translate")
    jobs = [scene.film("a", "fliz"), scene.job("fr", "fliz", "translate", source=ref("a.task"), language="fr")]
    life = scene.live(jobs)
    assert (life.state("a"), life.state("fr")) == (JobState.SAVED, JobState.HELD)


def test_a_crash_between_intent_and_answer_is_a_doubt_that_is_looked_up(scene: Scene) -> None:
    """Killed while the request was under way: the next run finds it, and buys nothing."""
    jobs = [scene.film("a", "fliz")]
    effects = scene.live(jobs, buying=False).fate.effects
    assert effects == []
    crashing = Scene(scene.root)
    sent = crashing.live(jobs).fate.effects.index("during submit") + 1
    life = scene.live(jobs, crash_at=sent)
    assert life.crashed
    assert [s.state for s in scene.submissions()] == [State.DOUBTFUL]
    assert scene.live(jobs).state("a") is JobState.SAVED
    assert len(scene.market.sold) == 1
