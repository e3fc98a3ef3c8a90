"""The entry point: which commands there are, and the one place where an error becomes words and an exit code.

A command is a module of ``cli`` that is imported when it is called, so that ``--help`` needs nothing but click. Its
function takes the :class:`~renderer.cli.options.Context` and its own options, and returns an exit code (None is 0).
What a command does is not known here.

Errors end here and nowhere else. A :class:`RendererError` is shown with its problems and its hint, and carries its
own exit code; wrong usage is 64; an interrupt 130; anything else is a bug: its traceback goes into a file (``crash``)
and never to the terminal.
"""

import difflib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, TextIO

import click

import renderer
from renderer.cli.documents import error_document
from renderer.cli.options import EVERYWHERE, Context, everywhere
from renderer.cli.text import inert, install, problem_line
from renderer.errors import DiskError, Exit, InvalidError, RendererError, UsageError

_NAME = "renderer"
_COMPLETE = "_RENDERER_COMPLETE"
# What a shell reports of a program whose reader went away; not one of our own codes.
_PIPE_CLOSED = 128 + signal.SIGPIPE
# An OSError that says one of these is about the disk, not about us.
_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO})


class _Entry(NamedTuple):
    """A command: its name, the module of ``cli`` and the name in it, one line of help, and the extra that it needs."""

    name: str
    module: str
    attribute: str
    help: str
    extra: str = ""


_COMMANDS = (
    _Entry("init", "init", "command", "Make a working project: a first manifest, Makefile, CI."),
    _Entry("validate", "validate", "command", "Find everything that is wrong, before money moves."),
    _Entry("plan", "plan", "command", "Show what would be done, why, and what it buys."),
    _Entry("apply", "apply", "command", "Do it: submit, poll, download, verify."),
    _Entry("collect", "apply", "collect", "Poll and download what was bought; never buys."),
    _Entry("status", "status", "command", "Show each job's state."),
    _Entry("verify", "verify", "command", "Hash the outputs again."),
    _Entry("retry", "retry", "command", "Buy failed jobs again, now."),
    _Entry("resolve", "resolve", "command", "Decide held jobs."),
    _Entry("approve", "approve", "command", "Let today's video count for today's manifest."),
    _Entry("adopt", "adopt", "command", "Attach a task or a file that exists."),
    _Entry("forget", "forget", "command", "Hide a purchase whose job is gone."),
    _Entry("rebuild", "rebuild", "command", "Rebuild a lockfile from ledger and sidecars."),
    _Entry("providers", "providers", "command", "Show what is known of providers; check a credential."),
    _Entry("sandbox", "sandbox", "command", "Serve the five providers' APIs on this machine.", "sandbox"),
    _Entry("schema", "schema", "command", "Print a JSON Schema."),
    _Entry("unlock", "unlock", "command", "Tell who is working on the project."),
    _Entry("clean", "clean", "command", "Drop partial files and cached files that no record names."),
    _Entry("validate-online", "online", "command", ""),  # a part of validate that is loaded when it is asked for
)
_SHOWN = tuple(entry for entry in _COMMANDS if entry.help)


