"""The five providers as a script says, with a list of what they have sold: the judge of "never pay twice".

Answers have the shapes of the real ones and go through the real packs. By default everything works. A test says
otherwise for the next calls of a kind; the simulation lets chance say it. The market outlives every crash.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from renderer.provider.pack import Operation, Packs
from renderer.provider.wire import Reply, Request
from renderer.run.transport import Lost, Unsent


@dataclass(frozen=True)
class Says:
    """One answer: ``reply`` None is the usual one. ``sells``: the purchase happened, whatever is answered."""

    reply: Reply | None = None
    error: Exception | None = None
    sells: bool = False
    seconds: float = 0.2


def reply(status: int, body: Any = None, *, sells: bool = False, **headers: str) -> Says:
    """Answer so; underscores in the names of headers are hyphens."""
    content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
    return Says(Reply(status, {name.replace("_", "-"): text for name, text in headers.items()}, content), sells=sells)


def works(seconds: float = 0.2) -> Says:
    """Sell it and say so, after that time."""
    return Says(seconds=seconds)


def lost(*, sells: bool) -> Says:
    """Let the connection drop after the request was sent; perhaps it was bought."""
    return Says(error=Lost("the connection ended"), sells=sells)


def unsent(kind: Any = "connect") -> Says:
    """Let no connection be made."""
    return Says(error=Unsent(kind, "no connection"))


@dataclass
class Sale:
    """Something that a provider has sold. ``identity`` is what was asked for, whatever file ids and signatures."""

    provider: str
    operation: Operation
    task: str
    identity: str
    request: Request
    at: float
    polls: int
    fails: bool = False
    person: bool = False
    finished: bool = False
    calls: int = 0


@dataclass
class Sent:
    """A request that reached a provider."""

    provider: str
    kind: str
    request: Request
    at: float
    after_refusal: bool


Chooser = Callable[[str, str, Request], Says | None]


@dataclass
class Market:
    """All providers."""

    packs: Packs
    polls: Callable[[], int] = lambda: 1
    fails: Callable[[], bool] = lambda: False
    chooser: Chooser | None = None
    sold: list[Sale] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    tickets: dict[str, str] = field(default_factory=dict)
    delivered: list[str] = field(default_factory=list)
    called_again: list[Sale] = field(default_factory=list)
    most_open: dict[str, int] = field(default_factory=dict)
    _script: list[tuple[str, str, str, Says]] = field(default_factory=list)

    def says(self, provider: str, kind: str, *answers: Says, about: str = "") -> None:
        """Let the next calls of a kind be answered so; ``about``: only those whose purchase's request holds it.

        Kinds: ``submit``, ``status``, ``list``, ``edit``, ``ticket``, ``put``, ``fetch``.
        """
        self._script.extend((provider, kind, about, answer) for answer in answers)

    def seen(self, provider: str, kind: str, request: Request, at: float, *, after_refusal: bool = False) -> Sent:
        """Return what is noted of a call."""
        return Sent(provider, kind, request, at, after_refusal)

    def next(self, provider: str, kind: str, text: str, request: Request) -> Says:
        """Return what is said to a call."""
        for index, (name, kind_, about, answer) in enumerate(self._script):
            if (name, kind_) == (provider, kind) and about in text:
                del self._script[index]
                return answer
        chosen = self.chooser(provider, kind, request) if self.chooser is not None else None
        return chosen or Says()

    # --- what is asked -------------------------------------------------------------------------------------------

    def kind(self, provider: str, request: Request) -> tuple[str, Operation | None, str]:
        """Return what a call is: its kind, its operation, and the task it names."""
        pack = self.packs[provider]
        if request.method == "POST":
            if pack.upload is not None and request.path == pack.upload.path:
                return "ticket", None, ""
            for operation in pack.operations.values():
                if operation.submit is not None and _matches(operation.submit.path, request.path) is not None:
                    return ("edit" if operation.repeat else "submit"), operation, ""
        for operation in pack.operations.values():
            status = operation.status
            if status is not None and (found := _matches(status.path, request.path)) is not None:
                wanted = {name: request.query.get(name, "") for name, text in status.query.items() if "{" in text}
                task = unquote(next(iter([*found.values(), *wanted.values()]), ""))
                sale = self.of_task(provider, task)
                return "status", sale.operation if sale is not None else operation, task
        return "list", None, ""

    def of_task(self, provider: str, task: str) -> Sale | None:
        """Return the sale with a task."""
        return next((sale for sale in self.sold if (sale.provider, sale.task) == (provider, task)), None)

    def bought(self, provider: str = "", about: str = "") -> list[Sale]:
        """Return the sales of a provider whose request holds a text."""
        return [s for s in self.sold if s.provider.startswith(provider) and about in s.identity]

    def asked(self, kind: str, provider: str = "") -> list[Sent]:
        """Return the calls of a kind that reached a provider."""
        return [s for s in self.sent if s.kind == kind and s.provider.startswith(provider)]

    def identity(self, provider: str, request: Request) -> str:
        """Return what is asked for: uploads by content, links without their signature."""
        known = {**self.files}

        def plain(value: Any) -> Any:
            match value:
                case str() if value in known:
                    return known[value]
                case str():
                    return re.sub(r"(https://cdn\.[^?]*)\?.*", r"\1", value)
                case Mapping():
                    return {name: plain(child) for name, child in value.items()}
                case list() | tuple():
                    return [plain(child) for child in value]
            return value

        asked = [provider, request.method, request.path, plain(dict(request.query)), plain(request.json)]
        return json.dumps(asked, sort_keys=True, ensure_ascii=False)

    # --- what happens --------------------------------------------------------------------------------------------

    def sell(self, provider: str, operation: Operation, request: Request, *, at: float) -> Sale:
        """Sell what a request asks for; a keyed request that was sold already is that sale.

        A keyed request that is made again after its link was kept is noted: that may cost again.
        """
        identity = self.identity(provider, request)
        if operation.keyed is not None:
            for sale in self.sold:
                if sale.identity == identity and not (sale.finished and sale.fails):
                    if any(sale.task in url for url in self.delivered):
                        self.called_again.append(sale)
                    return sale
        count = len(self.sold) + 1
        sale = Sale(provider, operation, f"{provider}-{count}", identity, request, at, self.polls(), self.fails())
        self.sold.append(sale)
        open_ = sum(s.provider == provider and not s.finished and not s.person for s in self.sold)
        self.most_open[provider] = max(self.most_open.get(provider, 0), open_)
        return sale

    def answer(self, kind: str, provider: str, operation: Operation | None, sale: Sale | None) -> Reply:
        """Return the usual answer to a call."""
        match kind:
            case "submit" if sale is not None and sale.operation.keyed is not None:
                return self._called(sale)
            case "submit" if sale is not None:
                return _json(_taken(sale))
            case "status" if sale is None:
                return _json({"message": "no such task"}, status=404)
            case "status":
                return _json(self._stands(sale))
            case "list":
                return _json({"fliz_video": [_listed(sale) for sale in self.sold if sale.provider == provider]})
            case "ticket":
                ticket = f"file-{len(self.tickets) + 1}"
                url = f"https://cdn.{provider}.example/put/{ticket}?signature={len(self.tickets)}"
                self.tickets[url] = ticket
                return _json({"code": 0, "upload_url": url, "content_type": "audio/wav", "file_id": ticket})
            case _:
                return _json({"code": 0})

    def put(self, url: str, path: Path) -> None:
        """Receive a file."""
        self.files[self.tickets[url]] = hashlib.sha256(path.read_bytes()).hexdigest()

    def _phase(self, sale: Sale) -> str:
        sale.polls -= 1
        if sale.polls >= 0:
            return "running"
        if sale.person:
            return "person"
        sale.finished = True
        return "failed" if sale.fails else "done"

    def _called(self, sale: Sale) -> Reply:
        match self._phase(sale):
            case "done":
                return _json({"video_url": link(sale)})
            case "failed":
                return _json({"detail": "rendering failed"}, status=500)
            case _:
                return _json({"status": "processing"})

    def _stands(self, sale: Sale | None) -> Any:
        assert sale is not None
        phase = self._phase(sale)
        done = phase == "done"
        url = link(sale) if done and sale.operation.makes != "value" else None
        match sale.provider:
            case "fliz":
                step = {"running": "video_rendering", "done": "complete", "failed": "failed_x", "person": "user_action"}
                return {"fliz_video_by_pk": {"id": sale.task, "step": step[phase], "url": url}}
            case "hifly":
                known: dict[str, Any] = {"code": 0, "status": {"running": 2, "done": 3, "failed": 4}[phase]}
                if done:
                    made = {"voice": f"v-{sale.task}", "demo_url": link(sale), "avatar": f"a-{sale.task}"}
                    known |= {"video_Url": url} if url else made
                return known
            case "yzx":
                words = {"running": "in_progress", "done": "completed", "failed": "failed"}
                return {"status": words[phase], "data": [{"url": url}] if url else []}
            case _:
                words = {"running": "processing", "done": "completed", "failed": "failed"}
                return {"status": words[phase], "results": [{"url": url}] if url else []}


def link(sale: Sale) -> str:
    """Return a link to a sale's file, signed anew each time."""
    sale.calls += 1
    return f"https://cdn.{sale.provider}.example/{sale.task}.{sale.operation.extension}?sig=%2F{sale.calls}"


def _taken(sale: Sale) -> Any:
    match sale.provider, sale.operation.name:
        case "fliz", "video":
            return {"fliz_video_create": {"video_id": sale.task}}
        case "fliz", name:
            return {f"fliz_video_{name}": {"new_video_id": sale.task}}
        case "hifly", _:
            return {"code": 0, "task_id": sale.task}
        case _:
            return {"id": sale.task}


def _listed(sale: Sale) -> Any:
    asked: Any = sale.request.json or {}
    sent = asked.get("fliz_video_create_input", {})
    return {
        "id": sale.task,
        "title": sent.get("name", ""),
        "lang": sent.get("lang", ""),
        "format": sent.get("format", ""),
        "created_at": sale.at,
    }


def _matches(template: str, path: str) -> dict[str, str] | None:
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(template))
    found = re.fullmatch(pattern, path)
    return found.groupdict() if found else None


def _json(body: Any, *, status: int = 200) -> Reply:
    return Reply(status, {"content-type": "application/json"}, json.dumps(body).encode())
