"""A file that a person vouches for becomes a job's saved video: verified, in the cache, at its output, on record."""

import tempfile
from pathlib import Path

from renderer.canonical import Json
from renderer.cli.deciding import Desk
from renderer.errors import UsageError
from renderer.plan.plan import Look
from renderer.plan.standing import Wanted, intent, stand
from renderer.run.disk import copy_whole, hash_file
from renderer.run.probe import NotMedia, probe
from renderer.run.sidecar import sidecar


def file_saved(desk: Desk, wanted: Wanted, file: Path) -> None:
    """Record ``file`` as what a job made, in the place of what was recorded before. Raises :class:`UsageError`."""
    if wanted.operation.makes == "value":
        raise UsageError(f"{wanted.job.id} makes a value, not a file", hint="renderer adopt --task attaches a task")
    store, found = desk.picture.store, desk.picture.standings[wanted.key].submission
    try:
        media = probe(file, wanted.operation.makes)
    except NotMedia as error:
        raise UsageError(f"{file.name} is not the {wanted.operation.makes} of {wanted.job.id}: {error}") from None
    sha256 = hash_file(file)
    if wanted.output is not None:
        _check_target(desk, wanted.output, file, sha256)
    if found is None or found.sha256 != sha256:
        _record(desk, wanted, file, sha256=sha256, bytes_=media.bytes, duration=media.duration)
    if wanted.output is not None:
        store.publish(sha256, wanted.output)
        store.save()
        if (saved := stand(wanted, desk.picture.history, alive=False).submission) is not None:
            store.annotate(wanted.output, sidecar(saved))


def _check_target(desk: Desk, output: str, file: Path, sha256: str) -> None:
    """Refuse to replace what a person put or changed at the output, unless it is the very file that they vouch for."""
    standing = desk.picture.batch.project.output(output)
    if desk.picture.store.at(output).look not in (Look.FOREIGN, Look.CHANGED):
        return
    if not standing.samefile(file) and hash_file(standing) != sha256:
        raise UsageError(f"{output} is another file, and not one to be replaced", hint="move it away first")


def _record(desk: Desk, wanted: Wanted, file: Path, *, sha256: str, bytes_: int, duration: float | None) -> None:
    store, found = desk.picture.store, desk.picture.standings[wanted.key].submission
    submission = desk.mint()
    part = store.part(submission)
    # The cache gets a copy: the file is the person's.
    with tempfile.TemporaryDirectory(dir=part.parent) as folder:
        copy_whole(file, copy := Path(folder, "copy"))
        store.admit(copy, sha256)
    now = desk.now()
    fact = intent(wanted, at=now, over=found.id if found is not None else "")
    saved: dict[str, Json] = {"sha256": sha256, "bytes": bytes_, "at": now}
    if duration is not None:
        saved["duration"] = round(duration, 3)
    if wanted.output is not None:
        saved["path"] = wanted.output
    record = {"submission": submission, "intended": {**fact, "adopted": True}, "saved": saved}
    desk.write(wanted.job.release, record)
