"""What the commands by which a person decides have in common: whom they mean, and how their word becomes a record.

``retry``, ``resolve``, ``approve``, ``adopt`` and ``forget`` take words: paths of manifests, and selectors of jobs.
Without a path they mean every manifest of the project that has a lockfile. A word is written like any other record,
to lockfile and ledger, under the project's lock; repeating the command then finds it done.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

from renderer.canonical import Json
from renderer.cli.environment import read_environment, secrets
from renderer.cli.options import Context, Target
from renderer.cli.picture import Picture, look
from renderer.cli.running import open_records
from renderer.cli.session import SUFFIXES, load, manifests
from renderer.cli.text import problem_line
from renderer.errors import UsageError
from renderer.plan.standing import Wanted
from renderer.run.journal import Pair
from renderer.run.naming import new_id, timestamp
from renderer.state import lockfile
from renderer.state.history import Record
from renderer.state.lifecycle import check
from renderer.state.runlock import RunLock


def aim(context: Context, words: Sequence[str], *, sandboxed: bool) -> Target:
    """Return whom words mean: those that are paths, and those that select jobs. Raises :class:`UsageError`."""
    paths = tuple(Path(word) for word in words if is_path(word))
    if not paths:
        project = context.find()
        paths = tuple(manifests(project.sandbox() if sandboxed else project))
    if not paths:
        raise UsageError("no manifest here has a lockfile yet", hint="name the manifest that you mean")
    return Target(paths, tuple(word for word in words if not is_path(word)))


def is_path(word: str) -> bool:
    """Return whether a word is a manifest's path, or a folder with manifests in it; else it selects jobs."""
    if word.endswith(SUFFIXES):
        return True
    return Path(word).is_dir() and any(path.suffix in SUFFIXES for path in Path(word).iterdir())


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a person's word is written down: what is known, and the open record files of each release."""

    picture: Picture
    files: Mapping[str, Pair]
    environment: Mapping[str, str]

    def now(self) -> str:
        """Return the time as records write it."""
        return timestamp(datetime.now(UTC))

    def mint(self) -> str:
        """Return a new submission's id."""
        return new_id(datetime.now(UTC), random.SystemRandom())

    def write(self, release: str, record: Record) -> None:
        """Make a record durable, and known. Raises :class:`~renderer.errors.DiskError`."""
        if (id_ := record.get("submission")) is not None:
            known = self.picture.history.submissions.get(id_)
            check(known.facts if known is not None else {}, {k: v for k, v in record.items() if k != "submission"})
        line = lockfile.encode(record)
        self.files[release].lockfile.append(line)
        self.files[release].ledger.append(line)
        self.picture.history.absorb(record)

    def close(self, wanted: Wanted) -> None:
        """Close the submission that counts for a job: it outranks what the person sees now, and nothing better."""
        found = self.picture.standings[wanted.key].submission
        if found is not None and found.state is not None:
            closed: dict[str, Json] = {"state": found.state.value, "at": self.now()}
            self.write(wanted.job.release, {"submission": found.id, "closed": closed})


@contextmanager
def at_desk(context: Context, words: Sequence[str], *, sandboxed: bool) -> Iterator[Desk]:
    """Hold the project's lock and its record files while a person's word is carried out."""
    environment = read_environment(context.env_file)
    target = aim(context, words, sandboxed=sandboxed)
    batch = load(context, target.paths, sandboxed=sandboxed, environment=environment)
    for problem in batch.warnings:
        click.echo(problem_line(problem), err=True)
    with RunLock(batch.project):
        picture = look(batch, target, secrets=secrets(batch.packs.values(), environment))
        with open_records(picture) as files:
            yield Desk(picture, files, environment)


def only(picture: Picture, words: Sequence[str], what: str) -> Wanted:
    """Return the one job that words select. Raises :class:`UsageError`."""
    chosen = picture.choose([word for word in words if not is_path(word)])
    if len(chosen) != 1:
        raise UsageError(f"name one job to {what}; that names {len(chosen)}", hint="write its id, or release/id")
    return chosen[0]
