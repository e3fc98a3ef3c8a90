"""Puts the sandbox together and serves it: on loopback only, until it is told to stop.

`serve` is for a process of its own, `create_app` for tests in one's own event loop. Whatever lasts
lies in the home folder, so another `serve` on the same folder goes on where this one ended. The
command line stands in `__main__`.
"""

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from .backoffice import landing, purchases, requests, shared_endpoints
from .desk import Desk, Errands
from .faults import Faults, FaultsFile
from .faultsfile import read_faults
from .files import Files, Links, read_secret
from .fliz import Fliz
from .foxapi import FoxApi
from .gate import Gate, Log, Provider
from .gen_video import GenVideo
from .hifly import Hifly
from .tasks import Tasks
from .wire import TRANSPORT
from .yzx import Yzx

_HOST = "127.0.0.1"
_KEEP_ALIVE = 75  # seconds that an idle connection is kept, as most servers do
_GRACE = 1  # seconds that calls in progress get when the server stops


def serve(
    *,
    home: Path,
    port: int = 0,
    speed: float = 1.0,
    seed: int = 0,
    faults: Path | None = None,
    ready: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve the sandbox of ``home`` until SIGTERM or SIGINT, or until ``stop`` is set.

    ``port`` 0 takes a free one; ``ready`` is told which, once connections are accepted. ``speed``
    is how many of the providers' seconds pass in one of ours. Raises `faults.FaultsError` for a bad
    faults file and OSError for a port that is taken.
    """
    app = create_app(home=home, speed=speed, seed=seed, faults=faults)
    with socket.create_server((_HOST, port)) as listener:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_GRACE,
        )
        _Server(config, ready=ready, stop=stop).run(sockets=[listener])


def create_app(*, home: Path, speed: float = 1.0, seed: int = 0, faults: Path | None = None) -> Starlette:
    """Make the application; raises `faults.FaultsError`.

    Faults that concern the connection itself work only under `serve`.
    """
    if speed <= 0:
        raise ValueError("speed must be above 0")
    planned = read_faults(faults) if faults else FaultsFile()
    home.mkdir(parents=True, exist_ok=True)
    tasks = Tasks(home / "tasks.jsonl", speed=speed, seed=seed, clock=time.time)
    links = Links(read_secret(home / "secret"), lifetime=planned.limits.link_lifetime, clock=time.time)
    files = Files(home, links=links, tasks=tasks)
    errands = Errands()

    def desk(provider: str) -> Desk:
        return Desk(provider=provider, tasks=tasks, files=files, limits=planned.limits, errands=errands)

    fliz = Fliz(desk("fliz"))
    providers: tuple[Provider, ...] = (
        fliz,
        Hifly(desk("hifly")),
        GenVideo(desk("gen_video")),
        Yzx(desk("yzx")),
        FoxApi(desk("foxapi")),
    )
    log = Log()
    planned_faults = Faults(planned.rules, seed=seed)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        fliz.resume()
        yield
        await errands.stop()
        files.close()
        tasks.close()

    routes = [
        Route("/", landing),
        Route("/_/purchases", purchases(tasks)),
        Route("/_/requests", requests(log)),
    ]
    for provider in providers:
        for endpoint in (*provider.endpoints(), *shared_endpoints(provider, files)):
            path = endpoint.path if endpoint.path.startswith("/_/") else f"/{provider.name}{endpoint.path}"
            gate = Gate(provider, endpoint, faults=planned_faults, links=links, log=log)
            routes.append(Route(path, gate, methods=[endpoint.method] if endpoint.method else None))
    return Starlette(routes=routes, lifespan=lifespan)


class _Protocol(H11Protocol):
    """HTTP as usual, but the application can reach the connection beneath: faults close it, or worse."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        super().connection_made(transport)
        # asyncio does this only for sockets that name their protocol, which `create_server` leaves open;
        # without it each answer on a kept connection waits 40 ms for an acknowledgement.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        app = self.app

        async def reachable(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = reachable


class _Server(uvicorn.Server):
    """A server that says when it is ready, and for which a signal is an ordinary end."""

    def __init__(
        self, config: uvicorn.Config, *, ready: Callable[[int], None] | None, stop: threading.Event | None
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._stop = stop

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or (self._stop is not None and self._stop.is_set())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready and sockets:
            self._ready(sockets[0].getsockname()[1])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal without raising it again afterwards, as the base class does."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
