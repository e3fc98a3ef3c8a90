"""DESIGN 4's table of submits, row by row, for every provider."""

from dataclasses import replace
from pathlib import Path

import pytest

from renderer.plan.standing import JobState
from renderer.state.lifecycle import Fact, State
from tests.run.scripted import Scene
from tests.run.scripted_market import lost, reply, unsent, works

EVERY = ("fliz", "hifly", "gen_video", "yzx", "foxapi")
TASKED = ("fliz", "hifly", "yzx", "foxapi")
BUSY = {"fliz": reply(429), "hifly": reply(200, {"code": 1001}), "yzx": reply(429), "foxapi": reply(429)}
DENIED = {
    "fliz": (reply(401), "auth"),
    "hifly": (reply(200, {"code": 1002, "message": "no credits"}), "credits"),
    "gen_video": (reply(401), "auth"),
    "yzx": (reply(402), "credits"),
    "foxapi": (reply(402), "credits"),
}
REFUSING = {
    "fliz": reply(400, {"message": "bad title"}),
    "hifly": reply(200, {"code": 11, "message": "bad text"}),
    "gen_video": reply(400, {"detail": "empty draft"}),
    "yzx": reply(400, {"error": {"code": "model_not_found", "message": "no such model"}}),
    "foxapi": reply(422, {"error": {"code": "invalid", "message": "bad prompt"}}),
}
UNCLEAR = {
    "a dropped connection": lost(sells=True),
    "a redirect": reply(302, sells=True),
    "408": reply(408, sells=True),
    "409": reply(409, sells=True),
    "425": reply(425, sells=True),
    "500": reply(500, sells=True),
    "a page": reply(200, b"<html>", sells=True),
    "no task": reply(200, {"code": 0}, sells=True),
}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A scripted world."""
    return Scene(tmp_path)


@pytest.mark.parametrize("provider", EVERY)
def test_a_job_goes_from_nothing_to_a_file(scene: Scene, provider: str) -> None:
    """Submitted once, polled, downloaded, verified, saved; the second run does nothing at all."""
    jobs = [scene.film("a", provider)]
    life = scene.live(jobs)
    assert (life.error, life.state("a")) == (None, JobState.SAVED)
    assert len(scene.market.sold) == 1
    assert set(scene.disk.outputs) == {"renders/spring/a.mp4"}
    again = scene.live(jobs)
    assert again.fate.effects == []
    assert again.plan.summary["keep"] == 1


@pytest.mark.parametrize("provider", EVERY)
def test_no_record_holds_the_query_of_a_link(scene: Scene, provider: str) -> None:
    """A signed link is used byte for byte and recorded without its signature."""
    scene.live([scene.film("a", provider)])
    (fetch,) = scene.market.asked("fetch")
    assert "?sig=%2F" in fetch.request.path
    assert "sig=" not in scene.disk.texts()


@pytest.mark.parametrize("provider", EVERY)
def test_nothing_sent_is_sent_again_as_a_new_submission(scene: Scene, provider: str) -> None:
    """Each try without a connection is a submission of its own that ends refused, and the next one buys."""
    scene.market.says(provider, "submit", unsent(), unsent())
    life = scene.live([scene.film("a", provider)])
    assert life.state("a") is JobState.SAVED
    assert len(scene.market.sold) == 1
    states = [s.state for s in scene.submissions()]
    assert states == [State.REFUSED, State.REFUSED, State.SAVED]
    assert {s.fact(Fact.REFUSED).get("class") for s in scene.submissions()[:2]} == {"unsent"}


@pytest.mark.parametrize("provider", EVERY)
def test_after_five_tries_without_a_connection_the_provider_stops(scene: Scene, provider: str) -> None:
    """Five tries, then nothing more is sent; the job stays planned, with the error."""
    scene.market.says(provider, "submit", *[unsent()] * 20)
    life = scene.live([scene.film("a", provider)])
    assert len(scene.market.asked("submit")) == 5
    assert life.state("a") is JobState.PLANNED
    assert life.ended is not None
    assert life.ended.stopped == {provider}
    assert "no connection" in life.trouble("a")
    assert life.seconds < 60


def test_a_minute_without_a_connection_stops_the_provider(scene: Scene) -> None:
    """Tries that take long use up the patience before their number does."""
    scene.market.says("yzx", "submit", *[replace(unsent(), seconds=40.0)] * 20)
    life = scene.live([scene.film("a")])
    assert len(scene.market.asked("submit")) < 5
    assert life.ended is not None
    assert life.ended.stopped == {"yzx"}


def test_one_moment_without_a_network_is_one_try(scene: Scene) -> None:
    """Jobs that fail side by side use up one try of their provider, not one each."""
    scene.market.says("yzx", "submit", *[unsent()] * 8)
    life = scene.live([scene.film(f"a{n}") for n in range(8)])
    assert {life.state(f"a{n}") for n in range(8)} == {JobState.SAVED}


@pytest.mark.parametrize("provider", EVERY)
def test_a_certificate_that_is_not_accepted_stops_the_provider_at_once(scene: Scene, provider: str) -> None:
    """TLS verification is not tried again; others go on."""
    other = "foxapi" if provider == "yzx" else "yzx"
    scene.market.says(provider, "submit", unsent("tls"))
    life = scene.live([scene.film("a", provider), scene.film("b", provider), scene.film("c", other)])
    assert life.ended is not None
    assert life.ended.stopped == {provider}
    assert life.state("a") is JobState.PLANNED
    assert life.state("c") is JobState.SAVED


@pytest.mark.parametrize("provider", TASKED)
def test_a_busy_provider_is_asked_again_in_its_turn(scene: Scene, provider: str) -> None:
    """Busy is a refusal that is paced: nothing was bought, and the job goes again in this run."""
    scene.market.says(provider, "submit", *[BUSY[provider]] * 3)
    life = scene.live([scene.film("a", provider)])
    assert life.state("a") is JobState.SAVED
    assert [s.state for s in scene.submissions()] == [State.REFUSED] * 3 + [State.SAVED]
    assert len(scene.market.sold) == 1


@pytest.mark.parametrize(
    ("header", "least", "most"), [("7", 7, 8), ("86400", 59, 62), ("-5", 1, 2), ("0", 1, 2), ("soon", 0, 2)]
)
def test_retry_after_is_kept_within_bounds(scene: Scene, header: str, least: float, most: float) -> None:
    """The provider's wait counts as it says, up to a minute; nonsense counts as nothing."""
    scene.market.says("yzx", "submit", reply(429, retry_after=header))
    scene.live([scene.film("a")])
    first, second = (sent.at for sent in scene.market.asked("submit"))
    assert least <= second - first <= most + 0.5


