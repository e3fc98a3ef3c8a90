"""Fliz: text in, a narrated video out; ``seeds/fliz`` and its public enum page.

What the documents name is checked as they name it; styles and fonts, of which they only give
examples, may be any text. Fliz documents no shape for its errors: this one speaks Hasura's, on
which its API visibly stands.
"""

import re
import uuid
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from . import webhooks
from .checks import Field, Problem, flag, matching, one_of, problems, text, unknown, url, urls, whole
from .desk import FRAMES, Desk, Failure
from .gate import Endpoint, timestamp
from .media import spoken_seconds
from .tasks import Reel, Task
from .wire import Answer, Call, NotJson, Refused

_WRAPPER = "fliz_video_create_input"
_ASPECTS = {"size_16_9": "16:9", "size_9_16": "9:16", "square": "1:1"}
_PICTURED = {"product", "ad"}
_TAKES_SECONDS = (40.0, 90.0)
_LONGEST = 12.0
_PAUSE = 0.4

_STEPS = ("pending", "scrapping", "script", "image_prompt", "image_generation", "speech", "video_rendering")
_TRANSLATION_STEPS = ("pending", "translation", "speech", "video_rendering")

_VOICES = (
    ("6f1ed002-ab5c-4f5a-9a5c-000000000001", "Amelia", "female"),
    ("6f1ed002-ab5c-4f5a-9a5c-000000000002", "Hugo", "male"),
    ("6f1ed002-ab5c-4f5a-9a5c-000000000003", "Ines", "female"),
)
_MUSICS = (
    ("7a2fe113-bc6d-4a6b-8b6d-000000000001", "Morning walk", "calm"),
    ("7a2fe113-bc6d-4a6b-8b6d-000000000002", "Big reveal", "energetic"),
)
VOICE_IDS = tuple(voice for voice, *_ in _VOICES)
"""The voices of this sandbox, stable over restarts and versions."""
MUSIC_IDS = tuple(music for music, *_ in _MUSICS)
"""The musics of this sandbox, stable over restarts and versions."""

_LANGUAGE = matching(r"[a-z]{2}", "an ISO 639-1 code")
_FIELDS: Mapping[str, Field] = {
    "name": Field(text(), required=True),
    "description": Field(text(), required=True),
    "format": Field(one_of(*_ASPECTS), required=True),
    "lang": Field(_LANGUAGE, required=True),
    "category": Field(one_of("article", "product", "ad")),
    "script_style": Field(text(), nullable=True),
    "image_style": Field(text()),
    "caption_style": Field(text()),
    "caption_position": Field(one_of("bottom", "center")),
    "caption_font": Field(text()),
    "caption_color": Field(matching(r"#[0-9A-Fa-f]{6}|white", "a hex color")),
    "caption_uppercase": Field(flag),
    "voice_id": Field(one_of(*VOICE_IDS), nullable=True),
    "is_male_voice": Field(flag, nullable=True),
    "music_id": Field(one_of(*MUSIC_IDS), nullable=True),
    "music_url": Field(url, nullable=True),
    "music_volume": Field(whole(low=0, high=100)),
    "watermark_url": Field(url, nullable=True),
    "site_url": Field(url, nullable=True),
    "site_name": Field(text(), nullable=True),
    "webhook_url": Field(url, nullable=True),
    "is_automatic": Field(flag),
    "video_animation_mode": Field(one_of("full_video", "hook_only")),
    "image_urls": Field(urls(least=0, most=10), nullable=True),
}
_KEPT = (
    "name", "description", "format", "lang", "category", "voice_id", "music_id", "music_url", "watermark_url",
)  # fmt: skip
_TRANSLATE_QUERY: Mapping[str, Field] = {
    "new_lang": Field(_LANGUAGE, required=True),
    "is_automatic": Field(one_of("true", "false")),
    "webhook_url": Field(url),
}


