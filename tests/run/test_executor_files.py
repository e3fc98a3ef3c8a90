"""Where files end up: twins, orphans, renames, what people changed, other origins, other packs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from renderer.plan.plan import Options, make_plan
from renderer.plan.standing import JobState
from renderer.run.download import Incomplete, LinkRefused, NotMedia, TooLarge
from renderer.run.transport import Forbidden
from renderer.state.lifecycle import Fact, State
from tests.run.scripted import Scene
from tests.run.scripted_market import Says, lost, reply
from tests.run.test_executor_limits import stop_at


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A scripted world."""
    return Scene(tmp_path)


# --- downloads ---------------------------------------------------------------------------------------------------


def test_an_expired_link_is_asked_for_anew(scene: Scene) -> None:
    """Refused: once more after a moment, then the status is asked for a fresh one."""
    scene.market.says("yzx", "fetch", *[Says(error=LinkRefused(403))] * 2)
    assert scene.live([scene.film("a")]).state("a") is JobState.SAVED
    first, second, third = [sent.request.path for sent in scene.market.asked("fetch")]
    assert first == second != third


@pytest.mark.parametrize("error", [LinkRefused(404), NotMedia("a page"), Incomplete("cut short")])
def test_a_download_that_never_comes_leaves_the_job_rendered(scene: Scene, error: Exception) -> None:
    """A bounded number of tries; the next run tries again; nothing is bought."""
    scene.market.says("yzx", "fetch", *[Says(error=error)] * 50)
    jobs = [scene.film("a"), scene.film("b", "foxapi")]
    life = scene.live(jobs)
    assert (life.state("a"), life.state("b")) == (JobState.RENDERED, JobState.SAVED)
    assert "download" in life.trouble("a")
    assert len(scene.market.asked("fetch", "yzx")) < 10
    scene.market._script.clear()
    assert scene.live(jobs).state("a") is JobState.SAVED
    assert len(scene.market.sold) == 2


@pytest.mark.parametrize("error", [Forbidden("a private address"), TooLarge("more than may be")])
def test_what_may_not_be_downloaded_is_not_tried_again(scene: Scene, error: Exception) -> None:
    """A private address or a file beyond all bounds is told, and the job stays rendered."""
    scene.market.says("yzx", "fetch", *[Says(error=error)] * 3)
    life = scene.live([scene.film("a")])
    assert life.state("a") is JobState.RENDERED
    assert len(scene.market.asked("fetch")) == 1


def test_the_link_of_a_rendered_job_is_asked_for_in_the_next_run(scene: Scene) -> None:
    """Nothing of a signed link survives but what the provider says again."""
    jobs = [scene.film("a", "fliz")]
    scene.live(jobs, watch=stop_at("before fetch"))
    assert scene.plan(jobs).actions[0].act == "download"
    assert scene.live(jobs).state("a") is JobState.SAVED
    assert len(scene.market.asked("submit")) == 1


# --- twins -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["fliz", "hifly", "gen_video", "yzx", "foxapi"])
def test_twins_share_one_purchase_and_each_get_the_file(scene: Scene, provider: str) -> None:
    """Jobs with an equal fingerprint, also of two manifests."""
    same = {"title": "x"} if provider == "fliz" else {}
    same |= {"hifly": {"text": "x"}, "yzx": {"prompt": "x"}, "foxapi": {"prompt": "x"}}.get(provider, {})
    same |= {"draft": "https://example.com/?drafId=x"} if provider == "gen_video" else {}
    jobs = [
        scene.film("a", provider, **same),
        scene.film("b", provider, **same),
        scene.film("c", provider, release="autumn", **same),
    ]
    planned = scene.plan(jobs)
    assert [action.act for action in planned.actions] == ["submit", "restore", "restore"]
    assert planned.summary["paid"] == 1
    life = scene.live(jobs)
    assert life.error is None
    assert len(scene.market.sold) == 1
    outputs = {"renders/spring/a.mp4", "renders/spring/b.mp4", "renders/autumn/c.mp4"}
    assert set(scene.disk.outputs) == outputs
    assert len(set(scene.disk.outputs.values())) == 1


