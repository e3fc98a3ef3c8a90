"""``renderer adopt``: what exists already, at the provider or as a file, becomes a job's. Nothing is bought."""

from pathlib import Path

import click

from renderer.cli import options
from renderer.cli.deciding import at_desk, only
from renderer.cli.filing import file_saved
from renderer.cli.options import Context, pass_context
from renderer.cli.resolve import attach
from renderer.errors import Exit, UsageError
from renderer.plan.standing import JobState

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="ID")
@options.sandbox
@click.option("--task", metavar="TASK", help="The provider's id of a task that makes it.")
@click.option("--file", type=_FILE, metavar="FILE", help="A file that is it.")
@pass_context
def command(context: Context, words: tuple[str, ...], *, sandbox: bool, task: str | None, file: Path | None) -> Exit:
    """Attach what exists to a job: a task at the provider, or a file.

    ID may stand beside the path of its manifest.
    """
    if (task is None) == (file is None):
        raise UsageError("say what to adopt: --task TASK or --file FILE")
    with at_desk(context, words, sandboxed=sandbox) as desk:
        wanted = only(desk.picture, words, "adopt for")
        known = desk.picture.standings[wanted.key]
        if file is not None:
            file_saved(desk, wanted, file)
            click.echo(f"{wanted.output or 'The cache'} has it; {wanted.job.id} is saved.")
        elif task is not None:
            if known.state is JobState.SAVED and (known.submission is None or known.submission.task != task):
                raise UsageError(f"{wanted.job.id} is saved already", hint="apply --rerender makes it once more")
            attach(desk, wanted, task)
            click.echo(f"{wanted.job.id} is task {task}; renderer collect fetches it.")
    return Exit.DONE
