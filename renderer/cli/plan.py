"""``renderer plan``: what would be done, why, and what it buys. Sends nothing, writes nothing but ``--out``."""

from pathlib import Path

import click

from renderer.cli import options, planfile, show
from renderer.cli.documents import document
from renderer.cli.environment import base_url, read_environment
from renderer.cli.options import Context, Target, pass_context
from renderer.cli.picture import bought_elsewhere, look
from renderer.cli.session import load
from renderer.cli.text import count, problem_line
from renderer.errors import Exit, InvalidError
from renderer.state.runlock import holder


@click.command()
@options.target
@options.sandbox
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Keep it, for apply FILE.")
@click.option("--requests", is_flag=True, help="Show the exact requests.")
@click.option("--curl", is_flag=True, help="Show the exact requests as curl commands.")
@click.option("--markdown", is_flag=True, help="As Markdown, for a pull request's comment.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 where there is something to do.")
@click.option("--only-new", is_flag=True, help="No downloads of what was saved before.")
@options.as_json
@pass_context
def command(
    context: Context,
    *,
    target: Target,
    sandbox: bool,
    out: Path | None,
    requests: bool,
    curl: bool,
    markdown: bool,
    detailed_exitcode: bool,
    only_new: bool,
    as_json: bool,
) -> Exit:
    """Show what would be done, why, and what it buys."""
    environment = read_environment(context.env_file)
    batch = load(context, target.paths, sandboxed=sandbox, environment=environment)
    alive = holder(batch.project) is not None
    picture = look(batch, target, alive=alive)
    plan = picture.plan(alive=alive, only_new=only_new)
    base_urls = {name: base_url(pack, {} if sandbox else environment) for name, pack in batch.packs.items()}
    for problem in (*batch.warnings, *plan.problems):
        click.echo(problem_line(problem), err=True)
    if only := bought_elsewhere(picture):
        click.echo(f"{count(len(only), 'purchase')} of another branch: the ledger knows, and it counts.", err=True)
    if out is not None:
        planfile.write(out, plan)
    if as_json:
        click.echo(document(**show.plan_json(plan, base_urls)))
    elif markdown:
        click.echo(show.plan_markdown(plan, several=picture.several))
    elif requests or curl:
        click.echo(show.requests_text(plan, base_urls, curl=curl))
    else:
        click.echo(show.plan_text(plan, several=picture.several))
    if plan.problems:
        raise InvalidError([], message="this plan cannot be applied", hint="see the problems above")
    return Exit.CHANGES if detailed_exitcode and plan.changes else Exit.DONE