@pytest.mark.parametrize("answer", [reply(400), lost(sells=True), lost(sells=False)])
def test_a_twin_does_not_send_again_what_was_refused_or_is_doubtful(scene: Scene, answer: Says) -> None:
    """One request a run for one fingerprint, whatever came of it."""
    scene.market.says("yzx", "submit", answer)
    jobs = [scene.film("a", prompt="x"), scene.film("b", prompt="x")]
    life = scene.live(jobs)
    assert life.state("a") == life.state("b")
    assert len(scene.market.asked("submit")) == 1


def test_a_twin_that_nobody_could_pay_for_is_bought_by_the_other(scene: Scene) -> None:
    """The first has no budget; the second's manifest has."""
    jobs = [scene.film("a", prompt="x"), scene.film("b", prompt="x", release="autumn")]
    life = scene.live(jobs, budgets={"specs/spring.yaml": 0})
    assert len(scene.market.sold) == 1
    assert life.state("autumn/b") is JobState.SAVED


def test_another_take_is_another_purchase(scene: Scene) -> None:
    """``take`` is part of what is asked for."""
    scene.live([scene.film("a", prompt="x"), scene.film("b", prompt="x", take=2)])
    assert len(scene.market.sold) == 2


# --- what no job shows any more ----------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["fliz", "hifly", "yzx", "foxapi"])
def test_a_purchase_whose_job_was_edited_is_collected_into_the_cache(scene: Scene, provider: str) -> None:
    """What was paid for is not left at the provider; it is no output, and going back to it restores it."""
    old = scene.film("a", provider)
    scene.live([old], watch=stop_at("before status"))
    words = {"fliz": {"text": "New."}, "hifly": {"text": "New."}, "yzx": {"prompt": "n"}, "foxapi": {"prompt": "n"}}
    new = scene.film("a", provider, **words[provider])
    life = scene.live([new])
    assert [action.act for action in life.plan.actions] == ["submit", "collect"]
    assert [s.state for s in scene.submissions()] == [State.SAVED, State.SAVED]
    assert len(scene.disk.cache) == 2
    back = scene.plan([old]).actions[0]
    assert (back.act, back.paid) == ("restore", False)
    scene.live([old])
    assert len(scene.market.sold) == 2
    assert b"-1.mp4" in scene.disk.outputs["renders/spring/a.mp4"]


def test_a_purchase_whose_job_is_gone_is_collected_and_then_only_listed(scene: Scene) -> None:
    """Collected while it renders, an orphan once it is saved."""
    scene.live([scene.film("gone")], watch=stop_at("before status"))
    life = scene.live([scene.film("other")])
    assert [action.act for action in life.plan.actions] == ["submit", "collect"]
    planned = scene.plan([scene.film("other")])
    assert [action.act for action in planned.actions] == ["keep", "orphan"]
    assert not planned.changes
    assert "gone" in planned.actions[1].reason
    assert scene.live([scene.film("other")]).fate.effects == []


def test_both_are_collected_where_one_replaces_the_other(scene: Scene) -> None:
    """B over A: the job shows B, and A's video is fetched as well."""
    job = scene.film("a")
    scene.live([job], watch=stop_at("before status"))
    (first,) = scene.submissions()
    again = {**first.intended, "at": "2026-01-02T00:00:00.000Z", "over": first.id}
    scene.market.sell("yzx", scene.packs["yzx"].operations["video"], scene.market.sent[0].request, at=0)
    scene.record({"submission": "f" * 28, "intended": again, "accepted": {"task": "yzx-2", "at": again["at"]}})
    life = scene.live([job])
    assert {s.state for s in scene.submissions()} == {State.SAVED}
    assert (life.standing("a").submission or first).id == "f" * 28
    assert b"yzx-2" in scene.disk.outputs["renders/spring/a.mp4"]


