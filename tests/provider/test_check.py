"""What is refused before money moves, and in which words."""

from collections.abc import Callable
from typing import Any

import pytest

from renderer.manifest.job import Job, Ref, Upload
from renderer.provider.check import check, twins
from renderer.provider.pack import Packs
from renderer.provider.request import fingerprints

MakeJob = Callable[..., Job]
FLIZ: dict[str, Any] = {"title": "T", "text": "A text.", "aspect": "16:9", "language": "en"}
HIFLY: dict[str, Any] = {"text": "A text.", "voice": "v", "avatar": "a"}
YZX: dict[str, Any] = {"model": "sora-2", "prompt": "A cat"}
IMAGE = "https://x.example/1.png"


def said(packs: Packs, *jobs: Job, severity: str = "error") -> list[str]:
    """Return the messages of one severity."""
    return [problem.message for problem in check(jobs, packs) if problem.severity == severity]


@pytest.mark.parametrize(
    ("operation", "values", "message"),
    [
        ("fliz video", {**FLIZ, "text": " https://x.example/article "}, "only a URL"),
        ("fliz video", {**FLIZ, "aspect": "4:3"}, "`aspect` is"),
        ("fliz video", {**FLIZ, "language": "english"}, "ISO 639-1"),
        ("fliz video", {"title": "T", "text": "x", "aspect": "1:1"}, "needs `language`"),
        ("fliz video", {**FLIZ, "options": {"category": "product"}}, "3 to 10 `images`"),
        ("fliz video", {**FLIZ, "options": {"category": "ad"}, "images": [IMAGE] * 11}, "3 to 10 `images`"),
        ("fliz video", {**FLIZ, "images": [Upload("a.png", "ab", 1)]}, "must be a list of URLs"),
        ("fliz video", {**FLIZ, "music": {"volume": 101}}, "the most is 100"),
        ("fliz video", {**FLIZ, "music": {"id": "a", "url": IMAGE}}, "an id and a url"),
        ("fliz video", {**FLIZ, "captions": {"position": "top"}}, "`position` is"),
        ("fliz video", {**FLIZ, "captions": {"color": "#FFF"}}, "#RRGGBB"),
        ("fliz video", {**FLIZ, "options": {"video_animation_mode": "none"}}, "`video_animation_mode` is"),
        ("fliz video", {**FLIZ, "seed": 1}, "has no key `seed`"),
        ("fliz translate", {"language": "fr"}, "needs `source`"),
        ("fliz translate", {"source": Ref("x", "url"), "language": "fr"}, "only {ref: job.task}"),
        ("hifly video-by-text", {**HIFLY, "text": "x" * 10_001}, "the limit is 10,000"),
        ("hifly video-by-text", {**HIFLY, "text": "a <a href='x' target=_blank>link</a>"}, "HTML tag"),
        ("hifly video-by-text", {**HIFLY, "title": "x" * 21}, "the limit is 20"),
        ("hifly video-by-text", {**HIFLY, "avatar": Ref("x", "voice")}, "only {ref: job.avatar}"),
        ("hifly video-by-audio", {"audio": "speech.mp3", "avatar": "a"}, "must be a URL, {upload: path}"),
        ("hifly avatar-by-image", {"source": IMAGE, "model": 3}, "`model` is 3"),
        ("hifly voice", {"audio": IMAGE}, "needs `title`"),
        (
            "hifly voice-tuning",
            {"voice": "v", "options": {"rate": 0.4, "volume": 1, "pitch": 1}},
            "the least is 0.5",
        ),
        ("hifly voice-tuning", {"voice": "v", "options": {"rate": 1, "volume": 2.1, "pitch": 1}}, "the most is 2"),
        ("hifly voice-tuning", {"voice": "v", "options": {"rate": 1, "volume": 1}}, "needs `pitch`"),
        ("hifly voice-tuning", {"voice": "v"}, "needs `options`"),
        ("gen_video export", {"draft": "https://x.example/draft.json"}, "draft id"),
        ("gen_video export", {"draft": "draft.json?draft_id=1"}, "draft id"),
        ("yzx video", {**YZX, "model": "seedance-2.0"}, "Seedance"),
        ("yzx video", {**YZX, "duration": 2.5}, "whole number"),
        ("yzx video", {**YZX, "resolution": "720p"}, "width x height"),
        ("yzx video", {**YZX, "seed": 2**53}, "2^53"),
        ("foxapi video", {"prompt": "x" * 10_001}, "the limit is 10,000"),
        ("foxapi video", {"prompt": "x", "aspect": "1:1"}, "`aspect` is"),
        ("foxapi video", {"prompt": "x", "files": [IMAGE] * 21}, "the limit is 20"),
        ("foxapi video", {"prompt": "x", "duration": 5}, "has no key `duration`"),
        ("studio video", {"title": "T"}, "cannot be made by studio"),
        ("nobody video", {"title": "T"}, "cannot be made by nobody"),
        ("fliz export", {"title": "T"}, "no operation export"),
    ],
)
def test_a_seeds_limit_is_an_error(
    packs: Packs, make_job: MakeJob, operation: str, values: dict[str, Any], message: str
) -> None:
    """What a provider documents is refused, once, in the manifest's words."""
    found = said(packs, make_job("a", *operation.split(" "), **values))
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    ("provider", "operation", "values"),
    [
        ("fliz", "video", {**FLIZ, "style": "cubism"}),
        ("fliz", "video", {**FLIZ, "captions": {"style": "wavy"}}),
        ("fliz", "video", {**FLIZ, "captions": {"font": "comic"}}),
        ("fliz", "video", {**FLIZ, "options": {"script_style": "haiku"}}),
        ("fliz", "duplicate", {"source": "not-a-uuid"}),
        ("yzx", "video", {**YZX, "resolution": "1792x1024"}),
        ("hifly", "avatar-by-video", {"source": Upload("a.avi", "ab", 5)}),
        ("hifly", "avatar-by-video", {"source": Upload("a.mp4", "ab", 600 * 2**20)}),
        ("hifly", "video-by-audio", {"audio": Upload("a.flac", "ab", 5, 60.0), "avatar": "a"}),
    ],
)
def test_what_only_others_say_warns(
    packs: Packs, make_job: MakeJob, provider: str, operation: str, values: dict[str, Any]
) -> None:
    """A limit from a public source never refuses a job."""
    job = make_job("a", provider, operation, **values)
    assert said(packs, job) == []
    assert len(said(packs, job, severity="warning")) == 1


