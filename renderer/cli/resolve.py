"""``renderer resolve``: what is held is shown, and a person decides: it is this task, it is nothing, or buy it now."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from renderer.canonical import Json
from renderer.cli import options
from renderer.cli.deciding import Desk, at_desk, is_path
from renderer.cli.documents import document
from renderer.cli.doing import Said, do
from renderer.cli.options import Context, pass_context
from renderer.cli.picture import Picture
from renderer.cli.rehearsal import SandboxOptions, rehearsal
from renderer.cli.running import Wish
from renderer.cli.text import one_line
from renderer.errors import Exit, UsageError
from renderer.plan.money import total
from renderer.plan.standing import JobState, Wanted, intent
from renderer.state.lifecycle import State


@click.command()
@click.argument("words", nargs=-1, metavar="[ID]")
@rehearsal
@click.option("--task", metavar="TASK", help="It was bought: this is the provider's id for it.")
@click.option("--discard", is_flag=True, help="It was not bought, or is given up: the job counts as failed.")
@click.option("--resubmit", is_flag=True, help="Give it up, and buy it once more now.")
@click.option("--yes", is_flag=True, help="Submit without asking; needed where there is no terminal.")
@options.events
@options.as_json
@pass_context
def command(
    context: Context,
    words: tuple[str, ...],
    *,
    sandbox: SandboxOptions | None,
    task: str | None,
    discard: bool,
    resubmit: bool,
    yes: bool,
    events: Path | None,
    as_json: bool,
) -> Exit:
    """Decide held jobs: by an option, or one by one on the terminal; without both, show them.

    ID: ids, globs or state:held, and paths of manifests, without which every manifest with a lockfile is meant.
    """
    if sum((task is not None, discard, resubmit)) > 1:
        raise UsageError("--task, --discard and --resubmit exclude each other")
    said = Said(sandbox=sandbox, yes=yes, events=events, as_json=as_json)
    decided = task is not None or discard or resubmit
    with at_desk(context, words, sandboxed=sandbox is not None) as desk:
        chosen = desk.picture.choose(_selectors(words)) if _selectors(words) else desk.picture.batch.wanted
        held = [w for w in chosen if desk.picture.standings[w.key].state is JobState.HELD]
        if decided and not _selectors(words):
            raise UsageError("name the job that is meant", hint="renderer resolve lists what is held")
        if decided and not held:
            click.echo("Nothing of that is held.", err=True)
            return Exit.DONE
        again = held if resubmit else []
        for wanted in again:
            found = desk.picture.standings[wanted.key].submission
            if found is not None and found.intended.get("over"):
                # The order that bought it is used up: repeating one must not buy a third.
                why = f"{wanted.job.id} was itself bought by a person's order, and whether it was is not known"
                raise UsageError(why, hint="--discard that first; then retry or --rerender orders it anew")
        if task is not None:
            if len(held) != 1:
                raise UsageError(f"--task is for one held job; that names {len(held)}")
            attach(desk, held[0], task)
            click.echo(f"{held[0].job.id} is task {task}; renderer collect fetches it.")
        elif discard:
            for wanted in held:
                desk.close(wanted)
                click.echo(f"{wanted.job.id} counts as failed; renderer retry buys it again.")
        elif not resubmit:
            if as_json or not held or not sys.stdin.isatty():
                return _show(desk.picture, held, as_json=as_json)
            again = [wanted for wanted in held if _ask(desk, wanted)]
    if not again:
        return Exit.DONE
    return _buy(context, [word for word in words if is_path(word)], said, [wanted.key for wanted in again])


def _buy(context: Context, paths: Sequence[str], said: Said, keys: Sequence[str]) -> Exit:
    """Buy just these jobs once more: what is held of them is closed by the same record that intends the new one."""
    with at_desk(context, [*paths, *keys], sandboxed=said.sandbox is not None) as desk:
        picture, environment = desk.picture, desk.environment
        return do(said, picture, picture.plan(again=frozenset(keys)), Wish(speed=said.speed), environment)


def _selectors(words: Sequence[str]) -> list[str]:
    return [word for word in words if not is_path(word)]


def _ask(desk: Desk, wanted: Wanted) -> bool:
    """Let a person decide one held job on the terminal; return whether it is to be bought once more."""
    click.echo(_text(_row(desk.picture, wanted)))
    choice = click.Choice(["task", "discard", "resubmit", "skip"])
    match click.prompt("What is it?", type=choice, default="skip"):
        case "task":
            attach(desk, wanted, str(click.prompt("The provider's id for it")).strip())
        case "discard":
            desk.close(wanted)
        case "resubmit":
            return True
    return False


def attach(desk: Desk, wanted: Wanted, task: str) -> None:
    """Record that a job's purchase is ``task``. Raises :class:`UsageError` where another submission has it."""
    found = desk.picture.standings[wanted.key].submission
    claimed = desk.picture.history.tasks(wanted.job.provider, wanted.origin or "")
    if found is not None and found.task == task:
        return
    if task in claimed:
        raise UsageError(f"task {task} already belongs to another submission", hint="renderer status shows which")
    accepted: dict[str, Json] = {"task": task, "at": desk.now(), "found": True}
    if found is not None and found.state is State.DOUBTFUL:
        desk.write(wanted.job.release, {"submission": found.id, "accepted": accepted})
        return
    # Nothing that has a task already gets another one: a new submission takes its place.
    fact = intent(wanted, at=desk.now(), over=found.id if found is not None else "")
    desk.write(
        wanted.job.release, {"submission": desk.mint(), "intended": {**fact, "adopted": True}, "accepted": accepted}
    )


def _show(picture: Picture, held: Sequence[Wanted], *, as_json: bool) -> Exit:
    rows = [_row(picture, wanted) for wanted in held]
    if as_json:
        click.echo(document(held=rows))
    elif not rows:
        click.echo("Nothing is held.")
    else:
        for row in rows:
            click.echo(_text(row))
    return Exit.UNFINISHED if rows else Exit.DONE


def _row(picture: Picture, wanted: Wanted) -> dict[str, Any]:
    known = picture.standings[wanted.key]
    found = known.submission
    sent = found.at if found is not None else ""
    price = found.intended.get("price", wanted.price) if found is not None else wanted.price
    return {
        "id": wanted.job.id,
        "manifest": wanted.job.manifest,
        "provider": wanted.job.provider,
        "operation": wanted.job.operation,
        "submission": found.id if found is not None else None,
        "task": found.task if found is not None else None,
        "sent": sent,
        "price": None if price is None else str(total([price])),
        "why": known.held.why if known.held is not None else "",
        "next": known.held.next if known.held is not None else "",
    }


def _text(row: Mapping[str, Any]) -> str:
    told = {name: one_line(str(value)) for name, value in row.items()}
    task = f", task {told['task']}" if row["task"] else ""
    return (
        f"{told['manifest']}: {told['id']} ({told['provider']} {told['operation']}{task})\n"
        f"  sent   {told['sent']}, price {told['price'] if row['price'] else 'unknown'}\n"
        f"  why    {told['why']}\n"
        f"  next   {told['next']}\n"
        f"         renderer resolve {told['id']} --task TASK | --discard | --resubmit"
    )
