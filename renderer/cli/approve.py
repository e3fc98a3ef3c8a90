"""``renderer approve``: today's video counts for today's manifest, or a file that was changed becomes the recorded one.

A person's word, as a fact. Nothing is bought and nothing is asked.
"""

import click

from renderer.cli import options
from renderer.cli.deciding import Desk, at_desk, only
from renderer.cli.filing import file_saved
from renderer.cli.options import Context, pass_context
from renderer.errors import Exit, UsageError
from renderer.plan.plan import Look
from renderer.plan.standing import JobState, Wanted, counts
from renderer.state.history import Submission
from renderer.state.lifecycle import State


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="ID")
@options.sandbox
@pass_context
def command(context: Context, words: tuple[str, ...], *, sandbox: bool) -> Exit:
    """Let today's video count for today's manifest, or a file that was changed on disk become the recorded one.

    Nothing is bought. ID may stand beside the path of its manifest.
    """
    with at_desk(context, words, sandboxed=sandbox) as desk:
        wanted = only(desk.picture, words, "approve")
        known = desk.picture.standings[wanted.key]
        if known.state is JobState.SAVED:
            return _changed_file(desk, wanted)
        last = _last_saved(desk, wanted)
        if last is None:
            raise UsageError(f"{wanted.job.id} has no saved video yet", hint="renderer adopt takes a task or a file")
        approved = {"fingerprint": wanted.fingerprint, "submission": last.id, "at": desk.now()}
        desk.write(wanted.job.release, {"approved": approved})
        click.echo(f"The video of {last.at[:10]} counts for {wanted.job.id} as it is declared now.")
    return Exit.DONE


def _last_saved(desk: Desk, wanted: Wanted) -> Submission | None:
    """Return the video that was saved last for a job under another request, or under its former name."""
    history = desk.picture.history
    found = [
        history.submissions[row.id]
        for row in history.rows()
        if row.job in (wanted.key, wanted.was) and row.state is State.SAVED and counts(row, wanted.origin)
    ]
    return max(found, key=lambda s: s.at, default=None)


def _changed_file(desk: Desk, wanted: Wanted) -> Exit:
    output, store = wanted.output, desk.picture.store
    if output is None or store.at(output).look is not Look.CHANGED:
        click.echo(f"{wanted.job.id} is as recorded: there is nothing to approve.")
        return Exit.DONE
    file_saved(desk, wanted, desk.picture.batch.project.output(output))
    click.echo(f"{output} as it stands now is the recorded video of {wanted.job.id}.")
    return Exit.DONE
