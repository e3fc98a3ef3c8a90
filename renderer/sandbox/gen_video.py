"""GEN_VIDEO: one long call that exports a draft; ``seeds/gen_video``.

The call is its own poll. A render goes on when its caller has left, a call for the same draft joins
it, and a render that is ready waits for the next call; once its link was delivered, calling again
is a new purchase. Nothing is fetched: the draft's id decides. One that contains ``missing`` does
not exist, ``empty`` has no content, ``unreachable`` has material that cannot be had, and ``broken``
fails while rendering.
"""

import asyncio
import uuid
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

from .checks import is_url
from .desk import FRAMES, Desk, Failure
from .gate import Endpoint
from .tasks import Reel, Task
from .wire import Answer, Call, NotJson

_ID_KEYS = ("drafId", "draftId", "draft_id")  # the documents' own spelling, and the ones beside it
_SECONDS = (5.0, 30.0)
_LENGTH = 5.0


class GenVideo:
    """The GEN_VIDEO API."""

    name = "gen_video"

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._latest = {task.facts["draft_url"]: task.id for task in reversed(list(desk.newest()))}

    def endpoints(self) -> Sequence[Endpoint]:
        """List what it can do; no token is asked for."""
        return (Endpoint("POST", "/v1/gen_video", "export", self._export, guarded=False),)

    def error(self, *, status: int | None, code: int | str | None = None, message: str | None = None) -> Answer:
        """Say an error as FastAPI does."""
        status = status or 400
        told = {404: "草稿不存在", 500: "视频渲染失败", 503: "服务繁忙", 504: "处理超时"}
        return Answer.of({"detail": message or told.get(status, str(code or "error"))}, status=status)

    def unauthorised(self) -> Answer:
        """Refuse a token; no operation here asks for one."""
        return self.error(status=401, message="Unauthorized")

    def unknown_task(self) -> Answer:
        """Answer about a draft that it does not know."""
        return self.error(status=404)

    async def _export(self, call: Call) -> Answer:
        try:
            body = call.json()
        except NotJson as error:
            return self.error(status=400, message=str(error))
        url = body.get("draft_url") if isinstance(body, dict) else None
        if url is None or url == "":
            return self.error(status=400, message="draft_url是必填项")
        draft = draft_id(url) if isinstance(url, str) else None
        if draft is None:
            return self.error(status=400, message="draft_url格式无效")
        for word, status, message in (
            ("missing", 404, "草稿不存在"),
            ("empty", 400, "草稿内容为空"),
            ("unreachable", 400, "素材无法访问"),
        ):
            if word in draft:
                return self.error(status=status, message=message)
        task = self._undelivered(url) or self._order(call, url=url, draft=draft, body=body)
        return await self._wait(call, task, ignored=tuple(name for name in body if name != "draft_url"))

    def _undelivered(self, url: str) -> Task | None:
        """Find the draft's last render, unless somebody has its link already."""
        task = self._desk.find(self._latest.get(url, ""))
        return None if task is None or "delivered" in task.notes else task

    def _order(self, call: Call, *, url: str, draft: str, body: object) -> Task:
        width, height = FRAMES["16:9"]
        title = f"Draft {draft.rpartition('/')[2][:100]}"
        task = self._desk.order(
            call,
            task=f"gen-{uuid.uuid4().hex}",
            body=body,
            seconds=_SECONDS,
            reel=lambda _: Reel("video", title, _LENGTH, width, height),
            facts={"draft_url": url},
        )
        self._latest[url] = task.id
        return self._desk.fail(task, Failure()) if "broken" in draft else task

    async def _wait(self, call: Call, task: Task, *, ignored: tuple[str, ...]) -> Answer:
        patience = self._desk.limits.gen_video_patience / self._desk.tasks.speed
        await asyncio.sleep(min(patience, self._desk.tasks.remaining(task)))
        if self._desk.progress(call, task) < 1:
            return Answer.of({"message": "视频生成中"}, task=task.id, ignored=ignored)

        def delivered() -> None:
            self._desk.tasks.note(task, delivered=self._desk.tasks.now())

        failure = self._desk.failure(task)
        if failure is not None:
            status = failure.code if isinstance(failure.code, int) else 500
            refusal = {"detail": failure.message or "视频渲染失败"}
            return Answer.of(refusal, status=status, task=task.id, ignored=ignored, sent=delivered)
        data = {"message": "视频生成成功", "video_url": self._desk.files.link(call, task)}
        return Answer.of(data, task=task.id, ignored=ignored, sent=delivered)


def draft_id(url: str) -> str | None:
    """Find a draft's id in the query of its URL, or in the fragment's, where the documents show it."""
    if not is_url(url):
        return None
    parts = urlsplit(url)
    for query in (parts.query, parts.fragment.partition("?")[2]):
        found = parse_qs(query)
        for key in _ID_KEYS:
            if key in found:
                return found[key][0]
    return None
