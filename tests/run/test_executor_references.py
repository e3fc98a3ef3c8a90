"""What one job needs of another: values, fresh links, files; local files that are sent once; voices tuned in place."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from renderer.manifest.job import Job
from renderer.plan.standing import JobState
from renderer.run.download import Incomplete
from renderer.state.lifecycle import State
from tests.run.scripted import Scene, ref
from tests.run.scripted_market import Says, lost, reply, unsent
from tests.run.test_executor_limits import stop_at

TUNING = {"rate": 1.1, "volume": 1.0, "pitch": 1.0}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A scripted world."""
    return Scene(tmp_path)


def tuned(scene: Scene, *, words: str = "Hello.") -> list[Job]:
    """Return a voice, its tuning, and a dependent of it."""
    return [
        scene.job("voice", "hifly", "voice", title="V", audio="https://example.com/v.mp3"),
        scene.job("tuned", "hifly", "voice-tuning", voice=ref("voice.voice"), options=TUNING),
        scene.job("spoken", "hifly", "audio-by-text", text=words, voice=ref("tuned.voice")),
    ]


def bodies(scene: Scene, kind: str) -> list[Any]:
    return [sent.request.json for sent in scene.market.asked(kind)]


# --- values ------------------------------------------------------------------------------------------------------


def test_a_task_stands_where_the_request_wants_it(scene: Scene) -> None:
    """In the path, percent-encoded; the submit goes out when the other job is rendered."""
    jobs = [scene.job("fr", "fliz", "translate", source=ref("a.task"), language="fr"), scene.film("a", "fliz")]
    assert scene.live(jobs).state("fr") is JobState.SAVED
    assert [sent.request.path for sent in scene.market.asked("submit")] == [
        "/api/rest/video",
        "/api/rest/videos/fliz-1/translate",
    ]


def test_avatar_and_voice_are_values(scene: Scene) -> None:
    """Assets with a value write ``rendered`` and ``saved`` in one append, and their dependants get the value."""
    jobs = [
        scene.job("say", "hifly", text="Hi.", voice=ref("v.voice"), avatar=ref("h.avatar")),
        scene.job("v", "hifly", "voice", title="V", audio="https://example.com/v.mp3"),
        scene.job("h", "hifly", "avatar-by-image", source="https://example.com/h.png"),
    ]
    life = scene.live(jobs)
    assert {life.state(job.id) for job in jobs} == {JobState.SAVED}
    said = bodies(scene, "submit")[-1]
    assert said["voice"].startswith("v-hifly-")
    assert said["avatar"].startswith("a-hifly-")
    lines = [line for line in scene.disk.records["spring.lock"].splitlines() if b'"produced"' in line]
    assert sum(b'"saved"' in line for line in lines) == 2


def test_a_link_is_asked_for_again_just_before_it_is_used(scene: Scene) -> None:
    """What is sent carries a fresh signature; what is recorded carries none."""
    jobs = [
        scene.job("talk", "hifly", "video-by-audio", audio=ref("spoken.url"), avatar="a"),
        scene.job("spoken", "hifly", "audio-by-text", text="Hi.", voice="v"),
    ]
    assert scene.live(jobs).state("talk") is JobState.SAVED
    first = bodies(scene, "submit")[-1]["audio_url"]
    assert "?sig=%2F" in first
    assert "sig=" not in scene.disk.texts()
    other = scene.job("again", "hifly", "video-by-audio", audio=ref("spoken.url"), avatar="b")
    asked = len(scene.market.asked("status"))
    assert scene.live([*jobs, other]).state("again") is JobState.SAVED
    assert bodies(scene, "submit")[-1]["audio_url"] not in ("", first)
    assert len(scene.market.asked("status")) > asked + 1


