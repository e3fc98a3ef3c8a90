"""How much, how fast, how long: places, turns, priorities, budgets, deadlines, stops, and a disk that refuses."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from renderer.errors import DiskError
from renderer.plan.standing import JobState
from renderer.run.executor import Executor
from renderer.state.lifecycle import Fact, State
from tests.run.scripted import Scene, ref
from tests.run.scripted_market import Says, lost, reply, unsent, works

PERSON = reply(200, {"fliz_video_by_pk": {"step": "user_action"}})


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A scripted world."""
    return Scene(tmp_path)


def stop_at(effect: str) -> Any:
    """Return what stops a run when an effect is reached for the first time."""
    done = False

    def watch(name: str, executor: Executor) -> None:
        nonlocal done
        if name == effect and not done:
            done = True
            executor.stop()

    return watch


# --- places and turns --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("places", [1, 2, 5])
def test_in_flight_counts_jobs_at_the_provider(scene: Scene, places: int) -> None:
    """A place is taken before the submit and given back when the job has left the provider, not after an answer."""
    scene.pacing["yzx"] = {"in_flight": places}
    scene.market.polls = lambda: 3
    life = scene.live([scene.film(f"a{n}") for n in range(8)])
    assert {life.state(f"a{n}") for n in range(8)} == {JobState.SAVED}
    assert scene.market.most_open["yzx"] == places


def test_a_resumed_job_has_its_place_before_anything_new_is_sent(scene: Scene) -> None:
    """What an earlier run left at the provider counts, wherever it stands in the manifest."""
    scene.pacing["yzx"] = {"in_flight": 1}
    scene.market.polls = lambda: 5
    old = scene.film("old")
    scene.live([old], watch=stop_at("before status"))
    assert scene.live([scene.film("new"), old]).state("new") is JobState.SAVED
    assert scene.market.most_open["yzx"] == 1


def test_a_dependant_and_what_it_needs_share_one_place(scene: Scene) -> None:
    """With one place the one is made after the other, without a deadlock."""
    scene.pacing["fliz"] = {"in_flight": 1}
    jobs = [
        scene.job("fr", "fliz", "translate", source=ref("launch.task"), language="fr"),
        scene.film("launch", "fliz"),
    ]
    life = scene.live(jobs)
    assert {life.state("fr"), life.state("launch")} == {JobState.SAVED}


def test_submits_are_apart(scene: Scene) -> None:
    """Two submits to a provider leave at least ``apart`` seconds from each other, whatever they wait for before."""
    scene.pacing["hifly"] = {"apart": 4.0, "in_flight": 9}
    voice = scene.upload("media/voice.wav")
    scene.market.says("hifly", "put", works(30.0))
    jobs = [scene.job(f"v{n}", "hifly", "voice", title=f"V{n}", audio=voice) for n in range(4)]
    life = scene.live(jobs)
    assert {life.state(f"v{n}") for n in range(4)} == {JobState.SAVED}
    at = [sent.at for sent in scene.market.asked("submit")]
    assert len(at) == 4
    assert min(later - sooner for sooner, later in itertools.pairwise(at)) >= 3.99


def test_priorities_go_first_then_the_order_of_the_manifest(scene: Scene) -> None:
    """Among those that wait for a place the highest priority is served first."""
    scene.pacing["yzx"] = {"in_flight": 1}
    scene.live([scene.film("a"), scene.film("b"), scene.film("c", priority=5), scene.film("d", priority=-1)])
    asked = [sent.request.json["prompt"] for sent in scene.market.asked("submit")]  # type: ignore[index,call-overload]
    assert asked == ["c", "a", "b", "d"]


def test_priorities_decide_what_a_budget_reaches(scene: Scene) -> None:
    """With money for one, the important one is bought."""
    life = scene.live([scene.film("a"), scene.film("b", priority=1)], max_submits=1)
    assert (life.state("a"), life.state("b")) == (JobState.PLANNED, JobState.SAVED)


# --- budgets -----------------------------------------------------------------------------------------------------


def test_a_budget_is_reserved_before_it_is_sent(scene: Scene) -> None:
    """However many jobs go side by side, no more paid submits leave than the manifest allows."""
    scene.pacing["yzx"] = {"in_flight": 9}
    life = scene.live([scene.film(f"a{n}") for n in range(6)], budgets={"specs/spring.yaml": 2})
    assert len(scene.market.sold) == 2
    assert life.ended is not None
    assert life.ended.out_of_budget
    assert [s.state for s in scene.submissions()] == [State.SAVED] * 2
    assert "budget" in life.trouble("a5")


