"""``renderer sandbox``: the five providers' APIs on loopback, in the foreground, for other programs and for a look.

It is the sandbox of ``--sandbox``, with the same purchases, so it holds the rehearsal's lock while it serves. What it
prints on stdout can be pasted, or given to ``eval``: then ``renderer apply`` without ``--sandbox``, or anybody's own
program, talks to it.
"""

import contextlib
import errno
from collections.abc import Callable
from pathlib import Path

import click

from renderer.cli.environment import sandbox_services
from renderer.cli.options import Context, pass_context
from renderer.cli.progress import step
from renderer.errors import DiskError, InvalidError, UsageError
from renderer.provider.pack import Packs
from renderer.provider.packfile import load_packs
from renderer.sandbox.faultsfile import FaultsError
from renderer.sandbox.server import serve
from renderer.state.runlock import RunLock

_NO_PORT = frozenset({errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL})


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="The port it had last time, or a free one, if not given.")
@click.option(
    "--speed",
    type=click.FloatRange(0, 1_000_000, min_open=True),
    default=1.0,
    show_default=True,
    help="Seconds of the providers that pass in one of ours.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides what the documents leave open.")
@click.option(
    "--faults",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A YAML file of what shall go wrong.",
)
@pass_context
def command(context: Context, *, port: int | None, speed: float, seed: int, faults: Path | None) -> None:
    """Serve the five providers' APIs on this machine until Ctrl-C; nothing costs.

    Prints the variables that lead there, ready to paste.
    """
    project = context.find().sandbox()
    # The built-in ones: it speaks no other.
    packs = load_packs()
    home = project.state / "server"
    remembered = home / "port"

    def ready(found: int) -> None:
        waiting.close()
        with contextlib.suppress(OSError):
            remembered.write_text(str(found), encoding="utf-8")
        click.echo(exports(packs, found))
        click.echo(f"Serving http://127.0.0.1:{found} at speed {speed:g}; Ctrl-C ends it.", err=True)

    def run(at: int) -> None:
        _serve(home, port=at, speed=speed, seed=seed, faults=faults, ready=ready)

    with RunLock(project), contextlib.ExitStack() as waiting:
        waiting.enter_context(step("starting the sandbox"))
        last = _last(remembered) if port is None else None
        try:
            run(last or port or 0)
        except UsageError:
            if not last:
                raise
            # Somebody else has it now.
            run(0)


def exports(packs: Packs, port: int) -> str:
    """Return shell lines that lead every provider, with a key that is none, to the sandbox."""
    lines = []
    for provider, service in sandbox_services(packs.values(), f"http://127.0.0.1:{port}").items():
        pack = packs[provider]
        lines.append(f"export {pack.base_url_variable}={service.base_url}")
        if pack.key is not None:
            lines.append(f"export {pack.key.variable}={service.secret}")
    return "\n".join(lines)


def _serve(
    home: Path, *, port: int, speed: float, seed: int, faults: Path | None, ready: Callable[[int], None]
) -> None:
    """Serve until a signal. Raises :class:`UsageError` for the port, :class:`InvalidError` for the faults file."""
    try:
        serve(home=home, port=port, speed=speed, seed=seed, faults=faults, ready=ready)
    except FaultsError as error:
        raise InvalidError([], message=str(error)) from None
    except OSError as error:
        if error.errno in _NO_PORT:
            why = error.strerror or "it is taken"
            raise UsageError(f"port {port} cannot be used: {why}", hint="give another --port, or none") from None
        raise DiskError(f"the sandbox cannot use {error.filename or home}: {error.strerror}") from None


def _last(remembered: Path) -> int | None:
    try:
        return int(remembered.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