def test_a_dependent_of_an_old_purchase_at_another_origin_asks_nobody(scene: Scene) -> None:
    """The link of a job that was bought elsewhere cannot be asked for here: no key goes there for an old task."""
    old = scene.job("spoken", "hifly", "audio-by-text", text="Hi.", voice="v")
    scene.live([old])
    scene.origins["hifly"] = "https://elsewhere.test:443"
    talk = scene.job("talk", "hifly", "video-by-audio", audio=ref("spoken.url"), avatar="a")
    asked = len(scene.market.sent)
    life = scene.live([old, talk])
    assert life.state("talk") is JobState.PLANNED
    assert "elsewhere.test" in life.trouble("talk")
    assert len(scene.market.sent) == asked


def test_a_file_is_waited_for_and_uploaded(scene: Scene) -> None:
    """``{ref: x.file}``: the other job's file, from the cache, by its content; the last job of a run, too."""
    jobs = [
        scene.job("talk", "hifly", "video-by-audio", audio=ref("spoken.file"), avatar="a"),
        scene.job("spoken", "hifly", "audio-by-text", text="Hi.", voice="v"),
    ]
    assert scene.live(jobs).state("talk") is JobState.SAVED
    (spoken,) = scene.submissions(job="spring/spoken")
    assert list(scene.market.files.values()) == [spoken.sha256]


def test_a_file_that_could_not_be_downloaded_stops_its_dependent_only(scene: Scene) -> None:
    """The other job is rendered but its file did not come: nothing is bought with it, and the next run goes on."""
    scene.market.says("hifly", "fetch", *[Says(error=Incomplete("cut short"))] * 4)
    jobs = [
        scene.job("talk", "hifly", "video-by-audio", audio=ref("spoken.file"), avatar="a"),
        scene.job("spoken", "hifly", "audio-by-text", text="Hi.", voice="v"),
        scene.film("other"),
    ]
    life = scene.live(jobs)
    assert [life.state(job.id) for job in jobs] == [JobState.PLANNED, JobState.RENDERED, JobState.SAVED]
    assert "not on this machine" in life.trouble("talk")
    assert scene.live(jobs).state("talk") is JobState.SAVED
    assert len(scene.market.sold) == 3


@pytest.mark.parametrize(
    ("answer", "state"),
    [(reply(400), "refused"), (lost(sells=True), "held"), (unsent("tls"), "planned")],
)
def test_dependants_of_what_came_to_nothing_are_not_bought(scene: Scene, answer: Says, state: str) -> None:
    """A refused, held or unsent job keeps those behind it planned, with the reason."""
    scene.market.says("yzx", "submit", answer)
    scene.market.says("hifly", "submit", answer, about="video-by-audio")
    scene.market.says("hifly", "submit", answer)
    jobs = [
        scene.job("spoken", "hifly", "audio-by-text", text="Hi.", voice="v"),
        scene.job("talk", "hifly", "video-by-audio", audio=ref("spoken.url"), avatar="a"),
    ]
    life = scene.live(jobs)
    assert life.state("spoken") == state
    assert life.state("talk") is JobState.PLANNED
    assert f"waits for spoken, which is {state}" in life.trouble("talk")
    assert len(scene.market.asked("submit")) == 1


def test_what_waits_is_bought_when_a_person_said_yes_to_all(scene: Scene) -> None:
    """A job that the plan shows as ``wait`` is bought as soon as what it waits for turns out well, if asked for."""
    jobs = [
        scene.film("a", "fliz"),
        scene.job("fr", "fliz", "translate", source=ref("a.task"), language="fr"),
    ]
    scene.market.says("fliz", "status", *[reply(200, {"fliz_video_by_pk": {"step": "user_action"}})] * 999)
    scene.live(jobs)
    scene.market._script.clear()
    assert scene.plan(jobs).actions[1].act == "wait"
    life = scene.live(jobs, waiting=False)
    assert (life.state("a"), life.state("fr")) == (JobState.SAVED, JobState.PLANNED)
    assert scene.live(jobs).state("fr") is JobState.SAVED


