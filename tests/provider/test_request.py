"""Requests, fingerprints and the declared digest."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from renderer.errors import InvalidError
from renderer.manifest.job import Job, Ref, Upload
from renderer.provider import request
from renderer.provider.pack import Packs
from renderer.provider.packfile import load_packs

MakeJob = Callable[..., Job]
HOST = Upload("media/host.mp4", "ab" * 32, 100)
PACKS = load_packs()


def identity(packs: Packs, *jobs: Job) -> dict[str, request.Identity]:
    """Return the identities of jobs by id."""
    return {key.split("/")[1]: found for key, found in request.fingerprints(jobs, packs).items()}


def test_a_fingerprint_is_exactly_the_documented_digest(packs: Packs, make_job: MakeJob) -> None:
    """DESIGN 1, spelled out: RFC 8785 of seven things, and nothing else."""
    job = make_job("teaser", "yzx", "video", take=2, model="sora-2", prompt="A cat", duration=5)
    tree = {
        "provider": "yzx",
        "operation": "video",
        "method": "POST",
        "path": "/v1/videos",
        "query": {},
        "json": {"model": "sora-2", "prompt": "A cat", "duration": 5},
        "take": 2,
    }
    assert identity(packs, job)["teaser"].fingerprint == hashlib.sha256(rfc8785.dumps(tree)).hexdigest()


def test_references_stand_as_fingerprint_and_field_also_in_the_path(packs: Packs, make_job: MakeJob) -> None:
    """A translation of another job carries that job's fingerprint, where its id will stand in the path."""
    launch = make_job("launch", "fliz", "video", title="T", text="X", aspect="16:9", language="en")
    french = make_job("french", "fliz", "translate", source=Ref("launch", "task"), language="fr")
    found = identity(packs, french, launch)
    tree = {
        "provider": "fliz",
        "operation": "translate",
        "method": "POST",
        "path": ["/api/rest/videos/", [found["launch"].fingerprint, "task"], "/translate"],
        "query": {"new_lang": "fr"},
        "json": None,
        "take": 1,
    }
    assert found["french"].fingerprint == hashlib.sha256(rfc8785.dumps(tree)).hexdigest()
    declared = {
        "provider": "fliz",
        "operation": "translate",
        "values": {"source": [found["launch"].declared, "task"], "language": "fr"},
        "take": 1,
    }
    assert found["french"].declared == hashlib.sha256(rfc8785.dumps(declared)).hexdigest()


def test_a_file_counts_by_its_content(packs: Packs, make_job: MakeJob) -> None:
    """A renamed file is the same job; a changed one is another."""
    jobs = [
        make_job("a", "hifly", "avatar-by-video", source=HOST),
        make_job("b", "hifly", "avatar-by-video", source=Upload("media/renamed.mp4", HOST.sha256, 100)),
        make_job("c", "hifly", "avatar-by-video", source=Upload("media/host.mp4", "cd" * 32, 100)),
    ]
    found = identity(packs, *jobs)
    assert found["a"].fingerprint == found["b"].fingerprint != found["c"].fingerprint
    assert found["a"].declared == found["b"].declared != found["c"].declared


def test_what_is_volatile_makes_no_other_video(packs: Packs, make_job: MakeJob) -> None:
    """A webhook's address does not count; a title does."""
    base: dict[str, Any] = {"title": "T", "text": "X", "aspect": "16:9", "language": "en"}
    plain = make_job("a", "fliz", "video", **base)
    hooked = make_job("b", "fliz", "video", **base, options={"webhook_url": "https://x.example/hook"})
    other = make_job("c", "fliz", "video", **{**base, "title": "U"})
    found = identity(packs, plain, hooked, other)
    assert found["a"].fingerprint == found["b"].fingerprint != found["c"].fingerprint


@pytest.mark.parametrize("change", [{"take": 2}, {"prompt": "B"}, {"seed": 1}, {"model": "sora-2-pro"}])
def test_every_declared_value_counts(packs: Packs, make_job: MakeJob, change: dict[str, Any]) -> None:
    """Another take, prompt, seed or model is another video."""
    base: dict[str, Any] = {"take": 1, "model": "sora-2", "prompt": "A"}
    found = identity(packs, make_job("a", "yzx", "video", **base), make_job("b", "yzx", "video", **{**base, **change}))
    assert found["a"].fingerprint != found["b"].fingerprint
    assert found["a"].declared != found["b"].declared


def test_closing_a_request_three_ways(packs: Packs, make_job: MakeJob) -> None:
    """An open request is shown with its references, and sent with percent-encoded values."""
    job = make_job("french", "fliz", "translate", source=Ref("launch", "task"), language="fr")
    built = request.build(job, packs["fliz"])
    assert request.shown(built).path == "/api/rest/videos/{launch.task}/translate"
    sent = request.substitute(built, lambda _: "a/b ?#%ü")
    assert sent.path == "/api/rest/videos/a%2Fb%20%3F%23%25%C3%BC/translate"


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_value_cannot_climb_out_of_a_path(packs: Packs, make_job: MakeJob, value: str) -> None:
    """An empty or dotted segment is refused, whether it is declared or comes from another job."""
    with pytest.raises(InvalidError, match="1 problem"):
        request.build(make_job("a", "fliz", "duplicate", source=value), packs["fliz"])
    built = request.build(make_job("a", "fliz", "duplicate", source=Ref("b", "task")), packs["fliz"])
    with pytest.raises(ValueError, match="path"):
        request.substitute(built, lambda _: value)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_12_a_prompt_arrives_as_it_is(prompt: str) -> None:
    """Quotes, newlines, template syntax, emoji: nothing in a prompt is evaluated or changed."""
    job = Job(
        id="a",
        kind="video",
        manifest="m.yaml",
        release="r",
        provider="yzx",
        operation="video",
        values={"model": "sora-2", "prompt": prompt},
    )
    sent = request.shown(request.build(job, PACKS["yzx"]))
    assert json.loads(json.dumps(sent.json))["prompt"] == prompt


