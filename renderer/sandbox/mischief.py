"""How faults are done: answers replaced, altered, or sent in a way that no honest server would.

`faults` decided that this request suffers; here it does, in three places: instead of the operation
or of its answer (`instead`), in the answer's content (`distorted`), and in its delivery
(`deliver`). Faults that only a provider can commit, a task that fails or stands still, are read
from the call where tasks are looked at.
"""

import asyncio
import gzip
import hashlib
import io
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from email.utils import formatdate
from enum import Enum
from typing import Any, Literal, Protocol

from PIL import Image

from . import faults
from .files import Links
from .wire import Answer, Call, Wire

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)
_LINK_PATHS = ("/_/files/", "/yzx/v1/files/")
_PAGE = b"<!doctype html>\n<html><head><title>Bad gateway</title></head><body><h1>502</h1></body></html>\n"
_XML = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>\n'


class Hangup(Enum):
    """An end without an answer."""

    CLOSE = "close"
    RESET = "reset"


class Voice(Protocol):
    """What a provider can say about errors."""

    def error(self, *, status: int | None, code: int | str | None, message: str | None) -> Answer:
        """Say an error in its own shape."""

    def unknown_task(self) -> Answer:
        """Answer about a task that it does not know."""


async def instead(call: Call, voice: Voice, *, when: Literal["before", "after"]) -> Answer | Hangup | None:
    """Do what a fault does in place of the operation (before) or of its answer (after)."""
    fault = call.fault
    if isinstance(fault, faults.Forget):
        return voice.unknown_task() if when == "before" else None
    if getattr(fault, "when", None) != when:
        return None
    match fault:
        case faults.Drop():
            return Hangup.CLOSE
        case faults.Reset():
            return Hangup.RESET
        case faults.Delay(seconds=seconds):
            await asyncio.sleep(seconds)
            return None
        case faults.Error(status=status, code=code, message=message, retry_after=retry_after):
            answer = voice.error(status=status, code=code, message=message)
            return answer if retry_after is None else _with_headers(answer, {"retry-after": _retry_after(retry_after)})
        case faults.Reply(status=status, headers=headers, json=data, body=body):
            answer = Answer.of(data, status=status) if data is not faults.NOTHING else _page(body, status=status)
            return _with_headers(answer, headers)
        case faults.Redirect(to=to, status=status):
            return Answer(status=status, headers=(("location", to),))
    return None


def distorted(call: Call, answer: Answer, *, links: Links) -> Answer:
    """Alter the content of a true answer."""
    match call.fault:
        case faults.Edit(status=status, headers=headers, merge=merge):
            if merge and _is_json(answer):
                answer = replace(answer, body=_json(_joined(json.loads(answer.body), merge)))
            return _with_headers(replace(answer, status=status or answer.status), headers)
        case faults.NumericId() if answer.task is not None:
            number = numeric_id(answer.task)
            return replace(answer, body=answer.body.replace(_json(answer.task), str(number).encode()))
        case faults.Link(to=to) if _is_json(answer):
            data = _relinked(json.loads(answer.body), origin=call.origin, to=to, links=links)
            return replace(answer, body=_json(data))
        case faults.Swap(with_=kind) if kind != "plain":
            return replace(answer, body=_other_file(kind))
        case faults.Truncate(keep=keep, length="wrong"):
            return replace(answer, body=answer.body[: int(len(answer.body) * keep)])
    return answer


async def deliver(call: Call, outcome: Answer | Hangup, wire: Wire) -> None:
    """Send what came of a request, or hang up."""
    if outcome is Hangup.CLOSE:
        await wire.close()
    elif outcome is Hangup.RESET:
        await wire.reset()
    elif isinstance(outcome, Answer):
        await _deliver(call, outcome, wire)


