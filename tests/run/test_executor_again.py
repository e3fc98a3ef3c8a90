"""A person wants a job bought once more: exactly once more, however often the command is cut off and repeated."""

from pathlib import Path

import pytest

from renderer.plan.standing import JobState
from renderer.state.lifecycle import State
from tests.run.scripted import Scene, ref
from tests.run.scripted_market import lost, reply

AGAIN = ("spring/a",)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A scripted world."""
    return Scene(tmp_path)


@pytest.mark.parametrize("provider", ["fliz", "hifly", "gen_video", "yzx", "foxapi"])
def test_a_saved_job_is_bought_once_more_and_replaced(scene: Scene, provider: str) -> None:
    """The new video takes the place of the old one when it is verified; afterwards there is nothing to do."""
    jobs = [scene.film("a", provider), scene.film("b", provider)]
    scene.live(jobs)
    if provider == "gen_video":
        scene.market.sold.clear()
        scene.market.delivered.clear()
    life = scene.live(jobs, again=AGAIN)
    assert life.state("a") is JobState.SAVED
    assert len(scene.market.asked("submit")) == len(scene.submissions()) + (2 + 1) * (provider == "gen_video")
    old, _, new = scene.submissions()
    assert new.intended["over"] == old.id
    assert (life.standing("a").submission or old).id == new.id
    assert scene.live(jobs).fate.effects == []


def test_a_failed_job_is_bought_again_only_when_asked(scene: Scene) -> None:
    """A verdict is final for apply; a person's word buys once more."""
    scene.market.says("yzx", "status", reply(200, {"status": "failed"}))
    jobs = [scene.film("a")]
    assert scene.live(jobs).state("a") is JobState.FAILED
    assert scene.live(jobs).state("a") is JobState.FAILED
    assert scene.live(jobs, again=AGAIN).state("a") is JobState.SAVED
    assert len(scene.market.sold) == 2


def test_dependants_are_not_bought_again(scene: Scene) -> None:
    """It changes no fingerprint."""
    jobs = [scene.film("a", "fliz"), scene.job("fr", "fliz", "translate", source=ref("a.task"), language="fr")]
    scene.live(jobs)
    scene.live(jobs, again=AGAIN)
    assert len(scene.market.bought("fliz", "translate")) == 1
    assert len(scene.market.sold) == 3


@pytest.mark.parametrize("provider", ["fliz", "hifly", "yzx", "foxapi"])
def test_wherever_it_is_cut_off_repeating_it_buys_no_third(scene: Scene, provider: str) -> None:
    """Once its ``intended`` is durable the word is used up, until that purchase has ended."""
    jobs = [scene.film("a", provider)]
    trial = Scene(scene.root)
    trial.live(jobs)
    effects = trial.live(jobs, again=AGAIN).fate.effects
    ended = effects.index("before append to spring.lock", effects.index("before fetch"))
    for crash_at in range(1, ended + 1):
        here = Scene(scene.root)
        here.live(jobs)
        assert here.live(jobs, again=AGAIN, crash_at=crash_at).crashed
        for _ in range(3):
            here.live(jobs, again=AGAIN)
            if here.submissions()[-1].state is State.SAVED:
                break
        assert len(here.market.sold) <= 2, effects[crash_at - 1]


def test_a_doubt_about_the_second_purchase_holds_it(scene: Scene) -> None:
    """No answer came: whether it was bought once more is not known, and the same word does not buy a third."""
    jobs = [scene.film("a")]
    scene.live(jobs)
    scene.market.says("yzx", "submit", lost(sells=True))
    for _ in range(3):
        assert scene.live(jobs, again=AGAIN).state("a") is JobState.HELD
    assert len(scene.market.sold) == 2


@pytest.mark.parametrize("answer", [reply(400), reply(401), reply(429)])
def test_a_refusal_leaves_the_old_one_in_its_place(scene: Scene, answer: object) -> None:
    """What came to nothing gives way; the word is not used up."""
    jobs = [scene.film("a")]
    scene.live(jobs)
    scene.market.says("yzx", "submit", *[answer] * 300)  # type: ignore[list-item]  # they are Says
    assert scene.live(jobs, again=AGAIN).state("a") is JobState.SAVED
    scene.market._script.clear()
    assert len(scene.market.sold) == 1
    assert scene.live(jobs).fate.effects == []
    scene.live(jobs, again=AGAIN)
    assert len(scene.market.sold) == 2


def test_a_budget_of_none_leaves_it_as_it_was(scene: Scene) -> None:
    """Nothing is sent, and the old video stands."""
    jobs = [scene.film("a")]
    scene.live(jobs)
    life = scene.live(jobs, again=AGAIN, max_submits=0)
    assert life.state("a") is JobState.SAVED
    assert "budget" in life.trouble("a")
    assert len(scene.market.sold) == 1


def test_twins_get_the_new_one_too(scene: Scene) -> None:
    """They share the purchase, so they share its successor."""
    jobs = [scene.film("a", prompt="x"), scene.film("b", prompt="x")]
    scene.live(jobs)
    life = scene.live(jobs, again=AGAIN)
    assert life.error is None
    scene.live(jobs)
    assert len(scene.market.sold) == 2
    assert all(b"yzx-2" in film for film in scene.disk.outputs.values())
