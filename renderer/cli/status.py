"""``renderer status``: each job's state, from what is recorded. Asks nobody, writes nothing."""

import click

from renderer.cli import options, show
from renderer.cli.documents import document
from renderer.cli.environment import read_environment
from renderer.cli.options import Context, Target, pass_context
from renderer.cli.picture import look
from renderer.cli.running import exit_code
from renderer.cli.session import load
from renderer.cli.text import problem_line
from renderer.errors import Exit
from renderer.run.sightings import read_sightings
from renderer.state.runlock import holder


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
    """Show each job's state, with the provider's own word and progress as they were last seen."""
    batch = load(context, target.paths, sandboxed=sandbox, environment=read_environment(context.env_file))
    writer = holder(batch.project)
    picture = look(batch, target, alive=writer is not None)
    jobs = show.jobs_json(picture.chosen, picture.standings, remotes=read_sightings(batch.project), troubles={})
    for problem in batch.warnings:
        click.echo(problem_line(problem), err=True)
    if as_json:
        click.echo(document(jobs=jobs))
    else:
        click.echo(show.jobs_text(jobs, several=picture.several))
        if writer is not None:
            click.echo(f"A run is working: {writer}", err=True)
    return exit_code(picture.chosen, picture.standings)