class Fliz:
    """The Fliz API."""

    name = "fliz"

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def endpoints(self) -> Sequence[Endpoint]:
        """List what it can do."""
        return (
            Endpoint("POST", "/api/rest/video", "video", self._create),
            Endpoint("GET", "/api/rest/videos/{id}", "status", self._status),
            Endpoint("GET", "/api/rest/videos", "list", self._list),
            Endpoint("POST", "/api/rest/videos/{id}/translate", "translate", self._translate),
            Endpoint("POST", "/api/rest/videos/{id}/duplicate", "duplicate", self._duplicate),
            Endpoint("GET", "/api/rest/voices", "voices", self._voices),
            Endpoint("GET", "/api/rest/musics", "musics", self._musics),
            Endpoint("POST", "/_/fliz/continue/{id}", "continue", self._continue, guarded=False),
        )

    def error(self, *, status: int | None, code: int | str | None = None, message: str | None = None) -> Answer:
        """Say an error as Hasura does."""
        status = status or 400
        codes = {400: "bad-request", 401: "access-denied", 404: "not-found", 429: "rate-limited"}
        said = {"path": "$", "error": message or "error", "code": str(code or codes.get(status, "unexpected"))}
        return Answer.of(said, status=status)

    def unauthorised(self) -> Answer:
        """Refuse a request without a valid token."""
        return self.error(status=401, message="Invalid or expired token")

    def unknown_task(self) -> Answer:
        """Answer about a video that it does not know."""
        return self.error(status=404, message="Video not found")

    def resume(self) -> None:
        """Take up the webhooks that a restart interrupted."""
        for task in self._desk.newest():
            if task.facts["webhook_url"] and "told" not in task.notes:
                self._desk.errands.start(self._tell(task, origin=task.facts["origin"]))

    async def _create(self, call: Call) -> Answer:
        try:
            body = call.json()
        except NotJson as error:
            raise self._refused(str(error)) from error
        if not isinstance(body, dict) or set(body) != {_WRAPPER} or not isinstance(body[_WRAPPER], dict):
            raise self._refused(f"the body must be an object with the one key {_WRAPPER!r}")
        asked: dict[str, Any] = body[_WRAPPER]
        if strange := unknown(asked, _FIELDS):
            raise self._refused(f"field {strange[0]!r} not found in type: {_WRAPPER!r}")
        self._check(problems(asked, _FIELDS))
        if asked.get("category") in _PICTURED:
            expected = urls(least=3, most=10)(asked.get("image_urls"))
            self._check([Problem("image_urls", f"must be {expected}")] if expected else [])
        task = self._order(
            call,
            body=body,
            source={key: asked.get(key) for key in _KEPT},
            automatic=asked.get("is_automatic", True),
            webhook_url=asked.get("webhook_url"),
        )
        return Answer.of({"fliz_video_create": {"video_id": task.id}}, task=task.id)

    async def _translate(self, call: Call) -> Answer:
        if strange := unknown(call.query, _TRANSLATE_QUERY):
            raise self._refused(f"unexpected query parameter {strange[0]!r}")
        self._check(problems(call.query, _TRANSLATE_QUERY))
        source = self._found(call)
        task = self._order(
            call,
            body=None,
            source={**source.facts["source"], "lang": call.query["new_lang"]},
            automatic=call.query.get("is_automatic", "true") == "true",
            webhook_url=call.query.get("webhook_url"),
        )
        return Answer.of({"fliz_video_translate": {"new_video_id": task.id}}, task=task.id)

    async def _duplicate(self, call: Call) -> Answer:
        source = self._found(call)
        task = self._order(call, body=None, source=source.facts["source"], automatic=True, webhook_url=None)
        return Answer.of({"fliz_video_duplicate": {"new_video_id": task.id}}, task=task.id)

    def _order(
        self, call: Call, *, body: Any, source: Mapping[str, Any], automatic: bool, webhook_url: str | None
    ) -> Task:
        width, height = FRAMES[_ASPECTS[source["format"]]]
        title = f"{source['name']} ({source['lang']})"
        duration = spoken_seconds(source["description"], longest=_LONGEST)
        task = self._desk.order(
            call,
            task=str(uuid.uuid4()),
            body=body,
            seconds=_TAKES_SECONDS,
            reel=lambda _: Reel("video", title[:200], duration, width, height),
            pause=None if automatic else _PAUSE,
            facts={"source": source, "webhook_url": webhook_url, "origin": call.origin},
        )
        if webhook_url:
            self._desk.errands.start(self._tell(task, origin=call.origin))
        return task

    async def _status(self, call: Call) -> Answer:
        task = self._found(call)
        source = task.facts["source"]
        data = {
            **self._row(call, task),
            "voice_id": source["voice_id"],
            "music": {"id": source["music_id"], "url": source["music_url"]},
            "watermark": {"id": None, "url": source["watermark_url"]},
            "remotion_configuration": None,
        }
        return Answer.of({"fliz_video_by_pk": data}, task=task.id)

    async def _list(self, call: Call) -> Answer:
        limit, offset = (self._count(call, name, default) for name, default in (("limit", 20), ("offset", 0)))
        newest = islice(self._desk.newest(), offset, offset + limit)
        return Answer.of({"fliz_video": [self._row(call, task) for task in newest]})

    async def _voices(self, _: Call) -> Answer:
        voices = [{"id": id_, "name": name, "gender": gender, "samples": []} for id_, name, gender in _VOICES]
        return Answer.of({"fliz_list_voices": {"voices": voices}})

    async def _musics(self, _: Call) -> Answer:
        musics = [{"id": id_, "name": name, "theme": theme, "url": None} for id_, name, theme in _MUSICS]
        return Answer.of({"fliz_list_musics": {"musics": musics}})

    async def _continue(self, call: Call) -> Answer:
        """Be the person who finishes the step in Fliz's dashboard."""
        task = self._desk.find(call.params["id"])
        if task is None:
            return self.unknown_task()
        if self._step(call, task) != "user_action":
            return self.error(status=409, message="this video is not waiting for anybody")
        self._desk.tasks.note(task, continued=self._desk.tasks.now())
        return Answer.of({"id": task.id, "continued": True}, task=task.id)

    def _row(self, call: Call, task: Task) -> dict[str, Any]:
        source = task.facts["source"]
        step = self._step(call, task)
        failure = self._desk.failure(task) if step.startswith("failed") else None
        return {
            "id": task.id,
            "title": source["name"],
            "category": source["category"] or "article",
            "format": source["format"],
            "lang": source["lang"],
            "step": step,
            "url": self._desk.files.link(call, task) if step == "complete" else None,
            "error": _error(failure) if failure else None,
            "created_at": timestamp(task.created),
        }

    def _step(self, call: Call, task: Task) -> str:
        progress = self._desk.progress(call, task)
        if progress >= 1:
            return "failed" if self._desk.failure(task) else "complete"
        if task.pause is not None and "continued" not in task.notes and progress >= task.pause:
            return "user_action"
        steps = _TRANSLATION_STEPS if task.operation == "translate" else _STEPS
        return steps[int(progress * len(steps))]

    async def _tell(self, task: Task, *, origin: str) -> None:
        """Send the webhook once the video is there."""
        await webhooks.until_done(self._desk.tasks, task)
        task = self._desk.find(task.id) or task
        source = task.facts["source"]
        failure = self._desk.failure(task)
        if failure:
            message = {"event": "video.failed", "video_id": task.id, "step": "failed", "error": _error(failure)}
        else:
            path = self._desk.files.path(task)
            message = {
                "event": "video.complete",
                "video_id": task.id,
                "step": "complete",
                "url": origin + self._desk.files.links.sign(path),
                "title": source["name"],
                "format": source["format"],
                "lang": source["lang"],
            }
        told = await webhooks.post(task.facts["webhook_url"], message)
        self._desk.tasks.note(task, told=told)

    def _found(self, call: Call) -> Task:
        task = self._desk.find(call.params["id"])
        if task is None:
            raise Refused(self.unknown_task())
        return task

    def _count(self, call: Call, name: str, default: int) -> int:
        value = call.query.get(name, str(default))
        if not re.fullmatch(r"\d{1,9}", value):
            raise self._refused(f"{name} must be a whole number")
        return int(value)

    def _check(self, found: Sequence[Problem]) -> None:
        if found:
            raise self._refused(f"{found[0].field} {found[0].message}")

    def _refused(self, message: str) -> Refused:
        return Refused(self.error(status=400, message=message))


def _error(failure: Failure) -> dict[str, str]:
    return {
        "code": str(failure.code or "rendering_error"),
        "message": failure.message or "The video could not be rendered.",
    }