@pytest.mark.parametrize("state", ["closed", "failed", "refused"])
def test_what_replaced_it_and_came_to_nothing_gives_way(scene: Scene, state: str) -> None:
    """B over A, B came to nothing: A counts again."""
    job = scene.film("a")
    scene.live([job])
    (first,) = scene.submissions()
    facts: dict[str, Any] = {"closed": {"closed": {"state": "doubtful"}}, "failed": {"failed": {"code": "x"}}}
    again = {**first.intended, "at": "2026-01-02T00:00:00.000Z", "over": first.id}
    scene.record({"submission": "f" * 28, "intended": again, **facts.get(state, {"refused": {"class": "busy"}})})
    assert scene.plan([job]).actions[0].act == "keep"


def test_an_approved_video_counts_for_a_changed_request(scene: Scene) -> None:
    """A person's word: today's video is good for today's manifest."""
    scene.live([scene.film("a")])
    (submission,) = scene.submissions()
    changed = scene.film("a", prompt="a, but taller")
    (wanted,) = scene.wanted([changed])
    assert scene.plan([changed]).actions[0].act == "submit"
    scene.record({"approved": {"fingerprint": wanted.fingerprint, "submission": submission.id, "at": "t"}})
    assert scene.plan([changed]).actions[0].act == "keep"
    assert scene.live([changed]).fate.effects == []


def test_a_closed_doubt_is_failed_until_somebody_retries(scene: Scene) -> None:
    """``--discard`` leaves the job failed; nothing is bought by ``apply``."""
    scene.market.says("yzx", "submit", lost(sells=False))
    jobs = [scene.film("a")]
    scene.live(jobs)
    (submission,) = scene.submissions()
    scene.record({"submission": submission.id, "closed": {"state": "doubtful", "at": "t"}})
    action = scene.plan(jobs).actions[0]
    assert action.act == "failed"
    assert "closed by a person" in action.reason
    assert scene.live(jobs).fate.effects == []


# --- outputs -----------------------------------------------------------------------------------------------------


def test_a_moved_output_is_renamed(scene: Scene) -> None:
    """Neither bought nor downloaded again."""
    scene.live([scene.film("a")])
    life = scene.live([scene.film("a", output="renders/new/place.mp4")])
    assert life.plan.summary["rename"] == 1
    assert set(scene.disk.outputs) == {"renders/new/place.mp4"}
    assert len(scene.market.asked("fetch")) == 1


def test_twins_that_move_both_move(scene: Scene) -> None:
    """Two jobs share one file; both outputs get new names, and each old one is moved once."""
    scene.live([scene.film("a", prompt="x"), scene.film("b", prompt="x")])
    moved = [scene.film("a", prompt="x", output="n/a.mp4"), scene.film("b", prompt="x", output="n/b.mp4")]
    life = scene.live(moved)
    assert life.error is None
    assert set(scene.disk.outputs) == {"n/a.mp4", "n/b.mp4"}


def test_a_renamed_job_and_a_renamed_manifest_buy_nothing(scene: Scene) -> None:
    """An equal fingerprint shows what was bought, whatever its name is now."""
    scene.live([scene.film("a", prompt="x")])
    life = scene.live([scene.film("b", prompt="x", release="autumn")])
    assert life.plan.summary["rename"] == 1
    assert life.state("autumn/b") is JobState.SAVED
    assert len(scene.market.sold) == 1


def test_a_missing_output_is_restored_from_the_cache(scene: Scene) -> None:
    """No provider is asked."""
    scene.live([scene.film("a")])
    del scene.disk.outputs["renders/spring/a.mp4"]
    seen = len(scene.market.sent)
    assert scene.live([scene.film("a")]).plan.summary["restore"] == 1
    assert "renders/spring/a.mp4" in scene.disk.outputs
    assert len(scene.market.sent) == seen


