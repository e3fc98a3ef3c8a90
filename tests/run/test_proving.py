"""Asking providers: what is sent, how far lists are read, and that nothing can be bought."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from renderer.errors import Problem
from renderer.manifest.job import Job
from renderer.provider.online import inquiries
from renderer.provider.packfile import load_packs
from renderer.provider.wire import Reply, Request
from renderer.run.proving import prove
from renderer.run.transport import Incoming, Lost, Unsent

Answer = Callable[[Request], Any]


class Provider:
    """Answers every call, and remembers it."""

    def __init__(self, answer: Answer) -> None:
        self.calls: list[Request] = []
        self._answer = answer

    async def call(self, provider: str, request: Request, *, timeout: float) -> Reply:  # noqa: ASYNC109
        """Remember a call, and answer it."""
        self.calls.append(request)
        answer = self._answer(request)
        if isinstance(answer, Exception):
            raise answer
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        return Reply(status, {}, json.dumps(body).encode())


class Web:
    """Answers every address with a status, or with trouble."""

    def __init__(self, answers: Mapping[str, int | Exception]) -> None:
        self.asked: list[str] = []
        self._answers = answers

    @asynccontextmanager
    async def stream(self, provider: str, url: str, *, stall: float) -> AsyncIterator[Incoming]:
        """Remember an address, and answer it."""
        self.asked.append(url)
        answer = self._answers[url]
        if isinstance(answer, Exception):
            raise answer
        yield Incoming(answer, {}, _nothing())


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


def job(name: str, provider: str, operation: str, **values: Any) -> Job:
    """Return a job."""
    return Job(
        id=name, kind="video", manifest="m.yaml", release="m", provider=provider, operation=operation, values=values
    )


def asking(jobs: list[Job], provider: Provider, web: Web | None = None) -> list[Problem]:
    """Ask about jobs."""
    return asyncio.run(prove(inquiries(jobs, load_packs()), provider, web or Web({}), now=0.0))


def test_lists_are_read_page_by_page_until_every_id_is_found() -> None:
    """Own voices come first; a public one is found on a later page, and what is behind it is not read."""

    def answer(request: Request) -> Any:
        if "voice" not in request.path:
            return {"left": 5}
        kind, page = request.query["kind"], int(request.query["page"])
        size = 3 if kind == "1" else 100
        return {"data": [{"voice": f"{kind}-{page}-{n}"} for n in range(size)]}

    provider = Provider(answer)
    jobs = [job(v, "hifly", "video-by-text", text="T", avatar="a", voice=v) for v in ("1-1-2", "2-2-50")]
    assert asking(jobs, provider) == []
    listed = [(call.query["kind"], call.query["page"]) for call in provider.calls if "voice" in call.path]
    assert listed == [("1", "1"), ("2", "1"), ("2", "2")]
    assert {call.method for call in provider.calls} == {"GET"}


def test_a_denied_credential_is_the_only_thing_that_is_said() -> None:
    """With a key that is not taken nothing else is asked."""
    provider = Provider(lambda _request: (401, {"error": {"message": "bad token"}}))
    (problem,) = asking([job("a", "yzx", "video", model="m", prompt="x")], provider)
    assert (problem.severity, problem.code) == ("error", "credential")
    assert "bad token" in problem.message
    assert len(provider.calls) == 1


def test_a_provider_that_does_not_answer_is_a_warning() -> None:
    """Network trouble and server errors refuse nothing."""
    for trouble in (Unsent("connect", "no connection"), Lost("no answer"), (503, {}), (200, "text")):
        found = asking([job("a", "yzx", "video", model="m", prompt="x")], Provider(lambda _r, t=trouble: t))  # type: ignore[misc]
        assert {problem.severity for problem in found} == {"warning"}


def test_unknown_ids_and_tasks_are_errors() -> None:
    """Each is reported with what is known instead."""

    def answer(request: Request) -> Any:
        if "voices" in request.path:
            return {"fliz_list_voices": {"voices": [{"id": "v1", "name": "Anna"}]}}
        return {"fliz_video_by_pk": None} if "gone" in request.path else {"fliz_video_by_pk": {"step": "complete"}}

    jobs = [
        job("a", "fliz", "video", title="T", text="X", aspect="16:9", language="en", voice="v2"),
        job("b", "fliz", "translate", source="gone", language="fr"),
        job("c", "fliz", "translate", source="here", language="fr"),
    ]
    found = asking(jobs, Provider(answer))
    assert [(problem.path, problem.severity) for problem in found] == [
        ("$.videos.a.voice", "error"),
        ("$.videos.b.source", "error"),
    ]


def test_an_address_is_asked_for_without_the_provider() -> None:
    """A draft that is there is well, one that is not is an error, trouble is a warning; the query is not shown."""
    urls = {"https://x.example/?draft_id=1": 200, "https://x.example/?draft_id=2": 404}
    answers: dict[str, int | Exception] = {**urls, "https://x.example/?draft_id=3": Lost("x.example gave no answer")}
    provider, web = Provider(lambda _request: {}), Web(answers)
    found = asking([job(f"d{n}", "gen_video", "export", draft=url) for n, url in enumerate(answers)], provider, web)
    assert sorted(web.asked) == sorted(answers)
    assert provider.calls == []
    assert [(problem.path, problem.severity) for problem in found] == [
        ("$.videos.d1.draft", "error"),
        ("$.videos.d2.draft", "warning"),
    ]
    assert not any("draft_id" in problem.message for problem in found)


def test_a_list_without_end_is_not_read_for_ever() -> None:
    """A provider that gives the same page again and again is left at that; one that never ends is a warning."""
    pages = itertools.count()

    def endless(request: Request) -> Any:
        return (
            {"data": [{"voice": f"{next(pages)}-{n}"} for n in range(100)]} if "voice" in request.path else {"left": 1}
        )

    def same(request: Request) -> Any:
        return {"data": [{"voice": str(n)} for n in range(100)]} if "voice" in request.path else {"left": 1}

    wanted = [job("a", "hifly", "video-by-text", text="T", avatar="a", voice="none")]
    provider = Provider(endless)
    assert [problem.severity for problem in asking(wanted, provider)] == ["warning"]
    assert len(provider.calls) == 201
    provider = Provider(same)
    assert [problem.severity for problem in asking(wanted, provider)] == ["error"]
    assert len(provider.calls) == 5
