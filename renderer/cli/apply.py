"""``renderer apply`` and ``renderer collect``: a plan is made, agreed to, and carried out."""

from dataclasses import replace
from pathlib import Path

import click

from renderer.cli import options, planfile
from renderer.cli.doing import DURATION, MONEY, Said, do
from renderer.cli.environment import read_environment, secrets
from renderer.cli.options import Context, Target, pass_context
from renderer.cli.picture import look
from renderer.cli.rehearsal import SandboxOptions, rehearsal
from renderer.cli.running import Wish
from renderer.cli.session import load
from renderer.cli.text import problem_line
from renderer.errors import Exit, UsageError
from renderer.plan.money import Amount
from renderer.run.purse import Limit
from renderer.state.runlock import RunLock


@click.command()
@options.target
@rehearsal
@click.option("--yes", is_flag=True, help="Submit without asking; needed where there is no terminal.")
@click.option("--max-submits", type=click.IntRange(min=0), metavar="N", help="At most so many paid submits.")
@click.option("--max-cost", type=MONEY, metavar="AMOUNT", help="At most this cost, by the prices in the manifests.")
@click.option("--deadline", type=DURATION, metavar="50m", help="End after this time; bought videos wait.")
@click.option("--fail-fast", is_flag=True, help="Submit nothing more after the first failure.")
@click.option("--only-new", is_flag=True, help="No downloads of what was saved before.")
@click.option("--rerender", multiple=True, metavar="ID", help="Buy these jobs once more; may be given again.")
@options.events
@options.as_json
@pass_context
def command(
    context: Context,
    *,
    target: Target,
    sandbox: SandboxOptions | None,
    yes: bool,
    max_submits: int | None,
    max_cost: Amount | None,
    deadline: float | None,
    fail_fast: bool,
    only_new: bool,
    rerender: tuple[str, ...],
    events: Path | None,
    as_json: bool,
) -> Exit:
    """Do it: submit, poll, download, verify. PATH is a manifest, a folder, or a plan file."""
    said = Said(sandbox=sandbox, yes=yes, events=events, as_json=as_json)
    limit = Limit(max_submits, max_cost)
    wish = Wish(speed=said.speed, waiting=yes, limit=limit, deadline=deadline, fail_fast=fail_fast)
    return _apply(context, target, said, wish, only_new=only_new, rerender=rerender)


@click.command()
@options.target
@rehearsal
@click.option("--deadline", type=DURATION, metavar="50m", help="End after this time.")
@options.events
@options.as_json
@pass_context
def collect(
    context: Context,
    *,
    target: Target,
    sandbox: SandboxOptions | None,
    deadline: float | None,
    events: Path | None,
    as_json: bool,
) -> Exit:
    """Poll and download what was bought; never buys."""
    said = Said(sandbox=sandbox, yes=True, events=events, as_json=as_json)
    return _apply(context, target, said, Wish(speed=said.speed, buying=False, deadline=deadline))


def _apply(
    context: Context,
    target: Target,
    said: Said,
    wish: Wish,
    *,
    only_new: bool = False,
    rerender: tuple[str, ...] = (),
) -> Exit:
    environment = read_environment(context.env_file)
    agreed = _plan_file(target.paths)
    if agreed is not None:
        target = Target(_manifests(context, agreed), tuple(job.job for job in agreed.jobs), target.exclude)
        wish = replace(wish, waiting=False)
    batch = load(context, target.paths, sandboxed=said.sandbox is not None, environment=environment)
    for problem in batch.warnings:
        click.echo(problem_line(problem), err=True)
    with RunLock(batch.project):
        if agreed is not None:
            planfile.check(agreed, look(batch).plan(only_new=only_new), batch.wanted)
        picture = look(batch, target, secrets=secrets(batch.packs.values(), environment))
        again = frozenset(wanted.key for wanted in picture.choose(rerender)) if rerender else frozenset()
        plan = picture.plan(only_new=only_new, again=again)
        return do(said, picture, plan, wish, environment)


# --- plan files ------------------------------------------------------------------------------------------------------


def _plan_file(paths: tuple[Path, ...]) -> planfile.PlanFile | None:
    plans = [path for path in paths if path.is_file() and planfile.is_planfile(path)]
    if not plans:
        return None
    if len(paths) > 1:
        raise UsageError("a plan file is applied alone", hint="it names its manifests itself")
    return planfile.read(plans[0])


def _manifests(context: Context, agreed: planfile.PlanFile) -> tuple[Path, ...]:
    root = context.find().root
    paths = tuple(root / name for name in agreed.manifests)
    missing = [str(name) for name, path in zip(agreed.manifests, paths, strict=True) if not path.is_file()]
    if missing:
        said = f"the plan file's manifests are not in this project: {', '.join(missing)}"
        raise UsageError(said, hint="run it inside the project, or name it with --project")
    return paths