class _Commands(click.Group):
    """A group whose commands are imported when they are called, and whose errors end in :func:`_run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [entry.name for entry in _SHOWN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        for entry in _COMMANDS:
            if entry.name == cmd_name:
                return _load(entry)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        names = self.list_commands(ctx)
        if args[0] not in names and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], names, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"There is no command '{inert(args[0])}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.help) for entry in _SHOWN])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, to_the_front(args))

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **extra: Any) -> Any:
        if _COMPLETE in os.environ:
            super().main(args, prog_name or _NAME, complete_var=_COMPLETE, **extra)
        sys.exit(_run(self, sys.argv[1:] if args is None else args))


def _load(entry: _Entry) -> click.Command:
    try:
        command: click.Command = getattr(importlib.import_module(f"renderer.cli.{entry.module}"), entry.attribute)
    except ModuleNotFoundError as error:
        if not entry.extra or (error.name or "").split(".")[0] == renderer.__name__:
            raise
        raise UsageError(
            f"`{entry.name}` needs {error.name}, which is not installed", hint=install(entry.extra)
        ) from None
    return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="The options above may also stand behind the command. Each command has --help of its own.",
)
@everywhere
@click.version_option(renderer.__version__, prog_name=_NAME, message="%(prog)s %(version)s")
def group() -> None:
    """Turn YAML manifests into finished videos; nothing is paid for twice.

    Begin with `renderer init shop`, then `renderer apply --sandbox --yes shop/specs/first.yaml`: a rehearsal that
    costs nothing.
    """


def to_the_front(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the options of the whole invocation first, wherever they stand before a ``--``."""
    front: list[str] = []
    rest: list[str] = []
    given = iter(arguments)
    for argument in given:
        name, has_value, _ = argument.partition("=")
        if argument == "--":
            rest += [argument, *given]
        elif name not in EVERYWHERE:
            rest.append(argument)
        elif has_value:
            front.append(argument)
        else:
            front += [argument, *([value] if (value := next(given, None)) is not None else [])]
    return [*front, *rest]


def _run(commands: click.Group, arguments: Sequence[str]) -> int:
    """Carry out a command line; return the exit code. Whatever is raised below ends here."""
    context: click.Context | None = None
    try:
        try:
            with commands.make_context(_NAME, list(arguments)) as context:
                code = commands.invoke(context)
        except click.exceptions.Exit as done:
            code = done.exit_code
        # What is still in the buffer may find a full disk, or nobody; the interpreter would only mutter about it.
        sys.stdout.flush()
        return int(code or Exit.DONE)
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (KeyboardInterrupt, click.Abort):
        _say("Interrupted. It is safe to run the same command again.")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        _abandon(sys.stdout)
        return _PIPE_CLOSED
    except RendererError as error:
        _show(error)
        if "--json" in arguments:
            click.echo(error_document(error))
        return error.exit
    except Exception as error:  # noqa: BLE001 - the boundary: what nobody foresaw is a bug, and is kept in a file
        if isinstance(error, OSError) and error.errno in _DISK:
            what = error.filename or "the output"
            _show(DiskError(f"{what} cannot be used: {error.strerror}", hint="check its owner and the space left"))
            return Exit.DISK
        return _bug(error, context.obj if context is not None else None, arguments)


def _show(error: RendererError) -> None:
    _say(f"{click.style('Error:', fg='red', bold=True)} {inert(error.message)}")
    if isinstance(error, InvalidError):
        for problem in error.problems:
            _say(problem_line(problem))
    if error.hint:
        _say(f"{click.style('Next:', bold=True)} {inert(error.hint)}")


def _bug(error: Exception, context: Context | None, arguments: Sequence[str]) -> int:
    crash = importlib.import_module("renderer.cli.crash")
    where = crash.keep(error, context or Context(), arguments)
    kept = f"Its traceback is in {where}" if where is not None else "Its traceback could not be written anywhere"
    _say(f"{click.style('Error:', fg='red', bold=True)} this is a bug in renderer ({type(error).__name__}). {kept}.")
    _say("What was bought is on record: it is safe to run the same command again. Please report the file.")
    return Exit.BUG


def _say(text: str) -> None:
    """Write a line to stderr, if there is anybody left to read it."""
    try:
        click.echo(text, err=True, color=False if "NO_COLOR" in os.environ else None)
    except OSError:
        _abandon(sys.stderr)


def _abandon(stream: TextIO) -> None:
    """Let nothing more be written to a stream that nobody reads, also not by the interpreter's last flush."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def main() -> None:
    """Be the program ``renderer``; ends the process."""
    for stream in (sys.stdout, sys.stderr):
        # A name that was no UTF-8 on disk must not end a run.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # files have it; only tests replace them
    group.main(prog_name=_NAME)


if __name__ == "__main__":
    main()
