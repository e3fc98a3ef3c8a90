"""``renderer validate``: everything that can be known without network, all problems at once.

With ``--online`` the providers are asked, too, once there is nothing left to say without them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from renderer.cli import options
from renderer.cli.documents import document, problem_json
from renderer.cli.environment import read_environment
from renderer.cli.options import Context, pass_context
from renderer.cli.session import Batch, load
from renderer.cli.text import count, problem_line
from renderer.errors import Exit, InvalidError, Problem, UsageError


@click.command()
@options.paths
@click.option("--online", is_flag=True, help="Ask the providers, too: credentials, ids, models, drafts. Buys nothing.")
@options.sandbox
@options.as_json
@pass_context
def command(context: Context, paths: tuple[Path, ...], *, online: bool, sandbox: bool, as_json: bool) -> Exit:
    """Find everything that is wrong with manifests, before money moves."""
    if sandbox and not online:
        raise UsageError("--sandbox is about the providers that are asked", hint="add --online")
    jobs = 0
    environment = read_environment(context.env_file)
    try:
        batch = load(context, paths, sandboxed=sandbox, environment=environment)
        jobs = len(batch.wanted)
        problems: Sequence[Problem] = batch.warnings
        if online:
            problems = sorted({*problems, *_ask(batch, environment, sandboxed=sandbox)})
    except InvalidError as error:
        if not as_json:
            raise
        problems = error.problems
    if as_json:
        click.echo(document(problems=[problem_json(problem) for problem in problems]))
    else:
        for problem in problems:
            click.echo(problem_line(problem), err=True)
    if any(problem.severity == "error" for problem in problems):
        return Exit.INVALID
    click.echo(f"Valid: {count(jobs, 'job')}.", err=as_json)
    return Exit.DONE


def _ask(batch: Batch, environment: Mapping[str, str], *, sandboxed: bool) -> list[Problem]:
    """Return what the providers say; what is needed to ask them is loaded now."""
    context = click.get_current_context()
    root = context.find_root()
    commands = root.command
    prover = commands.get_command(root, "validate-online") if isinstance(commands, click.Group) else None
    assert prover is not None  # noqa: S101 - the entry point has it
    found: list[Problem] = context.invoke(prover, batch=batch, environment=environment, sandboxed=sandboxed)
    return found