def test_what_is_left_out_may_be_referred_to(scene: Scene) -> None:
    """With a selection, a saved job that is not in the plan still gives its value; an unsaved one is not waited for."""
    a, b = scene.film("a", "fliz"), scene.film("b", "fliz")
    scene.live([a])
    fr = scene.job("fr", "fliz", "translate", source=ref("a.task"), language="fr")
    de = scene.job("de", "fliz", "translate", source=ref("b.task"), language="de")
    life = scene.live([a, b, fr, de], only=["fr", "de"])
    assert (life.state("fr"), life.state("de")) == (JobState.SAVED, JobState.PLANNED)


# --- local files -------------------------------------------------------------------------------------------------


def voices(scene: Scene, count: int, **values: Any) -> list[Job]:
    voice = scene.upload("media/voice.wav")
    return [scene.job(f"v{n}", "hifly", "voice", title=f"V{n}", audio=voice, **values) for n in range(count)]


def test_a_file_is_uploaded_once_within_its_lifetime(scene: Scene) -> None:
    """Three jobs that run side by side share one upload, and so does a run half an hour later."""
    scene.live(voices(scene, 3))
    assert len(scene.market.asked("put")) == 1
    scene.now += 1800
    scene.live(voices(scene, 4))
    assert len(scene.market.asked("put")) == 1
    assert {body["file_id"] for body in bodies(scene, "submit")} == {"file-1"}


def test_an_expired_upload_is_sent_again(scene: Scene) -> None:
    """After its lifetime the provider no longer has it; the request's fingerprint stays the same."""
    scene.live(voices(scene, 1))
    scene.now += 3700
    life = scene.live(voices(scene, 2))
    assert life.state("v1") is JobState.SAVED
    assert len(scene.market.asked("put")) == 2
    assert len(scene.market.sold) == 2


def test_a_clock_that_went_back_makes_an_upload_count_as_gone(scene: Scene) -> None:
    """Its age cannot be known, so it is sent once more: that is free."""
    scene.live(voices(scene, 1))
    scene.jump = timedelta(days=-1)
    assert scene.live(voices(scene, 2)).state("v1") is JobState.SAVED
    assert len(scene.market.asked("put")) == 2


def test_the_address_is_used_byte_for_byte_and_kept_nowhere(scene: Scene) -> None:
    """Upload addresses are signed; only content hash, provider, id and time are recorded."""
    scene.live(voices(scene, 1))
    assert scene.market.asked("put")[0].request.path == "https://cdn.hifly.example/put/file-1?signature=0"
    assert "signature" not in scene.disk.texts()


def test_a_file_that_changed_since_the_plan_is_not_sent(scene: Scene) -> None:
    """It would buy something else than was agreed to."""
    jobs = voices(scene, 1)
    (scene.root / "media/voice.wav").write_bytes(b"another voice")
    life = scene.live(jobs)
    assert life.state("v0") is JobState.PLANNED
    assert "changed since it was planned" in life.trouble("v0")
    assert not scene.market.asked("ticket")


@pytest.mark.parametrize("kind", ["ticket", "put"])
@pytest.mark.parametrize("answer", [lost(sells=False), unsent(), reply(500), reply(429)])
def test_uploads_are_free_and_tried_again(scene: Scene, kind: str, answer: Says) -> None:
    """Whatever passes is tried again; how often is bounded."""
    scene.market.says("hifly", kind, answer, answer)
    assert scene.live(voices(scene, 1)).state("v0") is JobState.SAVED
    scene.market.says("hifly", kind, *[answer] * 50)
    life = scene.live([_other(scene)])
    assert life.state("w") is JobState.PLANNED
    assert "could not be uploaded" in life.trouble("w")
    assert len(scene.market.sold) == 1


def _other(scene: Scene) -> Job:
    return scene.job("w", "hifly", "voice", title="W", audio=scene.upload("media/w.wav", b"w"))


def test_a_denied_upload_stops_the_provider(scene: Scene) -> None:
    """A bad key is a bad key."""
    scene.market.says("hifly", "ticket", reply(401))
    life = scene.live([*voices(scene, 1), scene.film("b")])
    assert life.ended is not None
    assert life.ended.stopped == {"hifly"}
    assert (life.state("v0"), life.state("b")) == (JobState.PLANNED, JobState.SAVED)


