"""``renderer init``: a working project, made of the files in ``starter/``.

Nothing is ever overwritten: a file that exists is kept, and of git's two files only the missing lines are added. So
the command may be repeated, also in a project that is years old. What a manifest may say is not known here.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import click

from renderer import data
from renderer.cli.options import Context, pass_context
from renderer.cli.text import count, inert
from renderer.errors import Exit
from renderer.project import find_project
from renderer.run.disk import disk_errors, make_folder

_STARTER = Path(__file__).parent / "starter"
_WORKFLOW = ".github/workflows/renderer.yaml"
_SCHEMA = "schemas/manifest.schema.json"
_MANIFEST = "specs/first.yaml"
_FILES = ((_MANIFEST, "first.yaml"), ("Makefile", "Makefile"), (_WORKFLOW, "workflow.yaml"))
_LINES = (
    # Any two branches merge: each keeps what the other has bought.
    (".gitattributes", ("specs/*.lock merge=union text eol=lf",)),
    (".gitignore", ("/renders/", ".env")),
    (".renderer/.gitignore", ("*", "!.gitignore")),
)

_What: TypeAlias = Literal["made", "kept", "added to"]


@dataclass(frozen=True, slots=True)
class Done:
    """What was done about one file (relative to the project), and a remark."""

    what: _What
    file: str
    remark: str = ""


@click.command()
@click.argument("folder", default=None, required=False, metavar="[DIR]", type=click.Path(path_type=Path))
@pass_context
def command(context: Context, folder: Path | None) -> Exit:
    """Make a working project in DIR (the current folder without it). What exists is kept as it is."""
    root = folder or context.project or Path()
    done = set_up(root)
    for one in done:
        click.echo(inert(f"{one.what:8}  {one.file}{f'  ({one.remark})' if one.remark else ''}"))
    for line in _next(root, changed=any(one.what != "kept" for one in done)):
        click.echo(line)
    return Exit.DONE


def set_up(root: Path) -> list[Done]:
    """Make what is missing of a project in ``root``. Raises :class:`~renderer.errors.DiskError`."""
    schema = (data.schemas() / "manifest.schema.json").read_bytes()
    done = [_lines(root, file, lines) for file, lines in _LINES]
    for file, starter in _FILES:
        done.append(_file(root, file, (_STARTER / starter).read_bytes()))
    kept = _file(root, _SCHEMA, schema)
    if kept.what == "kept" and (root / _SCHEMA).read_bytes() != schema:
        # It may be of another version, or be edited: only a person can know.
        kept = Done("kept", _SCHEMA, f"not this version's: renderer schema > {_SCHEMA}")
    return [*done, kept]


def _file(root: Path, file: str, content: bytes) -> Done:
    path = root / file
    with disk_errors(path):
        make_folder(path.parent)
        try:
            with path.open("xb") as stream:
                stream.write(content)
        except FileExistsError:
            return Done("kept", file, "it exists" if path.read_bytes() != content else "")
    return Done("made", file)


def _lines(root: Path, file: str, lines: tuple[str, ...]) -> Done:
    path = root / file
    with disk_errors(path):
        make_folder(path.parent)
        old = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
        present = {line.strip() for line in old.split("\n")}
        missing = [line for line in lines if line not in present]
        if not missing:
            return Done("kept", file)
        apart = "" if not old or old.endswith("\n") else "\n"
        with path.open("a", encoding="utf-8", newline="\n") as stream:
            stream.write(apart + "".join(f"{line}\n" for line in missing))
    return Done("added to", file, count(len(missing), "line")) if old else Done("made", file)


def _next(root: Path, *, changed: bool) -> list[str]:
    """Return what a person may want to do now."""
    if not changed:
        return ["Nothing was missing."]
    inside = [] if root.resolve() == Path.cwd() else [f"  cd {inert(os.fspath(root))}"]
    lines = [
        "",
        "Next:",
        *inside,
        f"  renderer plan --sandbox {_MANIFEST}",
        f"  renderer apply --sandbox --yes {_MANIFEST}   # a rehearsal: free, no keys",
        "Then set the keys (renderer providers) and leave --sandbox out.",
    ]
    repository = find_project(root.resolve().parent).root
    if not (root / ".git").exists():
        if (repository / ".git").exists():
            lines.append(f"GitHub reads workflows only from the repository's root: move {_WORKFLOW} to {repository}.")
        else:
            lines.append("What was bought is recorded in specs/*.lock: keep the project in git (git init).")
    return lines
