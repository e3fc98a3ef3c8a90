"""yuzhixiaolongxia's ``/v1/videos``: prompts to video, through a new-api gateway; ``seeds/yzx``.

The documents warn that the finished link may stand in any of seven places, or nowhere, and that a
state may be ``unknown``; each task draws its own lot of these. Its files need the token too.
"""

import re
import secrets
import string
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from .checks import Field, matching, problems, text, unknown, whole
from .desk import FRAMES, Desk
from .gate import Endpoint
from .tasks import Reel, Task
from .wire import Answer, Call, NotJson, Refused

MODELS = ("sora-2", "sora-2-pro", "veo_3_1-fast", "veo_3_1-fast-hd", "veo_3_1-fast-fl", "veo_3_1-fast-fl-hd")
"""The models of this sandbox, as the documents list them."""

_SECONDS = (20.0, 40.0)
_MADE_AT = 1_714_000_000
_LARGEST_SIDE = 4096
_QUEUED, _UNKNOWN = 0.2, 0.3  # shares of a task's way
_LETTERS = string.ascii_letters + string.digits
_PLACES = (
    "data[0].url", "data[0].url", "data[0].url", "data.result_url", "result_url", "url", "video_url", "output_url",
    "download_url", "content",
)  # fmt: skip
_OWN_FILES = ("data[0].url", "data.result_url", "result_url")

_FIELDS: Mapping[str, Field] = MappingProxyType({
    "model": Field(text(), required=True),
    "prompt": Field(text(), required=True),
    "duration": Field(whole(low=1, high=600)),
    "size": Field(matching(r"[1-9]\d{1,3}x[1-9]\d{1,3}", "a size such as 1280x720")),
    "seed": Field(whole(low=-(2**63), high=2**63 - 1)),
})  # fmt: skip