@pytest.mark.parametrize("provider", TASKED)
def test_ten_minutes_of_busy_stop_the_provider_and_only_it(scene: Scene, provider: str) -> None:
    """Without one accepted submit in ten minutes the provider stops; the job stays planned; others are not slowed."""
    other = "foxapi" if provider == "yzx" else "yzx"
    scene.market.says(provider, "submit", *[BUSY[provider]] * 500)
    life = scene.live([scene.film("a", provider), scene.film("b", other)])
    asked = [sent.at for sent in scene.market.asked("submit", provider)]
    assert 500 < asked[-1] - asked[0] <= 600
    assert life.state("a") is JobState.PLANNED
    assert life.ended is not None
    assert life.ended.stopped == {provider}
    assert life.state("b") is JobState.SAVED
    assert scene.market.asked("submit", other)[0].at - asked[0] < 1


def test_an_accepted_submit_renews_the_patience(scene: Scene) -> None:
    """Ten minutes count from the last submit that was accepted, so a busy queue moves on for hours."""
    for name in "abc":
        scene.market.says("hifly", "submit", *[reply(200, {"code": 1001})] * 13, about=f"Say {name}.")
    scene.pacing["hifly"] = {"in_flight": 1}
    life = scene.live([scene.film(name, "hifly") for name in "abc"])
    assert {life.state(name) for name in "abc"} == {JobState.SAVED}
    assert life.seconds > 900


def test_busy_and_unreachable_by_turns_still_ends(scene: Scene) -> None:
    """A provider that is now busy, now unreachable uses up the ten minutes all the same."""
    scene.market.says("yzx", "submit", *[unsent(), reply(429)] * 2000)
    life = scene.live([scene.film("a")])
    assert life.ended is not None
    assert life.ended.stopped == {"yzx"}
    assert life.seconds <= 700


