"""``renderer forget``: a purchase whose job is gone is listed no more. Its record and its file stay."""

import click

from renderer.cli import options
from renderer.cli.deciding import at_desk
from renderer.cli.options import Context, pass_context
from renderer.errors import Exit, UsageError


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="ID")
@options.sandbox
@pass_context
def command(context: Context, words: tuple[str, ...], *, sandbox: bool) -> Exit:
    """Hide a purchase whose job is gone, or that no job shows any more. Its record and its file stay.

    ID is its former job's id, or that of the submission.
    """
    paths = [word for word in words if word.endswith((".yaml", ".yml"))]
    with at_desk(context, paths, sandboxed=sandbox) as desk:
        orphans = [action for action in desk.picture.plan().actions if action.wanted is None]
        for word in words:
            if word in paths:
                continue
            found = [
                action.submission
                for action in orphans
                if action.submission is not None and word in (action.id, action.submission.job, action.submission.id)
            ]
            if not found:
                raise UsageError(f"there is no orphan {word!r}", hint="renderer plan lists them")
            for submission in found:
                closed = {"state": str(submission.state), "at": desk.now()}
                release = submission.job.partition("/")[0]
                desk.write(release, {"submission": submission.id, "closed": closed})
                click.echo(f"{submission.job} of {submission.at[:10]} is listed no more.")
    return Exit.DONE