class Yzx:
    """The YZX API."""

    name = "yzx"

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> Sequence[Endpoint]:
        """List what it can do; files and contents say for themselves who may have them."""
        return (
            Endpoint("POST", "/v1/videos", "video", self._create),
            Endpoint("GET", "/v1/videos/{id}", "status", self._status),
            Endpoint("GET", "/v1/videos/{id}/content", "content", self._content, guarded=False),
            Endpoint("GET", "/v1/files/{file}", "file", self._file, guarded=False),
            Endpoint("GET", "/v1/models", "models", self._models),
        )

    def error(self, *, status: int | None, code: int | str | None = None, message: str | None = None) -> Answer:
        """Say an error as the gateway does."""
        status = status or 400
        kinds = {401: "authentication_error", 429: "rate_limit_error"}
        kind = kinds.get(status, "new_api_error")
        said = {"message": message or "error", "type": kind, "param": "", "code": code or kind}
        return Answer.of({"error": said}, status=status)

    def unauthorised(self) -> Answer:
        """Refuse a request without a valid token."""
        return self.error(status=401, code="invalid_api_key", message="无效的令牌")

    def unknown_task(self) -> Answer:
        """Answer about a task that it does not know: a 400, not a 404."""
        return Answer.of({"code": "task_not_exist", "message": "task_not_exist", "data": None}, status=400)

    async def _create(self, call: Call) -> Answer:
        try:
            body = call.json()
        except NotJson as error:
            raise self._refused("invalid_json", str(error)) from error
        if not isinstance(body, dict):
            raise self._refused("invalid_json", "the body must be a JSON object")
        self._check(body)
        width, height = map(int, body["size"].split("x")) if "size" in body else FRAMES["16:9"]
        if max(width, height) > _LARGEST_SIDE:
            raise self._refused("invalid_size", f"size {body['size']} is not supported")
        task = self._desk.order(
            call,
            task="task_" + "".join(secrets.choice(_LETTERS) for _ in range(32)),
            body=body,
            seconds=_SECONDS,
            reel=lambda _: Reel("video", body["prompt"][:200], body.get("duration", 5), width, height),
        )
        said = {"id": task.id, "task_id": task.id, **self._head(task), "status": "queued"}
        return Answer.of(said, task=task.id, ignored=unknown(body, _FIELDS))

    async def _status(self, call: Call) -> Answer:
        task = self._desk.find(call.params["id"])
        if task is None:
            raise Refused(self.unknown_task())
        progress = self._desk.progress(call, task)
        state = self._state(progress, task)
        said = {"id": task.id, "task_id": task.id, **self._head(task), "status": state, "progress": int(progress * 100)}
        if state == "failed":
            failure = self._desk.failure(task)
            code = failure.code if failure and failure.code else "task_failed"
            message = failure.message if failure and failure.message else "the task failed"
            said["error"] = {"message": message, "code": code}
        elif state == "completed":
            said |= self._result(call, task)
        return Answer.of(said, task=task.id)

    async def _content(self, call: Call) -> Answer:
        self._allow(call)
        task = self._desk.find(call.params["id"])
        if task is None:
            return self.error(status=404, message="Task not found")
        return await self._finished(call, task)

    async def _file(self, call: Call) -> Answer:
        self._allow(call)
        match = re.fullmatch(r"video-(.+)\.mp4", call.params["file"])
        task = self._desk.find(match[1]) if match else None
        if task is None:
            return self.error(status=404, message="File not found")
        return await self._finished(call, task)

    async def _models(self, _: Call) -> Answer:
        rows = [{"id": model, "object": "model", "created": _MADE_AT, "owned_by": "custom"} for model in MODELS]
        return Answer.of({"object": "list", "data": rows})

    async def _finished(self, call: Call, task: Task) -> Answer:
        state = self._state(self._desk.tasks.progress(task), task)
        if state != "completed":
            return self.error(status=400, message=f"Task is not completed yet, current status: {state}")
        return await self._desk.files.serve(call, task)

    def _state(self, progress: float, task: Task) -> str:
        if progress >= 1:
            return "failed" if self._desk.failure(task) else "completed"
        if progress < _QUEUED:
            return "queued"
        if progress < _UNKNOWN and task.pick("in_progress", "unknown", "in_progress") == "unknown":
            return "unknown"
        return "in_progress"

    def _head(self, task: Task) -> dict[str, Any]:
        return {"object": "video", "model": task.body["model"], "created": int(task.created)}

    def _result(self, call: Call, task: Task) -> dict[str, Any]:
        """Put the link where this task has it."""
        place = task.pick(*_PLACES)
        duration = task.body.get("duration", 5)
        if place in _OWN_FILES:
            link = f"{call.origin}/yzx/v1/files/video-{task.id}.mp4"
        else:
            link = self._desk.files.link(call, task)
        match place:
            case "data[0].url":
                return {"data": [{"url": link, "duration": duration}]}
            case "data.result_url":
                return {"data": {"result_url": link, "duration": duration}}
            case "content":
                return {}
        return {str(place): link}

    def _check(self, body: Mapping[str, Any]) -> None:
        if found := problems(body, _FIELDS):
            spot, said = found[0].field, found[0].message
            code = {"model": "missing_model", "size": "invalid_size"}.get(spot, "invalid_request")
            raise self._refused(code, f"{spot} {said}")
        model = body["model"]
        if model.startswith("seedance"):
            raise self._refused("invalid_request", "Seedance models are served at /v1/video/generations")
        if model not in MODELS:
            told = f"No available channel for model {model}"
            raise Refused(self.error(status=400, code="model_not_found", message=told))

    def _allow(self, call: Call) -> None:
        if call.bearer is None:
            raise Refused(self.error(status=403, code="access_denied", message="Authorization is required"))

    def _refused(self, code: str, message: str) -> Refused:
        """Refuse a submit; these have a shape of their own."""
        return Refused(Answer.of({"code": code, "message": message, "data": None}, status=400))
