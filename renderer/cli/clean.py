"""``renderer clean``: gives back the space of what nothing needs any more.

Dropped are partial downloads of purchases that are settled, and cached files whose hash no record names, wherever
that record stands: in a lockfile, or in the ledger of what another branch bought. Records themselves are never
touched, and neither are outputs.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import click

from renderer.cli import options
from renderer.cli.options import Context, pass_context
from renderer.cli.progress import step
from renderer.cli.text import count, inert, size
from renderer.run.journal import replay
from renderer.run.store import Store
from renderer.state.history import History
from renderer.state.lifecycle import State
from renderer.state.runlock import RunLock

_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNDER_WAY = frozenset({State.DOUBTFUL, State.ACCEPTED, State.RENDERED})


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be dropped.")
@options.sandbox
@pass_context
def command(context: Context, *, dry_run: bool, sandbox: bool) -> None:
    """Drop partial files that no purchase waits for, and cached files that no record names.

    Lockfiles and outputs are not touched. With --sandbox the rehearsal's files are meant.
    """
    project = context.find().sandbox() if sandbox else context.find()
    if not project.state.is_dir():
        click.echo("There is nothing to clean: no run has kept anything here.")
        return
    # A run that starts meanwhile would miss what it has just downloaded.
    with RunLock(project), step("reading the records"):
        history = replay(project).history
        dropped = Store(project).clean(under_way(history), named(history), dry=dry_run)
    for file in dropped:
        click.echo(inert(f"{size(file.bytes):>9}  {project.relative(file.path)}"))
    would = "would be dropped" if dry_run else "dropped"
    click.echo(f"{count(len(dropped), 'file')} {would}: {size(sum(file.bytes for file in dropped))}.")


def under_way(history: History) -> set[str]:
    """Return the submissions whose download may still go on."""
    return {row.id for row in history.rows() if row.state in _UNDER_WAY}


def named(history: History) -> set[str]:
    """Return every hash that any record names."""
    facts = (submission.facts for submission in history.submissions.values())
    return {
        found
        for known in chain(facts, history.approvals.values(), history.uploads.values())
        for found in _hashes(known)
    }


def _hashes(value: Any) -> Iterator[str]:
    match value:
        case str():
            if _SHA256.fullmatch(value):
                yield value
        case Mapping():
            for child in value.values():
                yield from _hashes(child)
        case Sequence():
            for child in value:
                yield from _hashes(child)