def test_a_budget_is_per_manifest_and_max_submits_for_the_run(scene: Scene) -> None:
    """One manifest's budget leaves the other's alone; ``--max-submits`` bounds both."""
    jobs = [scene.film("a"), scene.film("b"), scene.film("c", release="autumn"), scene.film("d", release="autumn")]
    scene.live(jobs, budgets={"specs/spring.yaml": 1, "specs/autumn.yaml": 9}, max_submits=2)
    assert len(scene.market.sold) == 2
    scene.live(jobs, budgets={"specs/spring.yaml": 0})
    assert len(scene.market.sold) <= 3


@pytest.mark.parametrize("answer", [unsent(), reply(429), reply(400)])
def test_a_refused_send_does_not_count(scene: Scene, answer: Any) -> None:
    """What was refused gives its reservation back."""
    scene.market.says("yzx", "submit", answer)
    scene.pacing["yzx"] = {"in_flight": 1}
    scene.live([scene.film("a"), scene.film("b")], max_submits=1)
    assert len(scene.market.sold) == 1


def test_a_doubt_counts(scene: Scene) -> None:
    """What may have been bought keeps its reservation."""
    scene.market.says("yzx", "submit", lost(sells=False))
    scene.pacing["yzx"] = {"in_flight": 1}
    life = scene.live([scene.film("a"), scene.film("b")], max_submits=1)
    assert (life.state("a"), life.state("b")) == (JobState.HELD, JobState.PLANNED)


def test_what_is_free_takes_no_budget(scene: Scene) -> None:
    """Voice tuning is not paid, so a budget of none does not stop it."""
    tuned = scene.job("tuned", "hifly", "voice-tuning", voice="v", options={"rate": 1.1, "volume": 1.0, "pitch": 1.0})
    assert scene.live([tuned], max_submits=0).state("tuned") is JobState.SAVED


# --- ends --------------------------------------------------------------------------------------------------------


def test_a_deadline_ends_the_run_and_what_was_bought_waits(scene: Scene) -> None:
    """At the deadline nothing more is polled; the next run goes on."""
    scene.market.polls = lambda: 50
    life = scene.live([scene.film("a")], deadline=60.0)
    assert life.state("a") is JobState.ACCEPTED
    assert life.seconds <= 61
    assert life.ended is not None
    assert not life.ended.interrupted


def test_nothing_is_bought_that_could_hardly_be_collected(scene: Scene) -> None:
    """Where such jobs took longer so far than is left, they are not submitted."""
    scene.market.polls = lambda: 10
    assert scene.live([scene.film("a")]).state("a") is JobState.SAVED
    life = scene.live([scene.film("b")], deadline=20.0)
    assert life.state("b") is JobState.PLANNED
    assert "deadline" in life.trouble("b")
    assert len(scene.market.sold) == 1


def test_fail_fast_submits_nothing_more_after_the_first_failure(scene: Scene) -> None:
    """Keeping going is the default; with --fail-fast the first new failure is the last."""
    for fail_fast, bought in ((True, 1), (False, 3)):
        here = Scene(scene.root)
        here.pacing["yzx"] = {"in_flight": 1}
        here.market.says("yzx", "status", reply(200, {"status": "failed"}))
        here.live([here.film("a"), here.film("b"), here.film("c")], fail_fast=fail_fast)
        assert len(here.market.sold) == bought


def test_an_old_failure_is_no_first_failure(scene: Scene) -> None:
    """What had failed before this run does not end it."""
    scene.market.says("yzx", "status", reply(200, {"status": "failed"}))
    jobs = [scene.film("a")]
    assert scene.live(jobs).state("a") is JobState.FAILED
    assert scene.live([*jobs, scene.film("b")], fail_fast=True).state("b") is JobState.SAVED


PHASES = [
    "before append to spring.lock",
    "after append to spring.ledger",
    "before submit",
    "during submit",
    "after submit",
    "before status",
    "after status",
    "before fetch",
    "after fetch",
    "before admit",
    "after publish",
]