@pytest.mark.parametrize("provider", EVERY)
def test_auth_and_credits_stop_only_that_provider(scene: Scene, provider: str) -> None:
    """Its jobs stay planned with the remedy, what it has accepted goes on, other providers do not notice."""
    answer, kind = DENIED[provider]
    other = "foxapi" if provider == "yzx" else "yzx"
    scene.pacing[provider] = {"in_flight": 2, "apart": 5.0}
    scene.market.says(provider, "submit", answer, about="second")
    jobs = [scene.film(name, provider) for name in ("first", "second", "third", "fourth")]
    life = scene.live([*jobs, scene.film("other", other)])
    assert life.state("first") is JobState.SAVED
    assert {life.state(name) for name in ("second", "third", "fourth")} == {JobState.PLANNED}
    assert life.state("other") is JobState.SAVED
    assert life.ended is not None
    assert life.ended.stopped == {provider}
    assert len(scene.market.asked("submit", provider)) <= 3
    assert life.ended.troubles["spring/fourth"].remedy
    (refused,) = [s for s in scene.submissions() if s.state is State.REFUSED]
    assert refused.fact(Fact.REFUSED)["class"] == kind
    assert scene.live([*jobs, scene.film("other", other)]).state("fourth") is JobState.SAVED


@pytest.mark.parametrize("provider", EVERY)
def test_a_refusal_for_the_jobs_own_sake_waits_for_the_next_apply(scene: Scene, provider: str) -> None:
    """It is not sent again in this run; the plan repeats what the provider said; the next apply sends it."""
    scene.market.says(provider, "submit", REFUSING[provider])
    jobs = [scene.film("a", provider), scene.film("b", provider)]
    life = scene.live(jobs)
    assert life.state("a") is JobState.REFUSED
    assert life.state("b") is JobState.SAVED
    assert len(scene.market.asked("submit", provider)) == 2 + (provider == "gen_video")
    planned = {action.id: action for action in scene.plan(jobs).actions}
    assert planned["a"].act == "submit"
    assert planned["a"].paid
    assert "not taken last time" in planned["a"].reason
    assert scene.live(jobs).state("a") is JobState.SAVED
    assert len(scene.market.sold) == 2


@pytest.mark.parametrize("provider", TASKED)
@pytest.mark.parametrize("what", UNCLEAR)
def test_what_says_nothing_is_a_doubt_and_is_never_sent_again(scene: Scene, provider: str, what: str) -> None:
    """Sent, and no answer that proves anything: held (or found in the provider's list), and sent once only."""
    answer = UNCLEAR[what]
    if (provider, what) == ("hifly", "no task"):
        answer = reply(200, {"code": 0, "message": "ok"}, sells=True)
    scene.market.says(provider, "submit", answer)
    jobs = [scene.film("a", provider)]
    life = scene.live(jobs)
    assert life.state("a") is (JobState.SAVED if provider == "fliz" else JobState.HELD)
    if provider != "fliz":
        (action,) = scene.plan(jobs).actions
        assert action.act == "hold"
        assert not action.paid
        held = life.standing("a").held
        assert held is not None
        assert "never sent again" in held.next
    scene.live(jobs)
    assert len(scene.market.asked("submit")) == 1
    assert len(scene.market.sold) == 1


def test_an_unusable_answer_is_kept(scene: Scene) -> None:
    """What could not be read is kept for people, and the message says where."""
    scene.market.says("yzx", "submit", reply(200, b"<html>what?", sells=True))
    life = scene.live([scene.film("a")])
    assert list(scene.disk.answers.values()) == [b"<html>what?"]
    (name,) = scene.disk.answers
    assert any(name in event.message for event in life.said("trouble", "a"))


def test_the_intent_is_durable_before_the_request_leaves(scene: Scene) -> None:
    """Whenever a submit leaves, lockfile and ledger hold its ``intended`` already."""
    seen: list[int] = []

    def watch(name: str, _: object) -> None:
        if name == "before submit":
            seen.append(min(data.count(b'"intended"') for data in scene.disk.records.values()))

    scene.pacing["yzx"] = {"in_flight": 1}
    scene.live([scene.film(name) for name in "abc"], watch=watch)
    assert seen == [1, 2, 3]


def test_submits_use_a_fresh_connection_and_one_id_each(scene: Scene) -> None:
    """Each send has an id of its own, minted for it."""
    scene.market.says("yzx", "submit", unsent(), reply(429), works())
    scene.live([scene.film("a"), scene.film("b")])
    ids = [s.id for s in scene.submissions()]
    assert len(set(ids)) == len(ids) == 4
    assert all(len(id_) == 28 for id_ in ids)
