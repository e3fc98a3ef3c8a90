"""Which questions follow from jobs, and what answers mean for them."""

from collections.abc import Callable
from typing import Any

from renderer.errors import Problem
from renderer.manifest.job import Job, Ref
from renderer.provider import online
from renderer.provider.outcome import Denied, ErrorClass, Failed, Fault, Gone, Running, Unclear
from renderer.provider.pack import Packs

MakeJob = Callable[..., Job]
FLIZ: dict[str, Any] = {"title": "T", "text": "A text.", "aspect": "16:9", "language": "en"}
FAULT = Fault(kind=ErrorClass.AUTH, code="401", message="no such token", remedy="Take another.")


def the(packs: Packs, *jobs: Job) -> online.Inquiry:
    """Return the one inquiry that follows from jobs."""
    (inquiry,) = online.inquiries(jobs, packs)
    return inquiry


def ids(inquiry: online.Inquiry) -> dict[str, list[str]]:
    """Return the ids that must be listed, by field."""
    return {".".join(listed.field): list(listed.ids) for listed in inquiry.listed}


def said(problems: list[Problem]) -> list[tuple[str, str, str]]:
    """Return severity, message and hint of problems."""
    return [(problem.severity, problem.message, problem.hint) for problem in problems]


def test_only_ids_are_asked_for(packs: Packs, make_job: MakeJob) -> None:
    """A reference, a URL and what is not set are no ids; the id inside a map is one."""
    inquiry = the(
        packs,
        make_job("a", "fliz", "video", **FLIZ, voice="v1", music="m1"),
        make_job("b", "fliz", "video", **FLIZ, voice="v1", music="https://x.example/m.mp3"),
        make_job("c", "fliz", "video", **FLIZ, music={"id": "m2", "volume": 5}),
        make_job("d", "fliz", "video", **FLIZ, music={"url": Ref("x", "url")}),
    )
    assert ids(inquiry) == {"voice": ["v1"], "music": ["m1"], "music.id": ["m2"]}
    spoken = the(packs, make_job("a", "hifly", "video-by-text", text="T", voice=Ref("x", "voice"), avatar="a"))
    assert ids(spoken) == {}
    assert ids(the(packs, make_job("a", "yzx", "video", model="sora-2", prompt="x"))) == {"model": ["sora-2"]}


def test_a_value_is_one_question_however_many_jobs_have_it(packs: Packs, make_job: MakeJob) -> None:
    """A wrong id in a hundred rows is asked once and reported once for each place in the files."""
    jobs = [make_job(f"a{n}", "yzx", "video", model="nope", prompt=str(n)) for n in range(100)]
    inquiry = the(packs, *jobs)
    (listed,) = inquiry.listed
    assert len(listed.ids["nope"]) == 100
    assert len(list(online.on_list(inquiry, listed, {"models": [{"id": "sora-2", "owner": "x"}]}, ""))) == 1


def test_tasks_are_asked_of_the_status_call(packs: Packs, make_job: MakeJob) -> None:
    """The source of a translation or a copy is a task, unless another job makes it."""
    inquiry = the(
        packs,
        make_job("a", "fliz", "translate", source="t1", language="fr"),
        make_job("b", "fliz", "duplicate", source="t1"),
        make_job("c", "fliz", "duplicate", source=Ref("a", "task")),
    )
    assert [(known.operation.name, known.task) for known in inquiry.known] == [("translate", "t1"), ("duplicate", "t1")]


def test_the_address_of_a_draft(packs: Packs, make_job: MakeJob) -> None:
    """Behind a draft's id may stand the draft's own address, encoded or not; else the URL itself is meant."""
    urls = {
        "https://x.example/#/open?drafId=https://y.example/a%2Fd.json": "https://y.example/a%2Fd.json",
        "https://x.example/#/open?draftId=https%3A%2F%2Fy.example%2Fd.json%3Fa%3D1&b=2": "https://y.example/d.json?a=1",
        "https://x.example/get_draft?draft_id=2025": "https://x.example/get_draft?draft_id=2025",
    }
    jobs = [make_job(f"d{n}", "gen_video", "export", draft=url) for n, url in enumerate(urls)]
    inquiry = the(packs, *jobs)
    assert [asked.url for asked in inquiry.reachable] == list(urls.values())
    assert not inquiry.needs_key