@pytest.mark.parametrize(
    ("provider", "phase"),
    [
        (provider, phase)
        for provider in ("yzx", "hifly", "gen_video", "fliz", "foxapi")
        for phase in PHASES
        if (provider, phase[-6:]) != ("gen_video", "status")
    ],
)
def test_a_stop_records_what_was_sent_and_sends_nothing_new(scene: Scene, provider: str, phase: str) -> None:
    """Wherever the first Ctrl-C comes: answers to sent requests are recorded, no new submit leaves, nothing is held."""
    scene.pacing[provider] = {"in_flight": 2}
    sent_before: list[int] = []
    stop = stop_at(phase)

    def watch(name: str, executor: Executor) -> None:
        if name == phase and not sent_before:
            sent_before.append(len(scene.market.asked("submit")) + (name == "before submit"))
        stop(name, executor)

    jobs = [scene.film(name, provider) for name in ("a", "b", "c", "d")]
    life = scene.live(jobs, watch=watch)
    assert life.error is None
    assert life.ended is not None
    assert life.ended.interrupted
    assert len(scene.market.asked("submit")) == sent_before[0]
    for submission in scene.submissions():
        assert submission.state is not State.DOUBTFUL
    assert len(scene.market.sold) == sum(s.state is not State.REFUSED for s in scene.submissions())
    again = scene.live(jobs)
    assert {again.state(job.id) for job in jobs} == {JobState.SAVED}
    assert len(scene.market.sold) == 4


def test_a_stop_before_anything_began_sends_nothing(scene: Scene) -> None:
    """A signal that comes before the loop does its first step is heard."""
    life = scene.live([scene.film("a")], watch=None, before=lambda executor: executor.stop())
    assert life.fate.effects == []
    assert life.state("a") is JobState.PLANNED


def test_a_stop_while_busy_backs_off_ends_at_once(scene: Scene) -> None:
    """Waiting for a turn is not waiting for an answer."""
    scene.market.says("yzx", "submit", *[reply(429, retry_after="60")] * 9)
    life = scene.live([scene.film("a")], watch=stop_at("after submit"))
    assert life.seconds < 5
    assert [s.state for s in scene.submissions()] == [State.REFUSED]


def test_collect_never_buys(scene: Scene) -> None:
    """Polls and downloads go on; what is new stays planned, also behind what was collected."""
    old = scene.film("old", "fliz")
    scene.live([old], watch=stop_at("before status"))
    fr = scene.job("fr", "fliz", "translate", source=ref("old.task"), language="fr")
    life = scene.live([old, fr, scene.film("new")], buying=False)
    assert life.state("old") is JobState.SAVED
    assert {life.state("fr"), life.state("new")} == {JobState.PLANNED}
    assert len(scene.market.asked("submit")) == 1


# --- a disk that refuses -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(1, 14))
@pytest.mark.parametrize("name", ["spring.lock", "spring.ledger"])
def test_a_record_that_the_disk_refuses_stops_all_submitting(scene: Scene, number: int, name: str) -> None:
    """From the n-th append on the disk refuses: no submit leaves afterwards, and the error carries what was lost."""
    scene.pacing |= {"yzx": {"in_flight": 2}, "hifly": {"in_flight": 2}}
    count = 0

    def refuses(file: str) -> bool:
        nonlocal count
        count += file == name
        return file == name and count >= number

    scene.disk.refuses = refuses
    jobs = [scene.film(f"{provider}-{n}", provider) for n in range(3) for provider in ("yzx", "hifly", "gen_video")]
    life = scene.live(jobs)
    assert isinstance(life.error, DiskError)
    assert "cannot be written" in life.error.message
    assert not any(sent.after_refusal for sent in scene.market.asked("submit"))
    told = life.error.message
    durable = scene.history()
    for sale in scene.market.sold:
        known = [s for s in durable.submissions.values() if s.task == sale.task or s.intended.get("keyed")]
        assert known or f'"task":"{sale.task}"' in told, "an accepted task is neither durable nor told"
    scene.disk.refuses = lambda _: False
    after = scene.live(jobs)
    assert after.error is None
    assert len({sale.identity for sale in scene.market.sold}) == len(scene.market.sold)


def test_nothing_leaves_once_another_record_was_refused(scene: Scene) -> None:
    """Two intents are durable and the next one, written right behind them, is not: neither of the two leaves."""
    scene.pacing["yzx"] = {"apart": 0.001}
    appends = 0

    def refuses(name: str) -> bool:
        nonlocal appends
        appends += name == "spring.lock"
        return appends > 1

    scene.disk.refuses = refuses
    life = scene.live([scene.film("a"), scene.film("b", "foxapi"), scene.film("c")])
    assert isinstance(life.error, DiskError)
    assert [s.state for s in scene.submissions()] == [State.DOUBTFUL] * 2
    assert not scene.market.asked("submit")