async def _deliver(call: Call, answer: Answer, wire: Wire) -> None:
    size = len(answer.body)
    match call.fault if call.method != "HEAD" else None:
        case faults.Truncate(keep=keep, length="right" | "none" as length):
            await wire.write_head(answer, length=size if length == "right" else None)
            await wire.write(answer.body[: int(size * keep)])
        case faults.Drip(rate=rate):
            await wire.write_head(answer, length=size)
            await _drip(answer.body, rate=rate, wire=wire)
        case faults.Huge(bytes=total):
            await wire.write_head(answer, length=total)
            await wire.write(answer.body[:total])
            await _repeat(_ZEROS, times=max(0, total - size) // _CHUNK, wire=wire)
            await wire.write(_ZEROS[: max(0, total - size) % _CHUNK])
        case faults.Bomb(bytes=total):
            member = gzip.compress(_ZEROS, mtime=0)
            await wire.write_head(_with_headers(answer, {"content-encoding": "gzip"}), length=None)
            await _repeat(member, times=-(-total // _CHUNK), wire=wire)
        case _:
            there = not wire.gone
            await wire.send(answer)
            if answer.sent is not None and there:
                answer.sent()
            return
    await wire.close()


def numeric_id(task: str) -> int:
    """Return the number that stands for a task's id: over 2^53, so a double loses its end."""
    return 2**60 + int.from_bytes(hashlib.sha256(task.encode()).digest()[:7], "big") * 2 + 1


async def _drip(body: bytes, *, rate: float, wire: Wire) -> None:
    pause = max(1 / rate, 0.05)
    step = max(1, int(rate * pause))
    for start in range(0, len(body), step):
        if wire.gone:
            return
        await wire.write(body[start : start + step])
        await asyncio.sleep(pause)


async def _repeat(part: bytes, *, times: int, wire: Wire) -> None:
    for _ in range(times):
        if wire.gone:
            return
        await wire.write(part)
        await asyncio.sleep(0)  # others want to be served meanwhile


def _with_headers(answer: Answer, headers: Mapping[str, str]) -> Answer:
    new = {key.lower(): value for key, value in headers.items()}
    kept = tuple((key, value) for key, value in answer.headers if key not in new)
    return replace(answer, headers=(*kept, *new.items()))


def _retry_after(value: float | str | Mapping[str, float]) -> str:
    if isinstance(value, Mapping):
        return formatdate(time.time() + value["date"], usegmt=True)
    return str(value)


def _page(body: str, *, status: int) -> Answer:
    kind = "text/html" if body.lstrip().startswith("<") else "text/plain"
    return Answer.text(body, status=status, kind=kind)


def _json(data: Any) -> bytes:
    return json.dumps(data, ensure_ascii=False).encode("utf-8", "backslashreplace")


def _is_json(answer: Answer) -> bool:
    return dict(answer.headers).get("content-type", "").startswith("application/json")


def _joined(data: Any, merge: Any) -> Any:
    if not isinstance(data, dict) or not isinstance(merge, dict):
        return merge
    return {**data, **{key: _joined(data.get(key), value) for key, value in merge.items()}}


def _relinked(data: Any, *, origin: str, to: str | None, links: Links) -> Any:
    """Replace each result link in a JSON value."""
    match data:
        case dict():
            return {key: _relinked(value, origin=origin, to=to, links=links) for key, value in data.items()}
        case list():
            return [_relinked(value, origin=origin, to=to, links=links) for value in data]
        case str() if data.startswith(tuple(origin + path for path in _LINK_PATHS)):
            path = data.removeprefix(origin).partition("?")[0]
            return to if to is not None else origin + links.sign(path, lifetime=-60)
    return data


def _other_file(kind: str) -> bytes:
    match kind:
        case "html":
            return _PAGE
        case "xml":
            return _XML
        case "json":
            return b'{"error": {"message": "not ready", "type": "server_error"}}'
        case "png":
            target = io.BytesIO()
            Image.new("RGB", (64, 36), "navy").save(target, "PNG")
            return target.getvalue()
    return b""
