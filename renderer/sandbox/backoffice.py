"""The sandbox's own pages: what it is, what was bought, what was asked, and what all providers share.

These paths are for people and for tests; no provider has them.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from .files import Files
from .gate import Endpoint, Log, Provider, timestamp
from .tasks import Tasks
from .wire import Answer, Call

_NAMES = ("fliz", "hifly", "gen_video", "yzx", "foxapi")
Page = Callable[[Request], Awaitable[Response]]


async def landing(request: Request) -> Response:
    """Say what this is and how to reach the providers, as shell lines that can be pasted."""
    host, port = request.scope["server"]
    base = f"http://{host}:{port}"
    lines = [
        "Renderer's sandbox: five video providers on this machine. Nothing here costs anything.",
        "",
        *(f"export {name.upper()}_BASE_URL={base}/{name}" for name in _NAMES),
        *(f"export {name.upper()}_API_KEY=sandbox" for name in _NAMES if name != "gen_video"),
        "",
        "Any token is right but `invalid`.",
        "",
        f"{base}/_/purchases   what was bought",
        f"{base}/_/requests    what was asked, lately",
        f"POST {base}/_/fliz/continue/<id>   finish a video's user_action",
        "",
    ]
    return PlainTextResponse("\n".join(lines))


def purchases(tasks: Tasks) -> Page:
    """Make the page of everything that was bought; refused requests are not on it."""

    async def page(_: Request) -> Response:
        rows = [
            {
                "provider": task.provider,
                "operation": task.operation,
                "task": task.id,
                "hash": task.hash,
                "time": timestamp(task.created),
                "body": task.body,
            }
            for task in tasks.purchases()
        ]
        return _json({"purchases": rows})

    return page


def requests(log: Log) -> Page:
    """Make the page of the latest requests."""

    async def page(_: Request) -> Response:
        return _json({"requests": log.rows()})

    return page


def _json(data: Any) -> Response:
    """Answer with ASCII, so that any text that was bought can be shown, lone surrogates too."""
    return Response(json.dumps(data, indent=1), media_type="application/json")


def shared_endpoints(provider: Provider, files: Files) -> Sequence[Endpoint]:
    """Return what every provider has: its files' links, and an error for all paths that it does not know."""

    async def unknown_path(call: Call) -> Answer:
        return provider.error(status=404, message=f"no such endpoint: {call.method} {call.path}")

    return (
        Endpoint("GET", f"/_/files/{provider.name}/{{file:path}}", "file", files.fetch, guarded=False),
        Endpoint(None, "/{rest:path}", "unknown", unknown_path, guarded=False),
    )
