"""Every act with its reason; what is in the way; what is behind what; what no job shows any more."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from renderer.plan.plan import Act, Plan
from tests.run.scripted import Scene, ref
from tests.run.scripted_market import lost, reply
from tests.run.test_executor_limits import stop_at


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A scripted world."""
    return Scene(tmp_path)


def acts(plan: Plan) -> dict[str, tuple[str, str]]:
    return {action.id: (action.act.value, action.reason) for action in plan.actions}


def bought(scene: Scene, id_: str = "a", **facts: Any) -> dict[str, Any]:
    """Record a purchase of the film ``id_`` with these facts, and return its ``intended``."""
    (wanted,) = scene.wanted([scene.film(id_)])
    intended = {
        "job": wanted.key,
        "kind": "video",
        "provider": "yzx",
        "operation": "video",
        "fingerprint": wanted.fingerprint,
        "declared": wanted.declared,
        "pack": 1,
        "at": "2026-01-03T10:00:00.000Z",
        "origin": wanted.origin,
    }
    scene.record({"submission": f"{id_ * 28}"[:28], "intended": intended, **facts})
    return intended


ACCEPTED = {"task": "t1", "at": "2026-01-04T10:00:00.000Z"}


@pytest.mark.parametrize(
    ("facts", "act", "reason", "paid"),
    [
        (None, "submit", "new", True),
        ({"refused": {"class": "busy", "code": "429", "message": "slow down"}}, "submit", "slow down", True),
        ({"refused": {"class": "input", "code": "11", "message": "bad"}}, "submit", "(input 11): bad", True),
        ({}, "hold", "whether it was bought is not known", False),
        ({"accepted": ACCEPTED}, "collect", "bought on 2026-01-04, at the provider (task t1)", False),
        ({"accepted": ACCEPTED, "failed": {"code": "x", "message": "no"}}, "failed", "failed it: x: no", False),
        ({"accepted": ACCEPTED, "failed": {}}, "failed", "no reason given", False),
        ({"closed": {"state": "doubtful"}}, "failed", "closed by a person; renderer retry buys it again", False),
        ({"accepted": ACCEPTED, "rendered": {"produced": {}}}, "download", "rendered, not downloaded yet", False),
        (
            {"accepted": ACCEPTED, "note": {"n": 1, "kind": "gone", "message": "does not know it"}},
            "hold",
            "does not know it",
            False,
        ),
        (
            {"accepted": ACCEPTED, "note": {"n": 2, "kind": "person", "message": "asks for a person"}},
            "hold",
            "asks for a person",
            False,
        ),
        ({"accepted": ACCEPTED, "note": {"n": 3, "kind": "clear", "message": "it goes on"}}, "collect", "task", False),
        (
            {"rendered": {"produced": {}}, "note": {"n": 1, "kind": "lost", "message": "its link is lost"}},
            "hold",
            "its link is lost",
            False,
        ),
        (
            {"rendered": {"produced": {}}, "note": {"n": 1, "kind": "person", "message": "asks"}},
            "download",
            "rendered",
            False,
        ),
        ({"accepted": ACCEPTED, "saved": {"sha256": "1" * 64}}, "download", "not on this machine", False),
        ({"saved": {"sha256": "1" * 64}}, "keep", "cannot be asked for it again", False),
    ],
)
def test_what_is_known_decides(
    scene: Scene, facts: dict[str, Any] | None, act: str, reason: str, *, paid: bool
) -> None:
    """Each state of a job has its act, a sentence that explains it, and its price."""
    if facts is not None:
        bought(scene, **facts)
    (action,) = scene.plan([scene.film("a")]).actions
    assert action.act == act
    assert reason in action.reason
    assert action.paid is paid


def test_a_doubt_is_no_doubt_while_a_writer_is_alive(scene: Scene) -> None:
    """Another run is at it: what is intended is on its way."""
    bought(scene)
    assert scene.plan([scene.film("a")], alive=True).actions[0].act is Act.COLLECT
    assert scene.plan([scene.film("a")], alive=False).actions[0].act is Act.HOLD


def test_an_edited_job_and_another_take_say_so(scene: Scene) -> None:
    """A submit explains what makes it new."""
    bought(scene, accepted=ACCEPTED, saved={"sha256": "1" * 64})
    edited = scene.plan([scene.film("a", prompt="other")])
    assert edited.actions[0].reason == "changed since it was bought on 2026-01-04"
    assert scene.plan([scene.film("z", take=3)]).actions[0].reason == "new: take 3"


