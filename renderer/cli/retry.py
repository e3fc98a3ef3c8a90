"""``renderer retry``: failed jobs are bought again, now. The only way: ``apply`` never buys after a verdict."""

from pathlib import Path

import click

from renderer.cli import options
from renderer.cli.deciding import aim
from renderer.cli.doing import DURATION, MONEY, Said, do
from renderer.cli.environment import read_environment, secrets
from renderer.cli.options import Context, pass_context
from renderer.cli.picture import look
from renderer.cli.rehearsal import SandboxOptions, rehearsal
from renderer.cli.running import Wish
from renderer.cli.session import load
from renderer.errors import Exit, UsageError
from renderer.plan.money import Amount
from renderer.plan.standing import JobState
from renderer.run.purse import Limit
from renderer.state.runlock import RunLock


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="SELECTION...")
@rehearsal
@click.option("--yes", is_flag=True, help="Submit without asking; needed where there is no terminal.")
@click.option("--max-submits", type=click.IntRange(min=0), metavar="N", help="At most so many paid submits.")
@click.option("--max-cost", type=MONEY, metavar="AMOUNT", help="At most this cost, by the prices in the manifests.")
@click.option("--deadline", type=DURATION, metavar="50m", help="End after this time; bought videos wait.")
@options.events
@options.as_json
@pass_context
def command(
    context: Context,
    words: tuple[str, ...],
    *,
    sandbox: SandboxOptions | None,
    yes: bool,
    max_submits: int | None,
    max_cost: Amount | None,
    deadline: float | None,
    events: Path | None,
    as_json: bool,
) -> Exit:
    """Buy failed jobs again, now.

    SELECTION: ids, globs, tag:x, provider:y, state:failed; and paths of manifests, without which every manifest with a
    lockfile is meant. A job whose retry is under way is waited for, not bought once more.
    """
    environment = read_environment(context.env_file)
    target = aim(context, words, sandboxed=sandbox is not None)
    if not target.select:
        raise UsageError("say what to buy again", hint="an id, a glob, or state:failed for all that failed")
    batch = load(context, target.paths, sandboxed=sandbox is not None, environment=environment)
    said = Said(sandbox=sandbox, yes=yes, events=events, as_json=as_json)
    wish = Wish(speed=said.speed, limit=Limit(max_submits, max_cost), deadline=deadline)
    with RunLock(batch.project):
        picture = look(batch, target, secrets=secrets(batch.packs.values(), environment))
        again = frozenset(
            w.key for w in picture.choose(target.select) if picture.standings[w.key].state is JobState.FAILED
        )
        return do(said, picture, picture.plan(again=again), wish, environment)
