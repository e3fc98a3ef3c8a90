"""``renderer verify``: every output is hashed again and compared with its record. Asks nobody, writes nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from renderer.cli import options
from renderer.cli.documents import document
from renderer.cli.environment import read_environment
from renderer.cli.options import Context, Target, pass_context
from renderer.cli.picture import Picture, look
from renderer.cli.progress import step
from renderer.cli.session import load
from renderer.cli.text import count, one_line
from renderer.errors import Exit
from renderer.plan.standing import JobState
from renderer.run.disk import hash_file


@click.command()
@options.target
@options.sandbox
@options.as_json
@pass_context
def command(
    context: Context,
    *,
    target: Target,
    sandbox: bool,
    as_json: bool,
) -> Exit:
    """Hash the outputs again; exit 1 where one differs from its record, or is missing."""
    batch = load(context, target.paths, sandboxed=sandbox, environment=read_environment(context.env_file))
    picture = look(batch, target)
    with step("Hashing the outputs"):
        files = list(_files(picture))
    if as_json:
        click.echo(document(files=files))
    else:
        bad = [file for file in files if not file["ok"]]
        for file in bad:
            click.echo(one_line(f"{file['path']}: {file['problem']} ({file['id']})"))
        click.echo(f"{count(len(files) - len(bad), 'output')} as recorded, {len(bad)} not.")
    return Exit.DONE if all(file["ok"] for file in files) else Exit.FAILED


def _files(picture: Picture) -> Iterator[dict[str, Any]]:
    for wanted in picture.chosen:
        known = picture.standings[wanted.key]
        sha256 = known.submission.sha256 if known.submission is not None else None
        if known.state is not JobState.SAVED or sha256 is None:
            continue
        path = picture.batch.project.output(wanted.output) if wanted.output is not None else None
        if path is None:
            # A file asset without an output lives in the cache alone.
            path = picture.store.cached(sha256)
        problem = _problem(path, sha256)
        shown = wanted.output or f"the cache's {sha256[:12]}"
        yield {"id": wanted.job.id, "path": shown, "ok": problem is None, "problem": problem}


def _problem(path: Path | None, sha256: str) -> str | None:
    """Return what is wrong with a file, or None."""
    if path is None or not path.is_file():
        return "it is missing"
    try:
        found = hash_file(path)
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return None if found == sha256 else "its content is not what was saved"
