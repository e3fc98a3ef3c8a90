"""Posting a webhook: to this machine only, a bounded number of times, following nothing.

A rehearsal may carry the addresses of a real project; the sandbox must never send anything there.
"""

import asyncio
import http.client
import ipaddress
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .tasks import Task, Tasks

_TRIES = 3
_TIMEOUT = 5.0
_LOOK_AGAIN = 0.5


async def until_done(tasks: Tasks, task: Task) -> None:
    """Wait until a task has run its course, however long somebody lets it pause."""
    while True:
        current = tasks.find(task.provider, task.id) or task
        if tasks.progress(current) >= 1:
            return
        await asyncio.sleep(min(max(tasks.remaining(current), 0.01), _LOOK_AGAIN))


async def post(url: str, message: Mapping[str, Any]) -> bool:
    """POST a message as JSON and tell whether it was taken (2xx) in the end."""
    if not is_loopback(url):
        return False
    for attempt in range(_TRIES):
        if await asyncio.to_thread(_post, url, json.dumps(message).encode()):
            return True
        await asyncio.sleep(0.2 * 2**attempt)
    return False


def is_loopback(url: str) -> bool:
    """Tell whether a URL stays on this machine; names other than localhost are not looked up."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _post(url: str, body: bytes) -> bool:
    parts = urlsplit(url)
    if parts.scheme != "http":
        return False
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT)
    try:
        connection.request("POST", target, body, {"Content-Type": "application/json"})
        return 200 <= connection.getresponse().status < 300  # noqa: PLR2004 - as HTTP has it
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
