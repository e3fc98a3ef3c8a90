"""What commands share on the command line: the options before the command, and those that mean the same everywhere.

Only click and the ground are imported here, so that ``--help`` stays quick. What an option does is the command's
business.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from renderer.project import Project, find_project

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What was said of the whole invocation: the project, folders of further packs, a file of variables."""

    project: Path | None = None
    packs: tuple[Path, ...] = ()
    env_file: Path | None = None

    def find(self, start: Path | None = None) -> Project:
        """Return the project of ``start`` (the current folder without it), or the one that was named.

        Raises :class:`~renderer.errors.UsageError`.
        """
        return find_project(Path.cwd() if start is None else start, given=self.project)


pass_context = click.make_pass_decorator(Context, ensure=True)
"""Gives a command function the :class:`Context` as its first argument."""


def _note(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep an option of the whole invocation in its :class:`Context`."""
    said = context.ensure_object(Context)
    if value:
        context.obj = replace(said, **{str(parameter.name): value})


_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)

EVERYWHERE = ("--project", "--packs", "--env-file")
"""The options of the whole invocation: they may stand before the command and behind it."""


def everywhere(command: _Command) -> _Command:
    """Add the options of the whole invocation; they end in the :class:`Context`, not in the function's arguments."""
    options = (
        click.option(
            "--project",
            type=_FOLDER,
            metavar="DIR",
            callback=_note,
            expose_value=False,
            help="The project's root, instead of the nearest folder upward that has .renderer/ or .git.",
        ),
        click.option(
            "--packs",
            type=_FOLDER,
            metavar="DIR",
            multiple=True,
            callback=_note,
            expose_value=False,
            help="A folder with a provider pack, or with several; may be given again.",
        ),
        click.option(
            "--env-file",
            type=_FILE,
            metavar="FILE",
            callback=_note,
            expose_value=False,
            help="A file of variables (NAME=value) over the environment: credentials and base URLs.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def sandbox(command: _Command) -> _Command:
    """Add ``--sandbox`` as ``sandbox: bool``."""
    text = "Rehearse: the local sandbox instead of the providers; no real key is read, nothing is bought."
    return click.option("--sandbox", is_flag=True, help=text)(command)


def as_json(command: _Command) -> _Command:
    """Add ``--json`` as ``as_json: bool``."""
    text = "One JSON document on stdout; text for people goes to stderr."
    return click.option("--json", "as_json", is_flag=True, help=text)(command)


def events(command: _Command) -> _Command:
    """Add ``--events FILE`` as ``events: Path | None``."""
    kind = click.Path(dir_okay=False, path_type=Path)
    text = "Append what happens to this file while it happens, as JSON Lines."
    return click.option("--events", type=kind, metavar="FILE", help=text)(command)


def paths(command: _Command) -> _Command:
    """Add ``PATH...`` as ``paths: tuple[Path, ...]``: at least one, each exists."""
    kind = click.Path(exists=True, path_type=Path)
    return click.argument("paths", nargs=-1, required=True, type=kind, metavar="PATH...")(command)


@dataclass(frozen=True, slots=True)
class Target:
    """Which jobs a command is about: of these paths, what ``--select`` and ``--exclude`` leave, as written."""

    paths: tuple[Path, ...]
    select: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def target(command: _Command) -> _Command:
    """Add ``PATH...``, ``--select`` and ``--exclude`` as ``target: Target``."""

    @functools.wraps(command)
    def told(
        *given: Any, paths: tuple[Path, ...], select: tuple[str, ...], exclude: tuple[str, ...], **more: Any
    ) -> Any:
        return command(*given, target=Target(paths, select, exclude), **more)

    wrapped: Any = told
    what = "an id, a glob, release/id, tag:x, provider:y or state:z; may be given again"
    for name, text in (("--exclude", f"All but these jobs: {what}."), ("--select", f"Only these jobs: {what}.")):
        wrapped = click.option(name, multiple=True, metavar="SELECTOR", help=text)(wrapped)
    return cast("_Command", paths(wrapped))