@pytest.mark.parametrize(
    ("upload", "message"),
    [
        (Upload("v.flac", "ab", 1000, 60.0), "types"),
        (Upload("v.wav", "ab", 20 * 2**20 + 1, 60.0), "the limit is 20 MB"),
        (Upload("v.wav", "ab", 1000, 4.9), "5 to 180 s"),
        (Upload("v.WAV", "ab", 1000, 180.1), "5 to 180 s"),
        (Upload("v.wav", "ab", 0), "empty"),
    ],
)
def test_a_local_file_is_measured(packs: Packs, make_job: MakeJob, upload: Upload, message: str) -> None:
    """Type, size and length of a recording are known before it is sent."""
    found = said(packs, make_job("a", "hifly", "voice", audio=upload, title="T", kind="asset"))
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize("upload", [Upload("v.wav", "ab", 20 * 2**20, 5.0), Upload("v.M4A", "ab", 1, None)])
def test_a_file_at_the_limit_is_taken(packs: Packs, make_job: MakeJob, upload: Upload) -> None:
    """The limit itself is allowed, and an unknown length is no fault."""
    assert said(packs, make_job("a", "hifly", "voice", audio=upload, title="T" * 20, kind="asset")) == []


@pytest.mark.parametrize(
    "draft",
    [
        "https://ts.fyshark.com/#/cozeToJianyin?drafId=https://oss.example/draft/2f52.json",
        "https://x.example/v1/get_draft?draft_id=2025052812345678abcdef",
        "http://x.example/open?a=1&draftId=7#top",
    ],
)
def test_draft_ids_in_query_and_fragment(packs: Packs, make_job: MakeJob, draft: str) -> None:
    """A draft's id may stand in the query or in the fragment."""
    assert said(packs, make_job("a", "gen_video", "export", draft=draft)) == []