def test_a_missing_file_is_downloaded_again_where_the_provider_can_be_asked(scene: Scene) -> None:
    """Saved before, neither output nor cache here (another machine): asked for its link again."""
    scene.live([scene.film("a"), scene.film("k", "gen_video")])
    scene.disk.outputs.clear()
    scene.disk.cache.clear()
    scene.disk.placed.clear()
    life = scene.live([scene.film("a"), scene.film("k", "gen_video")])
    assert [action.act for action in life.plan.actions] == ["download", "keep"]
    assert "not on this machine" in life.plan.actions[1].reason
    assert set(scene.disk.outputs) == {"renders/spring/a.mp4"}
    assert len(scene.market.sold) == 2


def test_another_file_for_a_saved_task_is_not_put_in_its_place(scene: Scene) -> None:
    """The record stands: what the provider serves now is not what was saved."""
    scene.live([scene.film("a")])
    (before,) = scene.submissions()
    scene.disk.outputs.clear()
    scene.disk.cache.clear()
    scene.disk.placed.clear()
    scene.market.says("yzx", "fetch", Says(reply=reply(200, b"other").reply))
    life = scene.live([scene.film("a")])
    assert "another file" in life.trouble("a")
    assert not scene.disk.outputs
    assert scene.submissions()[0].sha256 == before.sha256


def test_an_output_that_a_person_changed_is_left_alone(scene: Scene) -> None:
    """``keep``, with the reason; the file is not touched."""
    scene.live([scene.film("a")])
    scene.disk.outputs["renders/spring/a.mp4"] = b"cut by hand"
    life = scene.live([scene.film("a")])
    assert "changed on disk" in life.plan.actions[0].reason
    assert scene.disk.outputs["renders/spring/a.mp4"] == b"cut by hand"


def test_a_foreign_file_at_the_target_is_a_problem_before_anything_is_sent(scene: Scene) -> None:
    """So is a changed one that a new version would replace."""
    scene.disk.outputs["renders/spring/a.mp4"] = b"mine"
    (problem,) = scene.plan([scene.film("a")]).problems
    assert problem.code == "output-in-the-way"
    assert problem.file == "specs/spring.yaml"
    del scene.disk.outputs["renders/spring/a.mp4"]
    scene.live([scene.film("a")])
    scene.disk.outputs["renders/spring/a.mp4"] = b"cut by hand"
    assert scene.plan([scene.film("a", prompt="new")]).problems


def test_a_file_that_appears_meanwhile_is_not_overwritten(scene: Scene) -> None:
    """It came after the plan: the video waits in the cache, and the person is told."""

    def appears(name: str, _: object) -> None:
        if name == "after fetch":
            scene.disk.outputs["renders/spring/a.mp4"] = b"mine"

    life = scene.live([scene.film("a")], watch=appears)
    assert life.state("a") is JobState.SAVED
    assert scene.disk.outputs["renders/spring/a.mp4"] == b"mine"
    assert "was not written" in life.trouble("a")
    assert len(scene.disk.cache) == 1


def test_an_old_output_stays_until_its_successor_is_verified(scene: Scene) -> None:
    """While the new version renders, fails or waits, the old file stands."""
    scene.live([scene.film("a")])
    old = scene.disk.outputs["renders/spring/a.mp4"]
    scene.market.says("yzx", "fetch", *[Says(error=NotMedia("a page"))] * 4)
    assert scene.live([scene.film("a", prompt="new")]).state("a") is JobState.RENDERED
    assert scene.disk.outputs["renders/spring/a.mp4"] == old
    assert scene.live([scene.film("a", prompt="new")]).state("a") is JobState.SAVED
    assert scene.disk.outputs["renders/spring/a.mp4"] != old


# --- elsewhere, and later ----------------------------------------------------------------------------------------


def test_what_was_bought_at_another_origin_is_held(scene: Scene) -> None:
    """Both origins are named, and no call goes anywhere for the old task; set back, it goes on."""
    jobs = [scene.film("a")]
    scene.live(jobs, watch=stop_at("before status"))
    old, scene.origins["yzx"] = scene.origins["yzx"], "https://elsewhere.test:443"
    seen = len(scene.market.sent)
    life = scene.live(jobs)
    assert life.state("a") is JobState.HELD
    assert {old in life.plan.actions[0].reason, "elsewhere.test" in life.plan.actions[0].reason} == {True}
    assert len(scene.market.sent) == seen
    scene.origins["yzx"] = old
    assert scene.live(jobs).state("a") is JobState.SAVED


