"""``renderer unlock``: who is working on the project. There is nothing to remove: a lock dies with its process."""

import click

from renderer.cli.options import Context, pass_context
from renderer.cli.text import inert
from renderer.errors import Exit
from renderer.state.runlock import holder


@click.command()
@pass_context
def command(context: Context) -> Exit:
    """Tell who is working on the project, and since when.

    Removes nothing: the lock is the operating system's and ends with its process, however that ends. Exits 75 while
    somebody is working, 0 otherwise.
    """
    project = context.find()
    if (rehearsing := holder(project.sandbox())) is not None:
        click.echo(inert(f"A rehearsal (--sandbox) is under way: {rehearsing}."))
    if (working := holder(project)) is None:
        click.echo("Nobody is writing to the project itself; there is nothing to unlock.")
        return Exit.DONE
    click.echo(inert(f"Somebody is working on this project: {working}."))
    click.echo("Wait for it, or end it with Ctrl-C or SIGTERM: what it bought is on record, and nothing is lost.")
    return Exit.LOCKED