def test_nothing_is_asked_of_the_studio(packs: Packs, make_job: MakeJob) -> None:
    """An engine on this machine has no questions."""
    assert online.inquiries([make_job("a", "studio", "video", title="T")], packs) == []


def test_every_kind_of_a_list_is_read(packs: Packs) -> None:
    """A voice may be one's own or a public one."""
    assert list(online.choices(packs["hifly"].lists["voices"])) == [{"kind": "own"}, {"kind": "public"}]
    assert list(online.choices(packs["yzx"].lists["models"])) == [{}]


def test_an_unknown_id_is_an_error_at_its_place(packs: Packs, make_job: MakeJob) -> None:
    """The nearest id is suggested, or the id of what has that name, or where ids can be seen."""
    job = make_job("a", "yzx", "video", prompt="x", model="sora2")
    inquiry = the(packs, job)
    rows = {"models": [{"id": "sora-2", "owner": "x"}, {"id": "veo", "owner": "y"}]}
    (problem,) = online.on_list(inquiry, inquiry.listed[0], rows, "")
    assert (problem.line, problem.path, problem.code) == (3, "$.videos.a.model", "unknown-id")
    assert said([problem]) == [("error", "yzx has no model `sora2`", "did you mean `sora-2`?")]
    named = the(packs, make_job("a", "fliz", "video", **FLIZ, voice="anna"))
    rows = {"voices": [{"id": "77", "name": "Anna", "gender": "female", "sample": ""}]}
    assert [problem.hint for problem in online.on_list(named, named.listed[0], rows, "")] == ["did you mean `77`?"]
    other = the(packs, make_job("b", "fliz", "video", **FLIZ, voice="q"))
    (problem,) = online.on_list(other, other.listed[0], rows, "")
    assert problem.hint == "see: renderer providers show fliz --voices"


def test_a_list_that_could_not_be_read_refuses_nothing(packs: Packs, make_job: MakeJob) -> None:
    """What was not read may hold the id: a warning says so."""
    inquiry = the(packs, make_job("a", "yzx", "video", prompt="x", model="sora2"))
    (problem,) = online.on_list(inquiry, inquiry.listed[0], {}, "HTTP 503")
    assert problem.severity == "warning"
    assert problem.message == "whether yzx has the model `sora2` could not be asked: HTTP 503"


def test_what_is_said_of_a_credential(packs: Packs, make_job: MakeJob) -> None:
    """Denied is an error that names the variable; an unclear answer is a warning."""
    inquiry = the(packs, make_job("a", "yzx", "video", prompt="x", model="m"))
    assert online.on_credential(inquiry, None) == []
    message = "yzx does not take the credential in YZX_API_KEY: no such token"
    assert said(online.on_credential(inquiry, Denied(FAULT))) == [("error", message, "Take another.")]
    assert [problem.severity for problem in online.on_credential(inquiry, Unclear("HTTP 500"))] == ["warning"]


def test_what_is_said_of_a_task(packs: Packs, make_job: MakeJob) -> None:
    """Unknown is an error; failed, denied and no answer are warnings; anything else is well."""
    inquiry = the(packs, make_job("a", "fliz", "duplicate", source="t1"))
    (known,) = inquiry.known
    outcomes = [Gone(FAULT), Failed(FAULT), Denied(FAULT), Unclear("HTTP 500"), "no connection", Running("pending")]
    severities = [[problem.severity for problem in online.on_task(inquiry, known, outcome)] for outcome in outcomes]
    assert severities == [["error"], ["warning"], ["warning"], ["warning"], ["warning"], []]


def test_what_is_said_of_an_address(packs: Packs, make_job: MakeJob) -> None:
    """Absent or closed is an error; trouble on the way is a warning."""
    job = make_job("a", "gen_video", "export", draft="https://x.example/?draft_id=1")
    (asked,) = the(packs, job).reachable
    statuses: list[int | str] = [200, 206, 404, 403, 410, 429, 500, 302, "no connection"]
    severities = [[problem.severity for problem in online.on_address(asked, s, shown="x")] for s in statuses]
    assert severities == [[], [], ["error"], ["error"], ["error"], ["warning"], ["warning"], ["warning"], ["warning"]]