def test_saved_files_are_kept_renamed_restored_or_downloaded(scene: Scene) -> None:
    """By what stands where, in that order."""
    jobs = [scene.film("a")]
    scene.live(jobs)
    output = "renders/spring/a.mp4"
    assert acts(scene.plan(jobs))["a"] == ("keep", "done")
    moved = scene.plan([scene.film("a", output="n/a.mp4")]).actions[0]
    assert (moved.act, moved.reason, moved.source) == (Act.RENAME, f"moves from {output}", output)
    film = scene.disk.outputs.pop(output)
    assert acts(scene.plan(jobs))["a"] == ("restore", "its file is missing; the cache has it")
    scene.disk.outputs[output] = b"cut by hand"
    assert acts(scene.plan(jobs))["a"] == ("keep", "changed on disk: it is left alone")
    scene.disk.outputs[output] = film
    scene.disk.cache.clear()
    assert acts(scene.plan(jobs))["a"] == ("keep", "done")
    del scene.disk.outputs[output]
    assert acts(scene.plan(jobs))["a"][0] == "download"
    assert acts(scene.plan(jobs, only_new=True))["a"] == ("keep", "saved before; not downloaded here (--only-new)")


def test_another_version_at_the_target_is_replaced_from_the_cache(scene: Scene) -> None:
    """Going back to an old text costs nothing."""
    scene.live([scene.film("a")])
    scene.live([scene.film("a", prompt="b")])
    back = scene.plan([scene.film("a")])
    assert acts(back)["a"] == ("restore", "another version stands there; the cache has it")
    assert not back.problems


@pytest.mark.parametrize(("content", "what"), [(b"mine", "did not make"), (b"cut", "changed on disk")])
def test_what_stands_in_the_way_is_a_problem_with_its_place(scene: Scene, content: bytes, what: str) -> None:
    """Before anything is sent, with the file, the job and the way out."""
    output = "renders/spring/a.mp4"
    if what == "changed on disk":
        scene.live([scene.film("a")])
    scene.disk.outputs[output] = content
    (problem,) = scene.plan([scene.film("a", prompt="new")]).problems
    assert what in problem.message
    assert (problem.file, problem.line, problem.path) == ("specs/spring.yaml", 1, "$.videos.a")
    assert output in problem.message


def test_what_is_paid_already_is_collected_whatever_stands_there(scene: Scene) -> None:
    """The cache takes it; nothing is refused for it."""
    bought(scene, accepted=ACCEPTED)
    scene.disk.outputs["renders/spring/a.mp4"] = b"mine"
    plan = scene.plan([scene.film("a")])
    assert plan.actions[0].act is Act.COLLECT
    assert not plan.problems


def test_what_is_behind_something_stuck_waits(scene: Scene) -> None:
    """Through any number of jobs, in any order of the manifest; what is behind something fine is a submit."""
    scene.market.says("fliz", "submit", reply(200, b"<html>"), about="stuck")
    scene.live([scene.film("stuck", "fliz")])
    jobs = [
        scene.job("far", "fliz", "duplicate", source=ref("near.task")),
        scene.job("near", "fliz", "translate", source=ref("stuck.task"), language="fr"),
        scene.film("stuck", "fliz"),
        scene.film("fine", "fliz"),
        scene.job("behind", "fliz", "translate", source=ref("fine.task"), language="fr"),
    ]
    plan = scene.plan(jobs)
    assert [action.id for action in plan.actions] == [job.id for job in jobs]
    found = acts(plan)
    assert found["stuck"][0] == "hold"
    assert found["near"] == ("wait", "waits for stuck, which is hold")
    assert found["far"] == ("wait", "waits for near, which is wait")
    assert (found["fine"][0], found["behind"][0]) == ("submit", "submit")
    assert plan.summary == {
        "submit": 2,
        "collect": 0,
        "download": 0,
        "restore": 0,
        "rename": 0,
        "keep": 0,
        "hold": 1,
        "failed": 0,
        "wait": 2,
        "orphan": 0,
        "paid": 2,
    }


def test_twins_share_and_only_one_is_paid(scene: Scene) -> None:
    """The first in the manifest buys; the others say whose purchase they share."""
    jobs = [scene.film("a", prompt="x"), scene.film("b", prompt="x"), scene.film("c")]
    plan = scene.plan(jobs)
    assert acts(plan)["b"] == ("restore", "shares the purchase of spring/a")
    assert plan.summary["paid"] == 2


def test_free_operations_are_submits_that_are_not_paid(scene: Scene) -> None:
    """``submit`` counts every job that needs a call, ``paid`` those that may cost."""
    options = {"rate": 1.1, "volume": 1.0, "pitch": 1.0}
    plan = scene.plan([scene.job("t", "hifly", "voice-tuning", voice="v", options=options)])
    assert (plan.summary["submit"], plan.summary["paid"]) == (1, 0)