@pytest.mark.parametrize("seed", [2**53, -(2**53), 10**40, float("inf"), float("nan")])
def test_06_a_number_is_refused_rather_than_rounded(packs: Packs, make_job: MakeJob, seed: float) -> None:
    """A seed that JSON text cannot hold exactly is a problem at its place."""
    job = make_job("a", "yzx", "video", model="sora-2", prompt="A", seed=seed)
    with pytest.raises(InvalidError) as caught:
        request.fingerprints([job], packs)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column, problem.path) == ("specs/spring.yaml", 4, 5, "$.videos.a.seed")


def test_the_largest_exact_seed_is_taken(packs: Packs, make_job: MakeJob) -> None:
    """2^53 - 1 is still exact."""
    job = make_job("a", "yzx", "video", model="sora-2", prompt="A", seed=2**53 - 1)
    assert request.shown(request.build(job, packs["yzx"])).json == {
        "model": "sora-2",
        "prompt": "A",
        "seed": 9007199254740991,
    }


def test_a_reference_that_a_template_drops_is_an_error(packs: Packs, make_job: MakeJob) -> None:
    """What a request has no place for is refused, never silently left out."""
    job = make_job("a", "yzx", "video", model="sora-2", prompt="A", avatar=Ref("host", "avatar"))
    with pytest.raises(InvalidError) as caught:
        request.build(job, packs["yzx"])
    assert caught.value.problems[0].path == "$.videos.a.avatar"


def test_all_problems_of_all_jobs_come_at_once(packs: Packs, make_job: MakeJob) -> None:
    """One bad job hides no other, and what refers to it is not reported for that."""
    jobs = [
        make_job("a", "yzx", "video", model="sora-2", prompt="A", seed=2**60),
        make_job("b", "fliz", "translate", source=Ref("nowhere", "task"), language="fr"),
        make_job("c", "fliz", "duplicate", source=Ref("d", "task")),
        make_job("d", "fliz", "duplicate", source=Ref("c", "task")),
        make_job("e", "foxapi", "video", prompt="x", files=[Ref("a", "url")]),
    ]
    with pytest.raises(InvalidError) as caught:
        request.fingerprints(jobs, packs)
    assert {problem.path.split(".")[2] for problem in caught.value.problems} >= {"a", "b"}
    assert "e" not in {problem.path.split(".")[2] for problem in caught.value.problems}
    assert any(problem.path.startswith(("$.videos.c", "$.videos.d")) for problem in caught.value.problems)


def test_a_long_chain_of_references_needs_no_stack(packs: Packs, make_job: MakeJob) -> None:
    """References are followed without recursion, in whatever order the jobs are written."""
    count = 3000
    jobs = [make_job(f"j{n}", "fliz", "duplicate", source=Ref(f"j{n + 1}", "task")) for n in range(count)]
    jobs.append(make_job(f"j{count}", "fliz", "duplicate", source="a"))
    found = request.fingerprints(jobs, packs)
    assert list(found) == [job.key for job in jobs]
    assert len({each.fingerprint for each in found.values()}) == count + 1


def test_the_same_id_in_another_release_is_another_job(packs: Packs, make_job: MakeJob) -> None:
    """A reference names a job of its own release."""
    mine = make_job("a", "fliz", "duplicate", source="one")
    theirs = Job(
        id="a",
        kind="video",
        manifest="specs/other.yaml",
        release="other",
        provider="fliz",
        operation="duplicate",
        values={"source": "two"},
    )
    user = make_job("b", "fliz", "duplicate", source=Ref("a", "task"))
    alone = request.fingerprints([mine, user], packs)
    both = request.fingerprints([theirs, user, mine], packs)
    assert both["spring/b"].fingerprint == alone["spring/b"].fingerprint


def test_marks_are_what_a_list_shows(packs: Packs, make_job: MakeJob) -> None:
    """Title, language and format are recognised; their hash says nothing of them; other operations have none."""
    job = make_job("a", "fliz", "video", title="T", text="secret", aspect="9:16", language="en")
    operation = packs["fliz"].operations["video"]
    found = request.marks(request.shown(request.build(job, packs["fliz"])), operation)
    assert found == {"title": "T", "lang": "en", "format": "size_9_16"}
    assert len(request.marks_hash(found)) == 64
    other = packs["yzx"].operations["video"]
    assert request.marks_hash(request.marks(request.Request("POST", "/"), other)) == ""


def test_pages_of_a_lookup(packs: Packs) -> None:
    """The second page of a list begins where the first ended."""
    operation = packs["fliz"].operations["video"]
    assert request.lookup_request(operation, page=1).query == {"limit": "20", "offset": "20"}


def test_a_choice_that_a_list_does_not_have(packs: Packs) -> None:
    """An unknown word is refused with the known ones."""
    with pytest.raises(ValueError, match="own, public"):
        request.list_request(packs["hifly"].lists["voices"], chosen={"kind": "mine"})
