"""``renderer rebuild``: a lockfile is made anew from what is whole of it, from the ledger and from the sidecars.

What was damaged is set aside, never thrown away. Where a line that cannot be read may have spoken of a purchase that
nothing else knows, every job that would be bought now is held: a person says whether it was bought.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from renderer.canonical import Json
from renderer.cli import options
from renderer.cli.environment import read_environment
from renderer.cli.options import Context, pass_context
from renderer.cli.session import Batch, load
from renderer.cli.text import count
from renderer.errors import Exit
from renderer.manifest.document import Manifest
from renderer.plan.standing import JobState, Wanted, intent, stand
from renderer.project import Project
from renderer.run.compact import kept
from renderer.run.disk import copy_whole, disk_errors, make_folder
from renderer.run.naming import new_id, timestamp
from renderer.run.sidecar import record_of
from renderer.state import lockfile
from renderer.state.history import History, Record
from renderer.state.runlock import RunLock
from renderer.state.salvage import Lost, salvage, unaccounted


@click.command()
@options.paths
@options.sandbox
@pass_context
def command(context: Context, paths: tuple[Path, ...], *, sandbox: bool) -> Exit:
    """Rebuild lockfiles from what is whole of them, from the ledger and from the sidecars of saved videos."""
    batch = load(context, paths, sandboxed=sandbox, environment=read_environment(context.env_file))
    held = 0
    with RunLock(batch.project):
        for manifest in batch.manifests:
            held += _rebuild(batch, manifest)
    return Exit.UNFINISHED if held else Exit.DONE


def _rebuild(batch: Batch, manifest: Manifest) -> int:
    """Rebuild one lockfile and its ledger; return how many jobs had to be held."""
    project = batch.project
    lock, ledger = project.lockfile(manifest.file), project.ledger / f"{manifest.release}.jsonl"
    history, lost = History(), list[tuple[Path, Lost]]()
    damaged = []
    for path in (lock, ledger):
        records, bad = salvage(_bytes(path), file=project.relative(path))
        _absorb(history, records)
        lost += [(path, line) for line in bad]
        damaged += [path] if bad else []
    mine = f"{manifest.release}/"
    _absorb(history, [row for row in _sidecars(project) if str(row["intended"]["job"]).startswith(mine)])
    missing = unaccounted([line for _, line in lost], history)
    holds = _holds(batch, manifest, history, missing) if missing else []
    _absorb(history, holds)
    for path in damaged:
        click.echo(f"{project.relative(path)} was damaged; it is kept as {_set_aside(project, path)}")
    with disk_errors(lock):
        make_folder(lock.parent)
        make_folder(ledger.parent)
    records = list(kept(history))
    changed = lockfile.rewrite(lock, records, file=project.relative(lock))
    lockfile.rewrite(ledger, records, file=project.relative(ledger))
    said = "rebuilt" if changed else "is whole"
    click.echo(f"{project.relative(lock)} {said}: {count(len(history.submissions), 'purchase')} known.")
    if missing:
        lines = ", ".join(str(line.line) for line in missing[:5])
        click.echo(f"What line {lines} said is lost; {count(len(holds), 'job')} that may be meant: held.")
    if holds:
        click.echo("renderer resolve says whether they were bought.")
    return len(holds)


def _bytes(path: Path) -> bytes:
    with disk_errors(path):
        return path.read_bytes() if path.exists() else b""


def _absorb(history: History, records: Sequence[Record]) -> None:
    for record in records:
        history.absorb(record)


def _sidecars(project: Project) -> list[Record]:
    """Return what the sidecars under the project's home say; hidden folders are skipped."""
    found = []
    for path in sorted(project.home.rglob("*.json")):
        inside = path.relative_to(project.home).parts
        if any(part.startswith(".") or part == "node_modules" for part in inside) or not path.is_file():
            continue
        if (record := record_of(path.read_bytes())) is not None:
            found.append(record)
    return found


def _holds(batch: Batch, manifest: Manifest, history: History, missing: Sequence[Lost]) -> list[Record]:
    """Return a doubtful submission for each job that would be bought although it may have been."""
    now = datetime.now(UTC)
    lines = ", ".join(str(line.line) for line in missing[:5])
    note: Mapping[str, Json] = {
        "n": 1,
        "kind": "doubt",
        "message": f"the lockfile was damaged, and what its line {lines} said is lost",
        "at": timestamp(now),
    }
    return [
        {"submission": new_id(now, random.SystemRandom()), "intended": intent(wanted, at=timestamp(now)), "note": note}
        for wanted in batch.wanted
        if wanted.job.manifest == manifest.file and _would_be_bought(wanted, history)
    ]


def _would_be_bought(wanted: Wanted, history: History) -> bool:
    known = stand(wanted, history, alive=False)
    return wanted.operation.paid and known.state in (JobState.PLANNED, JobState.REFUSED)


def _set_aside(project: Project, path: Path) -> str:
    """Copy a damaged file out of the way, whole, before it is replaced; return where."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    aside = project.state / "damaged" / f"{path.name}.{stamp}"
    copy_whole(path, aside)
    return project.relative(aside)