def test_what_no_job_shows_is_listed_only_for_whole_manifests(scene: Scene) -> None:
    """Collected while it renders; an orphan when it is saved; silent with a selection, or for another release."""
    bought(scene, "gone", accepted=ACCEPTED)
    bought(scene, "old", accepted=ACCEPTED, saved={"sha256": "1" * 64})
    jobs = [scene.film("new")]
    plan = scene.plan(jobs)
    assert [(a.id, a.act.value) for a in plan.actions] == [("new", "submit"), ("gone", "collect"), ("old", "orphan")]
    assert all(action.wanted is None and not action.paid for action in plan.actions[1:])
    assert len(scene.plan(jobs, whole=False).actions) == 1
    assert len(scene.plan([scene.film("new", release="autumn")]).actions) == 1


def test_an_orphan_alone_is_no_change(scene: Scene) -> None:
    """It is only listed."""
    bought(scene, "old", accepted=ACCEPTED, saved={"sha256": "1" * 64})
    scene.live([scene.film("a")])
    plan = scene.plan([scene.film("a")])
    assert plan.summary["orphan"] == 1
    assert not plan.changes


def test_an_orphan_at_another_origin_is_held(scene: Scene) -> None:
    """Both origins are named; it is not collected."""
    bought(scene, "gone", accepted=ACCEPTED)
    scene.origins["yzx"] = "https://elsewhere.test:443"
    gone = scene.plan([scene.film("new")]).actions[1]
    assert gone.act is Act.HOLD
    assert "elsewhere.test" in gone.reason


def test_a_purchase_at_another_origin_is_held_and_a_loopback_one_does_not_count(scene: Scene) -> None:
    """A changed base URL holds what is under way; a rehearsal on this machine is none."""
    public = scene.origins["yzx"]
    bought(scene, accepted=ACCEPTED)
    scene.origins["yzx"] = "https://elsewhere.test:443"
    reason = acts(scene.plan([scene.film("a")]))["a"]
    assert reason[0] == "hold"
    assert public in reason[1]
    other = Scene(scene.root)
    other.origins["yzx"] = "http://localhost:9"
    bought(other, accepted=ACCEPTED)
    other.origins["yzx"] = public
    assert [action.act for action in other.plan([other.film("a")]).actions] == [Act.SUBMIT]


@pytest.mark.parametrize(
    ("facts", "act", "reason"),
    [
        ({"accepted": ACCEPTED, "saved": {"sha256": "1" * 64}}, "download", "not on this machine"),
        ({"saved": {}}, "keep", "made with pack 1, now 2; --rerender to remake"),
        ({"accepted": ACCEPTED}, "collect", "task t1"),
        ({"failed": {}}, "failed", "no reason given"),
        ({}, "hold", "not known"),
        ({"refused": {"class": "input"}}, "submit", "new"),
        ({"closed": {"state": "doubtful"}}, "submit", "new"),
    ],
)
def test_a_purchase_of_an_older_pack_counts(scene: Scene, facts: dict[str, Any], act: str, reason: str) -> None:
    """``declared`` is equal, only the pack words it differently: nothing is bought but what never bound anybody."""
    (wanted,) = scene.wanted([scene.film("a")])
    older = replace(wanted, fingerprint="0" * 64)
    intended: dict[str, Any] = {
        "job": older.key,
        "provider": "yzx",
        "operation": "video",
        "fingerprint": older.fingerprint,
    }
    intended |= {"declared": older.declared, "pack": 1, "at": "2026-01-03T10:00:00.000Z", "origin": older.origin}
    scene.record({"submission": "x" * 28, "intended": intended, **facts})
    scene.revised("yzx")
    action = scene.plan([scene.film("a")]).actions[0]
    assert action.act == act
    assert reason in action.reason or act == "submit"


def test_a_plan_sends_nothing_and_writes_nothing(scene: Scene) -> None:
    """It is a value."""
    scene.market.says("yzx", "submit", lost(sells=True))
    scene.live([scene.film("a"), scene.film("b", "fliz")], watch=stop_at("before status"))
    before = (dict(scene.disk.records), list(scene.market.sent), dict(scene.disk.outputs))
    scene.plan([scene.film("a"), scene.film("b", "fliz"), scene.film("c")])
    assert before == (dict(scene.disk.records), list(scene.market.sent), dict(scene.disk.outputs))


def test_many_edited_jobs_are_planned_without_squares(scene: Scene) -> None:
    """Every one of them edited since it was bought; a guard against hanging, not a measure."""
    jobs = [scene.film(f"a{n}") for n in range(1500)]
    for wanted in scene.wanted(jobs):
        intended = {"job": wanted.key, "fingerprint": "0", "at": "2026-01-01", "origin": wanted.origin}
        scene.record({"submission": wanted.key.replace("/", "-"), "intended": intended, "failed": {}})
    plan = scene.plan(jobs)
    assert plan.summary["submit"] == 1500
    assert all("changed since" in action.reason for action in plan.actions)
