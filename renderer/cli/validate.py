"""``renderer validate``: everything that can be known without network, all problems at once."""

from collections.abc import Sequence
from pathlib import Path

import click

from renderer.cli import options, show
from renderer.cli.environment import read_environment
from renderer.cli.options import Context, pass_context
from renderer.cli.session import load
from renderer.cli.text import count, problem_line
from renderer.errors import Exit, InvalidError, Problem


@click.command()
@options.paths
@options.as_json
@pass_context
def command(context: Context, paths: tuple[Path, ...], *, as_json: bool) -> Exit:
    """Find everything that is wrong with manifests, before money moves."""
    jobs = 0
    try:
        batch = load(context, paths, environment=read_environment(context.env_file))
        jobs = len(batch.wanted)
        problems: Sequence[Problem] = batch.warnings
    except InvalidError as error:
        if not as_json:
            raise
        problems = error.problems
    if as_json:
        click.echo(show.document(problems=[show.problem_json(problem) for problem in problems]))
    else:
        for problem in problems:
            click.echo(problem_line(problem), err=True)
    if any(problem.severity == "error" for problem in problems):
        return Exit.INVALID
    click.echo(f"Valid: {count(jobs, 'job')}.", err=as_json)
    return Exit.DONE