# --- a voice that is tuned in place ------------------------------------------------------------------------------


def test_it_is_made_once_and_not_sent_twice_in_that_run(scene: Scene) -> None:
    """In the run that makes it, its dependants need not send it once more."""
    life = scene.live(tuned(scene))
    assert life.state("spoken") is JobState.SAVED
    assert len(scene.market.asked("edit")) == 1
    (submission,) = scene.submissions(operation="voice-tuning")
    assert submission.state is State.SAVED


def test_a_later_run_sends_it_once_more_before_the_first_dependent(scene: Scene) -> None:
    """Unrecorded, once for all dependants, before any of them; in the plan it is ``keep``."""
    scene.live(tuned(scene))
    more = [
        scene.job(f"more{n}", "hifly", "audio-by-text", text=f"More {n}.", voice=ref("tuned.voice")) for n in range(3)
    ]
    jobs = [*tuned(scene), *more]
    assert {a.id: a.act for a in scene.plan(jobs).actions}["tuned"] == "keep"
    seen = len(scene.market.sent)
    life = scene.live(jobs)
    assert {life.state(job.id) for job in more} == {JobState.SAVED}
    kinds = [sent.kind for sent in scene.market.sent[seen:]]
    assert kinds.count("edit") == 1
    assert kinds.index("edit") < kinds.index("submit")
    assert len(scene.submissions(operation="voice-tuning")) == 1


def test_without_a_dependent_submit_it_is_not_sent(scene: Scene) -> None:
    """A run that has nothing to buy with it leaves the voice alone, also one that only collects a dependent."""
    jobs = tuned(scene)
    scene.live(jobs, watch=_stop_at_last_status(scene))
    edits = len(scene.market.asked("edit"))
    assert scene.live([*jobs, scene.film("other")]).state("spoken") is JobState.SAVED
    assert len(scene.market.asked("edit")) == edits


def _stop_at_last_status(scene: Scene) -> Any:
    def watch(name: str, executor: Any) -> None:
        if name == "before status" and len(scene.market.asked("submit")) == 2:
            executor.stop()

    return watch


def test_a_lost_answer_is_no_doubt(scene: Scene) -> None:
    """It is free: sent again until it is heard."""
    scene.market.says("hifly", "edit", lost(sells=False), reply(502))
    life = scene.live(tuned(scene))
    assert life.state("tuned") is JobState.SAVED
    assert len(scene.submissions(operation="voice-tuning")) == 1


def test_a_crash_before_its_answer_is_no_doubt(scene: Scene) -> None:
    """The next run sends it again under the same submission."""
    jobs = tuned(scene)
    effects = Scene(scene.root).live(jobs).fate.effects
    assert scene.live(jobs, crash_at=effects.index("during edit") + 1).crashed
    life = scene.live(jobs)
    assert life.state("spoken") is JobState.SAVED
    assert len(scene.submissions(operation="voice-tuning")) == 1


def test_a_voice_that_cannot_be_tuned_again_holds_its_dependants_back(scene: Scene) -> None:
    """Nothing is spoken with an untuned voice."""
    scene.live(tuned(scene))
    scene.market.says("hifly", "edit", reply(200, {"code": 14, "message": "no such voice"}))
    more = scene.job("more", "hifly", "audio-by-text", text="More.", voice=ref("tuned.voice"))
    life = scene.live([*tuned(scene), more])
    assert life.state("more") is JobState.PLANNED
    assert len(scene.market.asked("submit")) == 2


def test_a_stop_in_the_middle_of_a_chain_goes_on_later(scene: Scene) -> None:
    """Each job of a chain is bought once, however the runs are cut."""
    for effect in ("after submit", "after status", "after edit", "before edit"):
        here = Scene(scene.root)
        here.live(tuned(here), watch=stop_at(effect))
        assert here.live(tuned(here)).state("spoken") is JobState.SAVED
        assert len(here.market.sold) == 2
