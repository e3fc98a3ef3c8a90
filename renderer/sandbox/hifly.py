"""Hifly V2: cloned avatars and voices, and the videos and audio they speak; ``seeds/hifly``.

Business errors are HTTP 200 with a ``code``; only a bad token is a 401. The envelope is flat, and
``video_Url`` is spelled so. Fields that the documents do not have are ignored. What the real
service can only find out by fetching a file is found out here from an upload's content; a URL is
never fetched, but one that contains ``missing`` counts as unreachable.
"""

import re
import secrets
import uuid
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from .checks import Field, decimal, is_url, one_of, problems, text, unknown
from .desk import FRAMES, Desk, Failure
from .gate import Endpoint
from .hifly_library import AVATAR_MAKERS, UNTITLED, VOICE_MAKERS, Library
from .hifly_uploads import AUDIO, PICTURE, VIDEO, Material, Uploads
from .media import spoken_seconds
from .tasks import Reel, Task
from .wire import Answer, Call, NotJson, Refused

BAD_PARAMETER, NOT_FOUND, TOO_MANY, NO_CREDITS, BAD_TOKEN = 11, 14, 1001, 1002, 2003
_MESSAGES: Mapping[int, str] = MappingProxyType({
    11: "参数不正确", 14: "找不到资源", 1001: "正在生成中的作品数量达到上限", 1002: "积分不足", 1005: "开通会员",
    1006: "会员等级不够", 1009: "高保真声音已售罄", 1011: "声音与名人相似", 1013: "高保真声音达到克隆数量上限",
    1015: "提交的作品数量达到上限", 2003: "无效 Token", 2011: "文件大小超过限制", 2012: "文件类型不支持",
    2013: "获取音频资源失败", 2014: "获取视频资源失败", 2015: "数字人克隆失败", 2016: "获取图片资源失败",
})  # fmt: skip

_COSTS: Mapping[str, int] = MappingProxyType(
    {"avatar-by-image": 20, "video-by-text": 10, "video-by-audio": 10, "audio-by-text": 2}
)
_WORKS = frozenset({"video-by-text", "video-by-audio", "audio-by-text"})
_CLONE_SECONDS = (15.0, 30.0)
_WORK_SECONDS = (20.0, 40.0)
_LONGEST = 12.0
_DEMO_SECONDS = 5.0
_QUEUED = 0.3  # the share of its way that a task waits
_WAITING, _WORKING, _DONE, _FAILED = 1, 2, 3, 4

_TITLE = Field(text(most=20, empty=True))
_TEXT = Field(text(most=10_000), required=True)
_NAME = Field(text(), required=True)
_SOURCE = Field(text(), nullable=True)
_OWN, _PUBLIC = "1", "2"
_FIRST_PAGE: Mapping[str, str] = MappingProxyType({"page": "1", "size": "20", "kind": _OWN})
_HTML = re.compile(r"</?[A-Za-z][^<>]*>")


