"""Result files: their links, their bytes, and how much of them is sent.

A link is a path with a signed query and is good only byte for byte as it was handed out, escapes
and order included, and only for a while, like the object stores that the real providers use. A
file is rendered when somebody first asks for it, in a thread of its own, and kept in the home
folder. Ranges follow RFC 9110 with a strong ETag. Which task a link belongs to is the providers'
business, and what a file shows `media`'s.
"""

import asyncio
import base64
import hashlib
import hmac
import os
import re
import secrets
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from . import faults
from .media import render_audio, render_video
from .tasks import Task, Tasks
from .wire import Answer, Call, Refused

_QUERY = re.compile(rb"Expires=(\d{1,12})&OSSAccessKeyId=sandbox&Signature=[^&]+")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_AWKWARD = b"\xfb\xff"  # its base64 begins with "+/", so every signature needs all three escapes


class Links:
    """Signs paths and judges what comes back; ``lifetime`` is in seconds."""

    def __init__(self, secret: bytes, *, lifetime: float, clock: Callable[[], float]) -> None:
        self._secret = secret
        self._lifetime = lifetime
        self._clock = clock

    def sign(self, path: str, *, lifetime: float | None = None) -> str:
        """Add the signed query to an escaped path."""
        return self._signed(path, int(self._clock() + (self._lifetime if lifetime is None else lifetime)))

    def judge(self, target: bytes) -> Literal["good", "expired", "forged"]:
        """Judge a request target as it stood on the wire."""
        path, _, query = target.partition(b"?")
        match = _QUERY.fullmatch(query)
        if match is None:
            return "forged"
        expires = int(match[1])
        if not hmac.compare_digest(self._signed(path.decode("latin-1"), expires).encode("latin-1"), target):
            return "forged"
        return "good" if self._clock() <= expires else "expired"

    def _signed(self, path: str, expires: int) -> str:
        digest = hmac.digest(self._secret, f"{path}\n{expires}".encode(), "sha256")
        signature = quote(base64.b64encode(_AWKWARD + digest[:18]), safe="")
        return f"{path}?Expires={expires}&OSSAccessKeyId=sandbox&Signature={signature}"


class Files:
    """The files of one home folder."""

    def __init__(self, home: Path, *, links: Links, tasks: Tasks) -> None:
        self._uploads = home / "uploads"
        self._media = home / "media"
        for folder in (self._uploads, self._media):
            folder.mkdir(parents=True, exist_ok=True)
        self.links = links
        self._tasks = tasks
        self._renderer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="render")
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def close(self) -> None:
        """Stop rendering."""
        self._renderer.shutdown(wait=False, cancel_futures=True)

    def link(self, call: Call, task: Task) -> str:
        """Make a fresh link to a task's file."""
        return call.origin + self.links.sign(self.path(task))

    def path(self, task: Task) -> str:
        """Return the escaped path of a task's file."""
        return f"/_/files/{task.provider}/results%2F{file_name(task)}"

    async def fetch(self, call: Call) -> Answer:
        """Answer a request for a link."""
        self.check_link(call)
        name = call.params["file"].removeprefix("results/")
        task = self._tasks.find(call.provider, name.rpartition(".")[0])
        if task is None or task.reel is None or name != file_name(task):
            raise Refused(store_error("NoSuchKey", status=404))
        return await self.serve(call, task)

    def check_link(self, call: Call) -> None:
        """Refuse a link that is forged or expired, as an object store does."""
        match self.links.judge(call.target):
            case "forged":
                raise Refused(store_error("SignatureDoesNotMatch", status=403))
            case "expired":
                raise Refused(store_error("AccessDenied", status=403, message="Request has expired."))
            case "good":
                return

    async def serve(self, call: Call, task: Task) -> Answer:
        """Answer with a task's file, or the part of it that was asked for."""
        plain = (isinstance(call.fault, faults.Truncate) and call.fault.layout == "plain") or (
            isinstance(call.fault, faults.Swap) and call.fault.with_ == "plain"
        )
        content = await self.content(task, faststart=not plain)
        kind = "audio/mpeg" if file_name(task).endswith(".mp3") else "video/mp4"
        return ranged(call, content, kind=kind)

    async def content(self, task: Task, *, faststart: bool = True) -> bytes:
        """Return a task's whole file, rendering it if nobody has asked before."""
        name = file_name(task) if faststart else f"plain-{file_name(task)}"
        path = self._media / name
        async with self._locks[name]:
            if not path.exists():
                loop = asyncio.get_running_loop()
                made = await loop.run_in_executor(self._renderer, lambda: _rendered(task, faststart=faststart))
                _place(path, made)
        self._locks.pop(name, None)
        return path.read_bytes()

    def upload_path(self, name: str) -> Path:
        """Tell where an uploaded file lies."""
        return self._uploads / name

    def keep_upload(self, name: str, content: bytes) -> None:
        """Keep an uploaded file, whole or not at all."""
        _place(self.upload_path(name), content)


def file_name(task: Task) -> str:
    """Name a task's file."""
    return f"{task.id}.mp3" if task.reel is not None and task.reel.kind == "audio" else f"{task.id}.mp4"


def read_secret(path: Path) -> bytes:
    """Read the key that signs links, making one the first time: links outlive a restart."""
    if not path.exists():
        _place(path, secrets.token_bytes(32))
    return path.read_bytes()


def store_error(code: str, *, status: int, message: str = "") -> Answer:
    """Answer as object stores do when they refuse: in XML."""
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>\n'
    return Answer.text(body, status=status, kind="application/xml")


def ranged(call: Call, content: bytes, *, kind: str) -> Answer:
    """Answer with ``content`` or a single range of it (RFC 9110, section 14)."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    how = call.fault.how if isinstance(call.fault, faults.Range) else None
    if how == "changed":
        tag = f'"{secrets.token_hex(16)}"'
    size = len(content)
    whole = Answer(headers=(("content-type", kind), ("accept-ranges", "bytes"), ("etag", tag)), body=content)
    match = _RANGE.fullmatch(call.headers.get("range", "").replace(" ", ""))
    if match is None or match[0] == "bytes=-" or how == "ignored":
        return whole
    if call.headers.get("if-range", tag) != tag:
        return whole
    first, last = match[1], match[2]
    if first:
        start, end = int(first), min(int(last or size - 1), size - 1)
        if last and int(last) < start:
            return whole  # an invalid range is no range
    else:
        start, end = max(0, size - int(last)), size - 1
    if start >= size or start > end or how == "refused":
        headers = (*whole.headers, ("content-range", f"bytes */{size}"))
        return replace(whole, status=416, headers=headers, body=b"")
    told = start + 1 if how == "wrong" else start
    headers = (*whole.headers, ("content-range", f"bytes {told}-{end}/{size}"))
    return replace(whole, status=206, headers=headers, body=content[start : end + 1])


def _rendered(task: Task, *, faststart: bool) -> bytes:
    reel = task.reel
    if reel is None:
        raise ValueError(f"{task.provider} task {task.id} makes no file")
    if reel.kind == "audio":
        return render_audio(duration=reel.duration, seed=task.luck)
    return render_video(
        text=reel.text,
        width=reel.width,
        height=reel.height,
        duration=reel.duration,
        seed=task.luck,
        faststart=faststart,
    )


def _place(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)
