"""Jobs x packs -> problems: everything that can be refused before money moves.

Each provider's schema says, per operation, what is required, allowed and limited; what a schema cannot see stands
here: the size and length of local files, ids of one provider that are given to another, two tunings of one voice, and
jobs that ask for exactly the same. Messages speak the manifest's words, never an API's. What an operation's fields
mean to a provider is not known here; neither is anything that only a provider could tell.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from renderer.errors import Problem, Severity
from renderer.manifest.job import Job, Path, Ref, Upload, plain
from renderer.manifest.position import Mark, spell
from renderer.manifest.schema import Schema, trusted_schema, validate
from renderer.manifest.spelling import suggest
from renderer.provider.pack import Pack
from renderer.provider.request import Identity, unfit

_ANYWHERE = frozenset({"url", "demo_url", "file"})
"""Produced fields that mean the same to everyone; the others are ids at the provider that gave them."""


def check(jobs: Sequence[Job], packs: Mapping[str, Pack], *, partial: Collection[str] = ()) -> list[Problem]:
    """Return every problem of expanded jobs, in the order of their files.

    Jobs whose keys are in ``partial`` lack values that were given but are wrong; that they are missing is no problem.
    """
    by_key = {job.key: job for job in jobs}
    schemas: dict[str, Schema] = {}
    found: list[Problem] = []
    for job in jobs:
        pack = packs.get(job.provider)
        if pack is None or pack.unavailable:
            why = pack.unavailable if pack is not None else suggest(job.provider, packs)
            found.append(problem(job, (), "provider", f"`{job.id}` cannot be made by {job.provider}", hint=why))
            continue
        operation = pack.operations.get(job.operation)
        if operation is None:
            why = suggest(job.operation, pack.operations) or f"it has {', '.join(pack.operations)}"
            found.append(problem(job, (), "operation", f"{job.provider} has no operation {job.operation}", hint=why))
            continue
        if job.provider not in schemas:
            schemas[job.provider] = _schema(pack)
        shape = [
            wrong for wrong in _shape(job, schemas[job.provider]) if wrong.code != "required" or job.key not in partial
        ]
        found.extend(shape)
        found.extend(problem(job, path, "number", why) for path, why in unfit(job))
        found.extend(_uploads(job, pack.schema["$defs"][job.operation]))
        # A reference that may not stand there at all needs no second sentence on where it leads.
        places = {(wrong.line, wrong.column) for wrong in shape}
        found.extend(wrong for wrong in _references(job, by_key) if (wrong.line, wrong.column) not in places)
    found.extend(_edits(jobs, packs))
    return sorted(set(found))


def twins(jobs: Iterable[Job], identities: Mapping[str, Identity]) -> list[Problem]:
    """Return a warning for each job that asks for exactly what another one asks for."""
    first: dict[str, Job] = {}
    found = []
    for job in jobs:
        other = first.setdefault(identities[job.key].fingerprint, job)
        if other is not job:
            name = other.id if other.release == job.release else other.key
            message = f"`{job.id}` asks for exactly what `{name}` asks for: they share one purchase"
            hint = f"give one of them `take: {job.take + 1}` to make it twice"
            found.append(problem(job, (), "twin", message, hint=hint, severity="warning"))
    return sorted(found)


def problem(job: Job, path: Path, code: str, message: str, *, hint: str = "", severity: Severity = "error") -> Problem:
    """Return a problem at ``path`` inside a job's values."""
    mark = job.mark(*path)
    place = spell((f"{job.kind}s", job.id, *path))
    return Problem(job.manifest, mark.line, mark.column, place, code, message, hint, severity)


def _schema(pack: Pack) -> Schema:
    # A job stands in two maps, by its operation and its id: one schema serves all, and messages name the job.
    operations = {name: {"additionalProperties": {"$ref": f"#/$defs/{name}"}} for name in pack.operations}
    tree = {"properties": operations, "$defs": pack.schema["$defs"]}
    return trusted_schema(tree, name=f"{pack.provider}.schema.json")


def _shape(job: Job, schema: Schema) -> Iterator[Problem]:
    def locate(path: Path, /, *, key: bool = False) -> Mark:
        return job.locate(path[2:], key=key)

    said: set[tuple[int, str]] = set()
    operation = spell((job.operation,))
    data = {job.operation: {job.id: plain(job.values)}}
    for found in validate(data, schema, file=job.manifest, locate=locate):
        # A value of the wrong shape breaks several rules that have one sentence.
        if (found.line, found.message) not in said:
            said.add((found.line, found.message))
            yield replace(found, path=f"$.{job.kind}s{found.path.removeprefix(operation)}")


def _uploads(job: Job, definition: Mapping[str, Any]) -> Iterator[Problem]:
    for path, upload in job.uploads():
        for limits in definition.get("properties", {}).get(path[0], {}).get("x-upload", ()):
            severity: Severity = "warning" if limits.get("severity") == "warning" else "error"
            for message in _limits(upload, limits):
                yield problem(job, path, "upload", f"{upload.path} {message}", severity=severity)


def _limits(upload: Upload, limits: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a local file; ``limits`` is one entry of a schema's ``x-upload``."""
    types = limits.get("types")
    extension = PurePosixPath(upload.path).suffix.removeprefix(".").casefold()
    if types is not None and extension not in types:
        yield f"is not one of the types that are taken here: {', '.join(types)}"
    if "bytes" in limits and upload.size > limits["bytes"]:
        yield f"has {upload.size / 2**20:,.1f} MB; the limit is {limits['bytes'] / 2**20:,.0f} MB"
    if upload.size == 0:
        yield "is empty"
    if "seconds" in limits and upload.duration is not None:
        least, most = limits["seconds"]
        if not least <= upload.duration <= most:
            yield f"lasts {upload.duration:,.1f} s; it must last {least} to {most} s"


def _references(job: Job, jobs: Mapping[str, Job]) -> Iterator[Problem]:
    for path, ref in job.refs():
        other = jobs.get(f"{job.release}/{ref.job}")
        if other is not None and other.provider != job.provider and ref.field not in _ANYWHERE:
            message = f"{job.provider} does not know the {ref.field} of `{ref.job}`, which {other.provider} makes"
            yield problem(job, path, "reference", message, hint="refer to a job of the same provider")


def _edits(jobs: Iterable[Job], packs: Mapping[str, Pack]) -> Iterator[Problem]:
    """Yield an error for each job that edits in place what another one of its manifest edits already."""
    first: dict[tuple[str, str, str | Ref], Job] = {}
    for job in jobs:
        operation = packs[job.provider].operations.get(job.operation) if job.provider in packs else None
        if operation is None or operation.edits is None:
            continue
        target = job.values.get(operation.edits)
        if isinstance(target, str | Ref):
            other = first.setdefault((job.manifest, job.provider, target), job)
            if other is not job:
                message = f"`{job.id}` and `{other.id}` both tune one {operation.edits}, which can only be one way"
                yield problem(job, (operation.edits,), "edits", message, hint="keep one of them")