class Hifly:
    """The Hifly API."""

    name = "hifly"

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._uploads = Uploads(desk)
        self._library = Library(desk)
        self._spent = sum(_COSTS.get(task.operation, 0) for task in desk.newest())

    def endpoints(self) -> Sequence[Endpoint]:
        """List what it can do."""
        base = "/api/v2/hifly"
        return (
            Endpoint("POST", f"{base}/avatar/create_by_video", "avatar-by-video", self._avatar_by_video),
            Endpoint("POST", f"{base}/avatar/create_by_image", "avatar-by-image", self._avatar_by_image),
            Endpoint("GET", f"{base}/avatar/task", "status", self._avatar_task),
            Endpoint("GET", f"{base}/avatar/list", "avatars", self._avatar_list),
            Endpoint("POST", f"{base}/voice/create", "voice", self._voice),
            Endpoint("POST", f"{base}/voice/edit", "voice-tuning", self._voice_edit),
            Endpoint("GET", f"{base}/voice/list", "voices", self._voice_list),
            Endpoint("GET", f"{base}/voice/task", "status", self._voice_task),
            Endpoint("POST", f"{base}/video/create_by_audio", "video-by-audio", self._video_by_audio),
            Endpoint("POST", f"{base}/video/create_by_tts", "video-by-text", self._video_by_text),
            Endpoint("POST", f"{base}/audio/create_by_tts", "audio-by-text", self._audio_by_text),
            Endpoint("GET", f"{base}/video/task", "status", self._work_task),
            Endpoint("POST", f"{base}/tool/create_upload_url", "upload-url", self._upload_url),
            Endpoint("GET", f"{base}/account/credit", "credit", self._credit),
            *self._uploads.endpoints(),
        )

    def error(self, *, status: int | None, code: int | str | None = None, message: str | None = None) -> Answer:
        """Say an error: a code in HTTP 200 (401 for a bad token), or the HTTP status of a gateway before it."""
        if code is None and status is not None:
            return _said({"code": status, "message": message or "服务异常"}, status=status)
        number = BAD_PARAMETER if code is None else code
        told = message or (_MESSAGES.get(number) if isinstance(number, int) else None) or "错误"
        return _said({"code": number, "message": told}, status=status or (401 if number == BAD_TOKEN else 200))

    def unauthorised(self) -> Answer:
        """Refuse a request without a valid token."""
        return self.error(status=None, code=BAD_TOKEN)

    def unknown_task(self) -> Answer:
        """Answer about a task that it does not know."""
        return self.error(status=None, code=NOT_FOUND)

    async def _avatar_by_video(self, call: Call) -> Answer:
        fields = {"title": Field(text(empty=True)), "video_url": _SOURCE, "file_id": _SOURCE}
        body, ignored = self._body(call, fields)
        material = self._material(call, body, "video_url", kinds=VIDEO)
        return self._clone(call, body=body, ignored=ignored, material=material, failure=2014)

    async def _avatar_by_image(self, call: Call) -> Answer:
        fields = {
            "title": Field(text(empty=True)),
            "image_url": _SOURCE,
            "file_id": _SOURCE,
            "model": Field(one_of(1, 2)),
        }
        body, ignored = self._body(call, fields)
        material = self._material(call, body, "image_url", kinds=PICTURE)
        return self._clone(call, body=body, ignored=ignored, material=material, failure=2016)

    async def _voice(self, call: Call) -> Answer:
        fields = {
            "title": Field(text(most=20), required=True),
            "voice_type": Field(one_of(8), required=True),
            "audio_url": _SOURCE,
            "file_id": _SOURCE,
        }
        body, ignored = self._body(call, fields)
        material = self._material(call, body, "audio_url", kinds=AUDIO, megabytes=20, seconds=(5, 180))
        return self._clone(call, body=body, ignored=ignored, material=material, failure=2013)

    async def _voice_edit(self, call: Call) -> Answer:
        fields = {
            "voice": _NAME,
            "rate": Field(decimal(low=0.5, high=2.0), required=True),
            "volume": Field(decimal(low=0.1, high=2.0), required=True),
            "pitch": Field(decimal(low=0.1, high=2.0), required=True),
        }
        body, ignored = self._body(call, fields)
        self._known_voice(body["voice"])
        tuned = {key: body[key] for key in fields}
        self._desk.order(call, task=f"edit_{uuid.uuid4().hex}", body=body, seconds=(1, 1), paid=False, facts=tuned)
        return _said({"code": 0, "message": ""}, ignored=ignored)

    async def _video_by_audio(self, call: Call) -> Answer:
        fields = {"avatar": _NAME, "title": _TITLE, "audio_url": _SOURCE, "file_id": _SOURCE}
        body, ignored = self._body(call, fields)
        material = self._material(call, body, "audio_url", kinds=AUDIO, megabytes=100, seconds=(5, 1800))
        self._known_avatar(body["avatar"])
        title = body.get("title") or UNTITLED
        seconds = material.seconds or 8.0
        failure = Failure(2013) if material.seconds is None else None
        return self._work(call, body=body, ignored=ignored, words=title, seconds=seconds, failure=failure)

    async def _video_by_text(self, call: Call) -> Answer:
        body, ignored = self._body(call, {"voice": _NAME, "text": _TEXT, "avatar": _NAME, "title": _TITLE})
        self._spoken(body)
        self._known_avatar(body["avatar"])
        words = body.get("title") or body["text"]
        seconds = spoken_seconds(body["text"], longest=_LONGEST)
        return self._work(call, body=body, ignored=ignored, words=words, seconds=seconds)

    async def _audio_by_text(self, call: Call) -> Answer:
        body, ignored = self._body(call, {"voice": _NAME, "text": _TEXT, "title": _TITLE})
        self._spoken(body)
        seconds = spoken_seconds(body["text"], longest=_LONGEST)
        return self._work(call, body=body, ignored=ignored, words="", seconds=seconds)

    async def _avatar_task(self, call: Call) -> Answer:
        task, status, said = self._asked(call, AVATAR_MAKERS)
        avatar = self._library.clone_id(task.id, operation=task.operation) if status == _DONE else ""
        return _said({**said, "avatar": avatar}, task=task.id)

    async def _voice_task(self, call: Call) -> Answer:
        task, status, said = self._asked(call, VOICE_MAKERS)
        if status != _DONE:
            return _said({**said, "voice": "", "demo_url": ""}, task=task.id)
        voice = self._library.clone_id(task.id, operation=task.operation)
        return _said({**said, "voice": voice, "demo_url": self._desk.files.link(call, task)}, task=task.id)

    async def _work_task(self, call: Call) -> Answer:
        task, status, said = self._asked(call, _WORKS)
        if status != _DONE or task.reel is None:
            return _said({**said, "video_Url": "", "duration": 0}, task=task.id)
        link = self._desk.files.link(call, task)
        return _said({**said, "video_Url": link, "duration": round(task.reel.duration)}, task=task.id)

    async def _voice_list(self, call: Call) -> Answer:
        return self._page(call, self._library.voices(public=call.query.get("kind") == _PUBLIC))

    async def _avatar_list(self, call: Call) -> Answer:
        return self._page(call, self._library.avatars(public=call.query.get("kind") == _PUBLIC))

    async def _upload_url(self, call: Call) -> Answer:
        body, ignored = self._body(call, {"file_extension": _NAME})
        return self._uploads.offer(call, body, ignored=ignored, refuse=self._refused)

    async def _credit(self, _: Call) -> Answer:
        return _said({"code": 0, "message": "", "left": self._left()})

    def _page(self, call: Call, rows: list[dict[str, Any]]) -> Answer:
        asked = {**_FIRST_PAGE, **{name: call.query[name] for name in _FIRST_PAGE if name in call.query}}
        if any(not re.fullmatch(r"[1-9]\d{0,8}", value) for value in asked.values()):
            raise self._refused(BAD_PARAMETER, "page, size and kind must be whole numbers")
        if asked["kind"] not in {_OWN, _PUBLIC}:
            raise self._refused(BAD_PARAMETER, "kind must be 1 or 2")
        page, size = int(asked["page"]), int(asked["size"])
        return _said({"code": 0, "message": "", "data": rows[(page - 1) * size : page * size]})

    def _body(self, call: Call, fields: Mapping[str, Field]) -> tuple[dict[str, Any], tuple[str, ...]]:
        try:
            body = call.json()
        except NotJson as error:
            raise self._refused(BAD_PARAMETER, str(error)) from error
        if not isinstance(body, dict):
            raise self._refused(BAD_PARAMETER)
        if found := problems(body, fields):
            raise self._refused(BAD_PARAMETER, f"{found[0].field} {found[0].message}")
        return body, unknown(body, fields)

    def _material(
        self,
        call: Call,
        body: Mapping[str, Any],
        url_field: str,
        *,
        kinds: frozenset[str],
        megabytes: int | None = None,
        seconds: tuple[float, float] | None = None,
    ) -> Material:
        """Take exactly one of a URL and an uploaded file."""
        link, file_id = body.get(url_field), body.get("file_id")
        if (link is None) == (file_id is None):
            raise self._refused(BAD_PARAMETER, f"{url_field} and file_id: exactly one is required")
        if link is None:
            material = self._uploads.find(str(file_id))
        elif is_url(link):
            material = self._linked(call, link, code={VIDEO: 2014, AUDIO: 2013, PICTURE: 2016}[kinds])
        else:
            raise self._refused(BAD_PARAMETER, f"{url_field} must be a URL")
        if material is None:
            raise self._refused(NOT_FOUND, "file_id not found, or nothing was uploaded to it")
        if material.extension and material.extension not in kinds:
            raise self._refused(2012)
        if megabytes is not None and material.size > megabytes * 1024 * 1024:
            raise self._refused(2011)
        if seconds and material.seconds is not None and not seconds[0] <= material.seconds <= seconds[1]:
            raise self._refused(BAD_PARAMETER, f"the duration must be {seconds[0]:g} to {seconds[1]:g} seconds")
        return material

    def _linked(self, call: Call, link: str, *, code: int) -> Material:
        """Judge a URL without fetching it; our own links must be good, and tell their length."""
        if "missing" in link:
            raise self._refused(code)
        if not link.startswith(f"{call.origin}/_/files/"):
            return Material(extension="", size=0, seconds=8.0)
        target = link.removeprefix(call.origin)
        name = urlsplit(target).path.rpartition("%2F")[2]
        task = self._desk.find(name.rpartition(".")[0])
        if self._desk.files.links.judge(target.encode()) != "good" or task is None or task.reel is None:
            raise self._refused(code)
        return Material(extension=name.rpartition(".")[2], size=0, seconds=task.reel.duration)

    def _spoken(self, body: Mapping[str, Any]) -> None:
        if _HTML.search(body["text"]):
            raise self._refused(BAD_PARAMETER, "text must not contain html tags")
        self._known_voice(body["voice"])

    def _known_voice(self, voice: str) -> None:
        if not self._library.has_voice(voice):
            raise self._refused(NOT_FOUND, f"{voice} not found")

    def _known_avatar(self, avatar: str) -> None:
        if not self._library.has_avatar(avatar):
            raise self._refused(NOT_FOUND, f"{avatar} not found")

    def _clone(self, call: Call, *, body: Any, ignored: tuple[str, ...], material: Material, failure: int) -> Answer:
        self._afford(call.operation)
        task = self._desk.order(
            call,
            task=_task_number(),
            body=body,
            seconds=_CLONE_SECONDS,
            reel=(lambda _: Reel("audio", "", _DEMO_SECONDS)) if call.operation in VOICE_MAKERS else None,
        )
        if material.seconds is None:
            self._desk.fail(task, Failure(failure))
        return self._accepted(task, ignored)

    def _work(
        self,
        call: Call,
        *,
        body: Any,
        ignored: tuple[str, ...],
        words: str,
        seconds: float,
        failure: Failure | None = None,
    ) -> Answer:
        self._afford(call.operation)
        if self._in_flight() >= self._desk.limits.hifly_in_flight:
            raise self._refused(TOO_MANY)
        width, height = FRAMES["9:16"]
        sound = call.operation == "audio-by-text"
        task = self._desk.order(
            call,
            task=_task_number(),
            body=body,
            seconds=_WORK_SECONDS,
            reel=lambda _: Reel("audio", "", seconds) if sound else Reel("video", words[:200], seconds, width, height),
        )
        if failure:
            self._desk.fail(task, failure)
        return self._accepted(task, ignored)

    def _afford(self, operation: str) -> None:
        if self._left() < _COSTS.get(operation, 0):
            raise self._refused(NO_CREDITS)

    def _left(self) -> int:
        return self._desk.limits.hifly_credits - self._spent

    def _in_flight(self) -> int:
        """Count the works in progress; everything older than the slowest of them is done."""
        count = 0
        horizon = self._desk.tasks.now() - _WORK_SECONDS[1] / self._desk.tasks.speed
        for task in self._desk.newest():
            if task.created < horizon:
                break
            count += task.operation in _WORKS and self._desk.tasks.progress(task) < 1
        return count

    def _accepted(self, task: Task, ignored: tuple[str, ...]) -> Answer:
        self._spent += _COSTS.get(task.operation, 0)
        return _said({"code": 0, "message": "", "task_id": task.id}, task=task.id, ignored=ignored)

    def _asked(self, call: Call, operations: frozenset[str]) -> tuple[Task, int, dict[str, Any]]:
        number = call.query.get("task_id")
        if not number:
            raise self._refused(BAD_PARAMETER, "task_id is required")
        task = self._desk.find(number)
        if task is None or task.operation not in operations:
            raise self._refused(NOT_FOUND)
        progress = self._desk.progress(call, task)
        if progress < 1:
            status = _WAITING if progress < _QUEUED else _WORKING
            return task, status, {"code": 0, "message": "", "status": status}
        failure = self._desk.failure(task)
        if failure is None:
            return task, _DONE, {"code": 0, "message": "", "status": _DONE}
        code = failure.code or 2015
        told = failure.message or (_MESSAGES.get(code) if isinstance(code, int) else None) or "失败"
        return task, _FAILED, {"code": code, "message": told, "status": _FAILED}

    def _refused(self, code: int, message: str | None = None) -> Refused:
        return Refused(self.error(status=None, code=code, message=message))


def _task_number() -> str:
    return str(10**15 + secrets.randbelow(9 * 10**15))


def _said(
    data: Mapping[str, Any], *, status: int = 200, task: str | None = None, ignored: tuple[str, ...] = ()
) -> Answer:
    numbered = {**data, "request_id": f"req{uuid.uuid4().hex[:16]}"}
    return Answer.of(numbered, status=status, task=task, ignored=ignored)
