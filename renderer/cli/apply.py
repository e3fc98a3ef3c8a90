"""``renderer apply`` and ``renderer collect``: a plan is made, agreed to, and carried out."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from renderer.cli import options, planfile, show
from renderer.cli.documents import document
from renderer.cli.environment import read_environment, sandbox_services, services
from renderer.cli.options import Context, Target, pass_context
from renderer.cli.picture import Picture, bought_elsewhere, look
from renderer.cli.progress import expected, watch
from renderer.cli.rehearsal import SandboxOptions, rehearsal, rehearse
from renderer.cli.running import NOTHING, Wish, asked, carry_out, exit_code, standings_after
from renderer.cli.session import Batch, load
from renderer.cli.text import count, problem_line
from renderer.errors import Exit, InvalidError, UsageError
from renderer.plan.plan import Plan
from renderer.provider.pack import Pack
from renderer.run.service import Service
from renderer.run.sightings import read_sightings
from renderer.state.runlock import RunLock


class _Duration(click.ParamType[float]):
    """A time such as ``50m``, ``90s`` or a number of seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if not isinstance(value, str) or not (found := re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h|)", value)):
            self.fail(f"{value!r} is not a time: write 90s, 50m, 2h or a number of seconds", param, ctx)
        return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


DURATION = _Duration()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """What was said on the command line."""

    target: Target
    sandbox: SandboxOptions | None
    yes: bool
    only_new: bool
    wish: Wish
    events: Path | None
    as_json: bool


@click.command()
@options.target
@rehearsal
@click.option("--yes", is_flag=True, help="Submit without asking; needed where there is no terminal.")
@click.option("--max-submits", type=click.IntRange(min=0), metavar="N", help="At most so many paid submits.")
@click.option("--deadline", type=DURATION, metavar="50m", help="End after this time; bought videos wait.")
@click.option("--fail-fast", is_flag=True, help="Submit nothing more after the first failure.")
@click.option("--only-new", is_flag=True, help="No downloads of what was saved before.")
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
    deadline: float | None,
    fail_fast: bool,
    only_new: bool,
    events: Path | None,
    as_json: bool,
) -> Exit:
    """Do it: submit, poll, download, verify. PATH is a manifest, a folder, or a plan file."""
    wish = Wish(speed=_speed(sandbox), waiting=yes, max_submits=max_submits, deadline=deadline, fail_fast=fail_fast)
    said = _Said(
        target=target,
        sandbox=sandbox,
        yes=yes,
        only_new=only_new,
        wish=wish,
        events=events,
        as_json=as_json,
    )
    return _apply(context, said)


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
    said = _Said(
        target=target,
        sandbox=sandbox,
        yes=True,
        only_new=False,
        wish=Wish(speed=_speed(sandbox), buying=False, deadline=deadline),
        events=events,
        as_json=as_json,
    )
    return _apply(context, said)


def _speed(sandbox: SandboxOptions | None) -> float:
    return 1.0 if sandbox is None else sandbox.speed


def _apply(context: Context, said: _Said) -> Exit:
    environment = read_environment(context.env_file)
    target = said.target
    agreed = _plan_file(target.paths)
    if agreed is not None:
        target = Target(_manifests(context, agreed), tuple(job.job for job in agreed.jobs), target.exclude)
        said = replace(said, target=target, wish=replace(said.wish, waiting=False))
    batch = load(context, target.paths, sandboxed=said.sandbox is not None, environment=environment)
    for problem in batch.warnings:
        click.echo(problem_line(problem), err=True)
    with RunLock(batch.project):
        secrets = [environment.get(pack.key.variable, "") for pack in batch.packs.values() if pack.key is not None]
        if agreed is not None:
            planfile.check(agreed, look(batch).plan(only_new=said.only_new), batch.wanted)
        picture = look(batch, target, secrets=secrets)
        return _carry_out(said, picture, picture.plan(only_new=said.only_new), environment)


def _carry_out(said: _Said, picture: Picture, plan: Plan, environment: Mapping[str, str]) -> Exit:
    if plan.problems:
        raise InvalidError(plan.problems, message="nothing was sent")
    packs = [picture.batch.packs[name] for name in sorted(asked(plan, picture.batch.wanted, said.wish))]
    known = services(packs, environment) if said.sandbox is None else {}
    if not said.as_json or plan.changes:
        click.echo(show.plan_text(plan, several=picture.several), err=said.as_json)
    if only := bought_elsewhere(picture):
        click.echo(f"{count(len(only), 'purchase')} of another branch: the ledger knows, and it counts.", err=True)
    if not _agreed(said, plan):
        click.echo("Nothing was sent.", err=True)
        return Exit.UNFINISHED
    ended = NOTHING
    if packs or plan.changes or picture.unlocked or picture.unledgered:
        with (
            _providers(picture.batch, said, packs, known) as providers,
            watch(expected(plan.actions), events=said.events) as sink,
        ):
            ended = carry_out(picture, plan, providers, said.wish, sink)
    else:
        click.echo("Nothing was sent.", err=True)
    standings = standings_after(picture)
    code = exit_code(picture.chosen, standings, ended)
    jobs = show.jobs_json(
        picture.chosen,
        standings,
        remotes={**read_sightings(picture.batch.project), **ended.remotes},
        troubles=ended.troubles,
    )
    if said.as_json:
        click.echo(document(summary=show.states(jobs), jobs=jobs))
    else:
        click.echo(show.outcome_text(jobs, several=picture.several))
        _say_where(picture, jobs)
    return code


def _agreed(said: _Said, plan: Plan) -> bool:
    """Ask before something is submitted. Raises :class:`UsageError` where there is nobody to ask."""
    if said.yes or not plan.summary["submit"]:
        return True
    if not sys.stdin.isatty():
        raise UsageError(
            f"{count(plan.summary['submit'], 'job')} would be submitted, and there is no terminal to ask on",
            hint="look at the plan, then add --yes",
        )
    return click.confirm("Submit?", err=True)


@contextmanager
def _providers(
    batch: Batch, said: _Said, packs: Sequence[Pack], known: Mapping[str, Service]
) -> Iterator[Mapping[str, Service]]:
    """Give the services: the real ones, or the sandbox's for as long as the block runs."""
    if said.sandbox is None or not packs:
        yield known
        return
    if strangers := sorted(pack.provider for pack in packs if pack.provider in batch.brought):
        raise UsageError(f"the sandbox does not play {', '.join(strangers)}", hint="leave them out with --exclude")
    with rehearse(batch.project, said.sandbox) as url:
        yield sandbox_services(packs, url)


def _say_where(picture: Picture, jobs: Sequence[Mapping[str, Any]]) -> None:
    saved = [job["output"]["path"] for job in jobs if job["output"] is not None]
    outputs = sorted({str(Path(path).parent) for path in saved if path is not None})
    if outputs:
        folders = ", ".join(str(picture.batch.project.output(folder)) for folder in outputs)
        click.echo(f"Videos are in {folders}")


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