@pytest.mark.parametrize("still", [True, False])
def test_an_orphan_of_another_origin_is_not_asked_for_here(scene: Scene, *, still: bool) -> None:
    """No key goes to the new place for an old task, whether or not a job of that provider is left."""
    scene.live([scene.film("old")], watch=stop_at("before status"))
    scene.origins["yzx"] = "https://elsewhere.test:443"
    other = scene.film("new") if still else scene.film("new", "foxapi")
    asked = len(scene.market.asked("status", "yzx"))
    life = scene.live([other])
    assert life.state("new") is JobState.SAVED
    assert not any(sent.request.path.endswith("yzx-1") for sent in scene.market.asked("status", "yzx")[asked:])


def test_a_loopback_purchase_counts_only_at_loopback(scene: Scene) -> None:
    """A rehearsal on this machine is no purchase out there; another loopback port is another origin, though."""
    public, scene.origins["yzx"] = scene.origins["yzx"], "http://127.0.0.1:8080"
    scene.live([scene.film("a")])
    assert scene.plan([scene.film("a")]).actions[0].act == "keep"
    scene.origins["yzx"] = public
    assert scene.plan([scene.film("a")]).actions[0].act == "submit"
    assert scene.live([scene.film("a")]).state("a") is JobState.SAVED
    assert len(scene.market.sold) == 2


def test_a_new_pack_revision_buys_nothing(scene: Scene) -> None:
    """The same declaration, worded differently by a new pack, is what was bought."""
    scene.live([scene.film("a"), scene.film("b", "foxapi")])
    scene.revised("yzx")
    jobs = [scene.film("a"), scene.film("b", "foxapi")]
    planned = scene.plan(jobs)
    assert planned.summary["paid"] == 0
    wanted = scene.wanted(jobs)
    changed = [replace(w, fingerprint="f" * 64) if w.job.provider == "yzx" else w for w in wanted]
    action = make_plan(changed, scene.history(), scene.files(), options=Options()).actions[0]
    assert action.act == "keep"
    assert "made with pack 1, now 2" in action.reason


def test_two_manifests_in_one_batch_write_their_own_records(scene: Scene) -> None:
    """Each purchase goes to the lockfile and the ledger of its own manifest."""
    scene.live([scene.film("a"), scene.film("b", release="autumn"), scene.film("c", "fliz", release="autumn")])
    for release, names in (("spring", {"spring/a"}), ("autumn", {"autumn/b", "autumn/c"})):
        for kind in ("lock", "ledger"):
            text = bytes(scene.disk.records[f"{release}.{kind}"])
            assert {name for name in ("spring/a", "autumn/b", "autumn/c") if name.encode() in text} == names


def test_nothing_secret_is_recorded(scene: Scene) -> None:
    """No prompt, no query, in no record: hashes, ids, times, sizes."""
    scene.live([scene.film("a", prompt="a very secret prompt"), scene.film("b", "fliz", text="secret words")])
    assert "secret" not in scene.disk.texts()
    assert scene.submissions()[0].fact(Fact.SAVED)["path"].startswith("renders/")


def test_a_twin_of_a_parked_job_does_not_wait_once_more(scene: Scene) -> None:
    """What was polled to its deadline, or looked for, is not polled or looked for again in the same run."""
    scene.market.polls = lambda: 10_000
    life = scene.live([scene.film(name, prompt="x") for name in "abc"])
    assert {life.state(name) for name in "abc"} == {JobState.ACCEPTED}
    assert life.seconds <= scene.packs["yzx"].pacing.timeout + 60
    here = Scene(scene.root)
    here.market.says("fliz", "submit", lost(sells=False))
    here.live([here.film(name, "fliz", title="x") for name in "abc"])
    assert len(here.market.asked("list")) == 3
