"""A plan is shown, agreed to, and carried out; then it is said how that ended.

The same for every command that may send something: ``apply``, ``collect``, ``retry`` and ``resolve`` differ only in
which plan they make.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from renderer.cli import show
from renderer.cli.documents import document
from renderer.cli.environment import sandbox_services, services
from renderer.cli.picture import Picture, bought_elsewhere
from renderer.cli.progress import expected, watch
from renderer.cli.rehearsal import SandboxOptions, rehearse
from renderer.cli.running import NOTHING, Wish, asked, carry_out, exit_code, standings_after
from renderer.cli.session import Batch
from renderer.cli.text import count
from renderer.errors import Exit, InvalidError, UsageError
from renderer.plan.money import Amount, amount
from renderer.plan.plan import Plan
from renderer.provider.pack import Pack
from renderer.run.service import Service
from renderer.run.sightings import read_sightings


class _Duration(click.ParamType[float]):
    """A time such as ``50m``, ``90s`` or a number of seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if not isinstance(value, str) or not (found := re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h|)", value)):
            self.fail(f"{value!r} is not a time: write 90s, 50m, 2h or a number of seconds", param, ctx)
        return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


DURATION = _Duration()


class _Money(click.ParamType[Amount]):
    """An amount such as ``300 credits``, or a number where prices have no unit."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Amount:
        try:
            found = amount(value)
        except ValueError as error:
            self.fail(f'{error}: write 300, or "300 credits"', param, ctx)
        if found is None:
            self.fail("an amount is needed", param, ctx)
        return found


MONEY = _Money()


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was said on the command line of how to go about it."""

    sandbox: SandboxOptions | None = None
    yes: bool = False
    events: Path | None = None
    as_json: bool = False

    @property
    def speed(self) -> float:
        """How many of the providers' seconds pass in one of ours."""
        return 1.0 if self.sandbox is None else self.sandbox.speed


def do(said: Said, picture: Picture, plan: Plan, wish: Wish, environment: Mapping[str, str]) -> Exit:
    """Carry a plan out under the project's lock, which the caller holds; return the exit code."""
    if plan.problems:
        raise InvalidError(plan.problems, message="nothing was sent")
    packs = [picture.batch.packs[name] for name in sorted(asked(plan, picture.batch.wanted, wish))]
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
            ended = carry_out(picture, plan, providers, wish, sink)
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


def _agreed(said: Said, plan: Plan) -> bool:
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
    batch: Batch, said: Said, packs: Sequence[Pack], known: Mapping[str, Service]
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
