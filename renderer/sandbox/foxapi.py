"""FoxAPI's heygen-video-agent: a prompt in, a presenter's video out; ``seeds/foxapi``.

Its bodies are strict. Two oddities that are known of it happen to some tasks: results that are
plain strings, and a ``completed`` whose results follow a moment later.
"""

import secrets
import string
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .checks import Field, flag, one_of, problems, text, unknown, urls
from .desk import FRAMES, Desk
from .gate import Endpoint
from .tasks import Reel, Task
from .wire import Answer, Call, NotJson, Refused

_MODEL = "heygen-video-agent"
_SECONDS = (30.0, 60.0)
_STARTED = 0.2  # the share of its way that a task is pending
_LETTERS = string.ascii_lowercase + string.digits
_TYPES: Mapping[int, str] = MappingProxyType({
    400: "invalid_request_error", 401: "authentication_error", 402: "insufficient_quota", 404: "not_found_error",
    422: "validation_error", 429: "rate_limit_error", 503: "service_unavailable",
})  # fmt: skip
_FIELDS: Mapping[str, Field] = MappingProxyType({
    "model": Field(one_of(_MODEL), required=True),
    "prompt": Field(text(most=10_000), required=True),
    "avatar_id": Field(text(empty=True), nullable=True),
    "voice_id": Field(text(empty=True), nullable=True),
    "style_id": Field(text(empty=True), nullable=True),
    "orientation": Field(one_of("landscape", "portrait"), nullable=True),
    "file_urls": Field(urls(least=0, most=20), nullable=True),
    "incognito_mode": Field(flag, nullable=True),
})  # fmt: skip


class FoxApi:
    """The FoxAPI API."""

    name = "foxapi"

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> Sequence[Endpoint]:
        """List what it can do."""
        return (
            Endpoint("POST", "/v1/videos/generations", "video", self._create),
            Endpoint("GET", "/v1/tasks/{id}", "status", self._status),
        )

    def error(self, *, status: int | None, code: int | str | None = None, message: str | None = None) -> Answer:
        """Say an error in the shape of its guide."""
        status = status or 400
        kind = _TYPES.get(status, "server_error")
        return Answer.of({"error": {"code": code or kind, "message": message or "error", "type": kind}}, status=status)

    def unauthorised(self) -> Answer:
        """Refuse a request without a valid token."""
        return self.error(status=401, message="Invalid API key")

    def unknown_task(self) -> Answer:
        """Answer about a task that it does not know."""
        return self.error(status=404, message="Task not found or expired")

    async def _create(self, call: Call) -> Answer:
        try:
            body = call.json()
        except NotJson as error:
            raise self._refused(str(error)) from error
        if not isinstance(body, dict):
            raise self._refused("the body must be a JSON object")
        if strange := unknown(body, _FIELDS):
            raise self._refused(f"{strange[0]}: extra fields not permitted")
        if found := problems(body, _FIELDS):
            raise self._refused(f"{found[0].field} {found[0].message}")
        width, height = FRAMES["9:16" if body.get("orientation") == "portrait" else "16:9"]
        now = int(self._desk.tasks.now())
        task = self._desk.order(
            call,
            task=f"task-unified-{now}-" + "".join(secrets.choice(_LETTERS) for _ in range(8)),
            body=body,
            seconds=_SECONDS,
            reel=lambda luck: Reel("video", body["prompt"][:200], 5.0 + luck % 3, width, height),
        )
        estimate = {"can_cancel": True, "estimated_time": 45}
        return Answer.of({**self._head(task), "progress": 0, "status": "pending", "task_info": estimate}, task=task.id)

    async def _status(self, call: Call) -> Answer:
        task = self._desk.find(call.params["id"])
        if task is None:
            raise Refused(self.unknown_task())
        progress = self._desk.progress(call, task)
        failure = self._desk.failure(task) if progress >= 1 else None
        said: dict[str, Any] = {
            **self._head(task),
            "progress": int(progress * 100),
            "status": "pending" if progress < _STARTED else "processing",
            "results": None,
            "error": None,
            "task_info": {"can_cancel": progress < 1},
        }
        if failure:
            message, code = failure.message or "generation failed", failure.code or "generation_failed"
            said |= {"status": "failed", "error": {"code": code, "message": message, "type": "server_error"}}
        elif progress >= 1:
            said |= {"status": "completed", **self._results(call, task)}
        return Answer.of(said, task=task.id)

    def _results(self, call: Call, task: Task) -> dict[str, Any]:
        early, plain = task.pick((False, False), (True, False), (False, True), (True, True))
        if early and "completed" not in task.notes:
            self._desk.tasks.note(task, completed=self._desk.tasks.now())
            return {"progress": 50, "results": None}
        link = self._desk.files.link(call, task)
        return {"results": [link if plain else {"url": link, "content_type": "video/mp4"}]}

    def _head(self, task: Task) -> dict[str, Any]:
        return {
            "created": int(task.created),
            "id": task.id,
            "model": _MODEL,
            "object": "video.generation.task",
            "type": "video",
        }

    def _refused(self, message: str) -> Refused:
        return Refused(self.error(status=422, message=message))