@pytest.mark.parametrize("text", ["1 < 2 and 3 > 2", "a <3 b", "if x<y then z>w", "https://x.example is a nice page"])
def test_text_that_only_looks_like_something_else(packs: Packs, make_job: MakeJob, text: str) -> None:
    """Comparison signs are no HTML, and a text that begins with a URL is a text."""
    assert said(packs, make_job("a", "hifly", "video-by-text", **{**HIFLY, "text": text})) == []
    assert said(packs, make_job("b", "fliz", "video", **{**FLIZ, "text": text})) == []


def test_a_problem_points_at_its_field(packs: Packs, make_job: MakeJob) -> None:
    """File, line, column and path are those of the field in the manifest."""
    job = make_job("a", "yzx", "video", model="veo_3_1-fast", prompt="x", resolution="big")
    (problem,) = check([job], packs)
    assert (problem.file, problem.line, problem.column, problem.path) == (
        "specs/spring.yaml",
        4,
        5,
        "$.videos.a.resolution",
    )


def test_every_problem_of_every_job_at_once(packs: Packs, make_job: MakeJob) -> None:
    """Nothing hides behind anything else."""
    jobs = [make_job("a", "yzx", "video", resolution="big"), make_job("b", "foxapi", "video", aspect="1:1")]
    assert len(said(packs, *jobs)) == 5


def test_an_id_of_another_provider_means_nothing(packs: Packs, make_job: MakeJob) -> None:
    """A task, voice or avatar is known only to who made it; a URL is known to everyone."""
    clip = make_job("clip", "hifly", "video-by-text", **HIFLY)
    wrong = make_job("wrong", "fliz", "duplicate", source=Ref("clip", "task"))
    right = make_job("right", "foxapi", "video", prompt="x", files=[Ref("clip", "url")])
    found = said(packs, clip, wrong, right)
    assert found == ["fliz does not know the task of `clip`, which hifly makes"]


def test_two_tunings_of_one_voice(packs: Packs, make_job: MakeJob) -> None:
    """A voice is edited in place, so it can be tuned one way only; two voices are two."""
    options = {"rate": 1, "volume": 1, "pitch": 1}
    faster = {**options, "rate": 2}
    voice = make_job("v", "hifly", "voice", audio=IMAGE, title="V", kind="asset")
    first = make_job("a", "hifly", "voice-tuning", voice=Ref("v", "voice"), options=options, kind="asset")
    second = make_job("b", "hifly", "voice-tuning", voice=Ref("v", "voice"), options=faster, kind="asset")
    other = make_job("c", "hifly", "voice-tuning", voice="another", options=options, kind="asset")
    assert said(packs, voice, first, other) == []
    found = said(packs, voice, first, second, other)
    assert len(found) == 1
    assert "`b` and `a`" in found[0]


def test_twins_are_a_warning_that_suggests_take(packs: Packs, make_job: MakeJob) -> None:
    """Jobs that ask for exactly the same share one purchase; a take makes them two."""
    jobs = [make_job("a", "yzx", "video", **YZX), make_job("b", "yzx", "video", **YZX)]
    (problem,) = twins(jobs, fingerprints(jobs, packs))
    assert problem.severity == "warning"
    assert "`b`" in problem.message
    assert "`a`" in problem.message
    assert "take: 2" in problem.hint
    jobs[1] = make_job("b", "yzx", "video", take=2, **YZX)
    assert twins(jobs, fingerprints(jobs, packs)) == []