def test_every_record_of_a_shared_write_is_told(scene: Scene) -> None:
    """Three answers that arrive together and cannot be written are all in the error."""
    scene.pacing["yzx"] = {"in_flight": 3}
    scene.disk.refuses = lambda _: len(scene.market.sold) == 3
    life = scene.live([scene.film(name) for name in "abc"])
    assert isinstance(life.error, DiskError)
    for sale in scene.market.sold:
        assert f'"task":"{sale.task}"' in life.error.message


def test_a_record_lost_after_a_stop_is_told(scene: Scene) -> None:
    """An answer that arrives after Ctrl-C and cannot be written is in the error, although its job is gone."""
    scene.disk.refuses = lambda _: bool(scene.market.sold)
    life = scene.live([scene.film("a")], watch=stop_at("before submit"))
    assert isinstance(life.error, DiskError)
    assert '"task":"yzx-1"' in life.error.message


def test_a_full_disk_in_a_download_leaves_that_job_rendered(scene: Scene) -> None:
    """Others go on; the next run downloads it."""
    jobs = [scene.film("a"), scene.film("b", "foxapi")]
    for what in ("part", "cache", "output"):
        here = Scene(scene.root)
        here.disk.full = full_for_yzx(here, what)
        life = here.live(jobs)
        assert life.error is None, what
        assert life.state("b") is JobState.SAVED
        assert life.state("a") is (JobState.SAVED if what == "output" else JobState.RENDERED), what
        assert "download" in life.trouble("a")
        here.disk.full = lambda _: False
        assert here.live(jobs).state("a") is JobState.SAVED
        assert set(here.disk.outputs) == {"renders/spring/a.mp4", "renders/spring/b.mp4"}
        assert len(here.market.sold) == 2


def full_for_yzx(scene: Scene, what: str) -> Any:
    """Return a disk that is full for the file of one provider alone."""

    def full(name: str) -> bool:
        last = scene.market.asked("fetch")[-1]
        return name == what and last.provider == "yzx"

    return full


# --- bugs --------------------------------------------------------------------------------------------------------


def test_a_bug_in_one_job_surfaces_at_the_end_and_the_others_are_saved(scene: Scene) -> None:
    """An error that nobody expected is raised when all else is done; nothing of the others is lost."""
    scene.market.says("yzx", "status", Says(error=ZeroDivisionError("a bug")))
    scene.market.polls = lambda: 3
    jobs = [scene.film("a"), scene.film("b"), scene.film("c", "fliz")]
    life = scene.live(jobs)
    assert isinstance(life.error, ZeroDivisionError)
    assert {life.state("b"), life.state("c")} == {JobState.SAVED}
    assert life.state("a") is JobState.ACCEPTED
    assert scene.live(jobs).state("a") is JobState.SAVED


def test_a_bug_in_a_send_after_a_stop_is_not_swallowed(scene: Scene) -> None:
    """What goes wrong while answers are still awaited is raised, too."""
    scene.market.says("yzx", "submit", Says(error=ZeroDivisionError("a bug"), sells=True))
    life = scene.live([scene.film("a")], watch=stop_at("during submit"))
    assert isinstance(life.error, ZeroDivisionError)
    assert life.state("a") is JobState.HELD


def test_a_record_that_cannot_be_encoded_harms_nobody_else(scene: Scene) -> None:
    """A value that no record can hold is that job's error; the run neither hangs nor loses others' records."""
    half = '{"code": 0, "status": 3, "voice": "\\ud800", "demo_url": ""}'
    scene.market.says("hifly", "status", reply(200, half.encode()))
    voice = scene.job("v", "hifly", "voice", title="V", audio="https://example.com/v.mp3")
    life = scene.live([voice, scene.film("b"), scene.film("c", "hifly")])
    assert life.error is not None
    assert {life.state("b"), life.state("c")} == {JobState.SAVED}
    assert life.state("v") is JobState.ACCEPTED


def test_everything_about_a_refusal_is_in_its_record(scene: Scene) -> None:
    """Class, code and message are kept, so that plan can repeat them."""
    scene.market.says("yzx", "submit", reply(400, {"error": {"code": "model_not_found", "message": "no such model"}}))
    scene.live([scene.film("a")])
    (submission,) = scene.submissions()
    fact = submission.fact(Fact.REFUSED)
    assert (fact["class"], fact["code"], fact["message"]) == ("input", "model_not_found", "no such model")
