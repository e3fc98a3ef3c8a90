"""A declaration -> jobs: rows multiplied, each cast and made, files read, references and names checked.

Everything that is wrong is collected, each with its place; jobs that could be made, if only in part, are returned
beside the problems, so that later checks can say more. Decides nothing about money.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from renderer.errors import Problem
from renderer.manifest.cast import FACTS, Cast, Casting, Choice, Declaration, Skip
from renderer.manifest.dialect import UNKNOWN
from renderer.manifest.document import Manifest
from renderer.manifest.job import Job, Kind, Upload, leaves
from renderer.manifest.localfile import Files
from renderer.manifest.names import bad_id, check_ids, check_outputs, folded
from renderer.manifest.notes import Notes, Place, TooManyProblems
from renderer.manifest.offer import Operations
from renderer.manifest.position import Path
from renderer.manifest.references import check_references
from renderer.manifest.rows import Row, rows_of
from renderer.manifest.spelling import suggest
from renderer.manifest.values import ValueFaults, prepare
from renderer.project import PathError, Project, unportable

_SECTIONS: tuple[tuple[Kind, str], ...] = (("asset", "assets"), ("video", "videos"))


@dataclass(frozen=True, slots=True)
class Expansion:
    """What a manifest became; ``problems`` are all of them, those of its shape too.

    ``former`` holds renamed jobs (``moved``) by their new id, with the values that they would have under the old one.
    Where ``problems`` has errors, ``jobs`` may lack some, and those in ``partial`` (keys) lack values that were given.
    """

    manifest: Manifest
    jobs: tuple[Job, ...]
    problems: tuple[Problem, ...]
    former: Mapping[str, Job] = field(default_factory=dict)
    partial: frozenset[str] = frozenset()


def expand(manifest: Manifest, project: Project, operations: Operations) -> Expansion:
    """Return the jobs of a manifest, and everything that is wrong with it."""
    notes, gaps = Notes(manifest.document), manifest.gaps
    work = _Work(
        manifest, project, Files(project), notes, Casting(manifest, operations, notes), set(gaps.jobs), gaps.any_job
    )
    jobs: list[Job] = []
    try:
        work.variables()
        work.settings(operations)
        for kind, section in _SECTIONS:
            for name, tree in getattr(manifest, section).items():
                jobs.extend(work.declaration(Declaration(kind, name, tree)))
        work.moves({job.id for job in jobs})
    except TooManyProblems:
        found = sorted([*manifest.problems, *notes.problems()])
        return Expansion(manifest, tuple(jobs), tuple(found), partial=frozenset(work.partial))
    found = [
        *manifest.problems,
        *notes.problems(),
        *check_ids(jobs),
        *check_outputs(jobs, between=lambda one, other: folded(one.id) != folded(other.id)),
        *check_references(jobs, operations, families=work.families, unmade=work.is_unmade),
    ]
    return Expansion(manifest, tuple(jobs), tuple(sorted(set(found))), work.former, frozenset(work.partial))


def check_batch(expansions: Sequence[Expansion]) -> list[Problem]:
    """Return what is wrong between the manifests of one batch: equal releases, stems and outputs."""
    problems: list[Problem] = []
    releases: dict[str, Manifest] = {}
    stems: dict[str, Manifest] = {}
    for manifest in (expansion.manifest for expansion in expansions):
        stem = PurePosixPath(manifest.file).stem
        path: Path = ("release",) if "release" in manifest.document.data else ()
        if (other := releases.setdefault(folded(manifest.release), manifest)) is not manifest:
            message = f"the release `{manifest.release}` is already that of {other.file}"
            problems.append(manifest.document.problem(path, "release", message, hint="give it a `release:` of its own"))
        if (other := stems.setdefault(folded(stem), manifest)) is not manifest:
            message = f"the file's name `{stem}` is already that of {other.file}"
            problems.append(manifest.document.problem((), "release", message, hint="rename one of the two files"))
    jobs = [job for expansion in expansions for job in expansion.jobs]
    problems += check_outputs(jobs, between=lambda one, other: one.manifest != other.manifest)
    return sorted(problems)


@dataclass(slots=True)
class _Work:
    """The expansion of one manifest. Mutable, and lives for one call of :func:`expand`.

    ``unmade`` are ids of declarations and jobs that could not be made, ``partial`` keys of jobs made only in part.
    """

    manifest: Manifest
    project: Project
    files: Files
    notes: Notes
    casting: Casting
    unmade: set[str]
    any_unmade: bool
    partial: set[str] = field(default_factory=set)
    families: dict[str, list[str]] = field(default_factory=dict)
    former: dict[str, Job] = field(default_factory=dict)
    _vars: dict[str, Any] = field(default_factory=dict)
    _folders: set[str] = field(default_factory=set)

    def variables(self) -> None:
        """Work out ``vars`` in written order; each sees those above it."""
        self._vars = dict.fromkeys(self.manifest.gaps.variables or (), UNKNOWN)
        for name, declared in self.manifest.vars.items():
            try:
                value = prepare(declared).make(self._context(), self.files, self.manifest.file)
            except ValueFaults as error:
                self._faults(error, ("vars", name))
                value = UNKNOWN
            self._vars = {**self._vars, name: value}

    def settings(self, operations: Operations) -> None:
        """Check that the providers whose pacing is set exist."""
        for name in self.manifest.providers:
            if name not in operations:
                hint = suggest(name, operations) or f"known: {', '.join(operations)}"
                place = self.notes.at(("providers", name), key=True)
                self.notes.add(place, "provider", f"there is no provider `{name}`", hint)

    def moves(self, ids: set[str]) -> None:
        """Check that each renamed job is gone under its old id and exists under its new one."""
        for index, (old, new) in enumerate(self.manifest.moved):
            if old in ids:
                message = f"`{old}` still exists, so it was not moved"
                self.notes.add(self.notes.at(("moved", index, "from")), "moved", message, "remove this entry")
            if new not in ids and not self.is_unmade(new):
                place = self.notes.at(("moved", index, "to"))
                self.notes.add(place, "moved", f"there is no job `{new}`", suggest(new, ids))

    def declaration(self, declaration: Declaration) -> Iterator[Job]:
        """Yield the jobs of one asset or video."""
        several = "for_each" in declaration.tree
        moved = {new: old for old, new in self.manifest.moved}
        rows = self._rows(declaration) if several else [Row({}, None)]
        casts: dict[Choice, Cast] = {}
        fixed = several and self.casting.is_fixed(declaration)
        choice: Choice | None = None
        for row in rows:
            context = {**self._context(), "id": declaration.name}
            if several:
                context["each"] = row.each
            try:
                job_id = self._id(declaration, row, context)
                who = job_id if several else ""
                context["id"] = job_id
                if choice is None or not fixed:
                    choice = self.casting.choose(declaration, context, who)
                if choice not in casts:
                    casts[choice] = self.casting.cast(declaration, choice)
                if several:
                    self.families.setdefault(declaration.name, []).append(job_id)
                yield self._job(casts[choice], context, who)
                if (old := moved.get(job_id)) is not None:
                    former = self._job(casts[choice], {**context, "id": old}, who)
                    self.former[job_id] = replace(former, id=job_id)
            except Skip:
                self.unmade.add(context["id"])
                # With an id of its own it could be called anything.
                self.any_unmade |= "id" in declaration.tree and context["id"] == declaration.name

    def is_unmade(self, job_id: str) -> bool:
        """Whether an id may be that of a job that could not be made, for a reason that is written down."""
        if self.any_unmade or job_id in self.unmade:
            return True
        return any(job_id.startswith(f"{name}-") for name in self.unmade)

    def _context(self) -> dict[str, Any]:
        known = self.manifest.gaps.variables is not None
        return {"vars": self._vars if known else UNKNOWN, "release": self.manifest.release}

    def _faults(self, error: ValueFaults, origin: Path) -> None:
        self.notes.faults(error, lambda path: self.notes.at((*origin, *path)))

    def _rows(self, declaration: Declaration) -> list[Row]:
        path = (*declaration.origin, "for_each")
        try:
            for_each = prepare(declaration.tree["for_each"]).make(self._context(), self.files, self.manifest.file)
        except ValueFaults as error:
            self._faults(error, path)
            self._no_rows(declaration)
            return []
        rows, faults = rows_of(for_each, self.files, self.manifest.file)
        for fault in faults:
            place = self.notes.at((*path, *fault.path))
            if fault.file:
                place = Place(fault.file, fault.mark, path)
            self.notes.add(place, fault.code, fault.message, fault.hint, severity=fault.severity)
            if fault.severity == "error":
                self._no_rows(declaration)
        if not rows and not faults:
            self.notes.add(self.notes.at(path), "for-each", "`for_each` has no rows, so nothing is made")
        return rows

    def _no_rows(self, declaration: Declaration) -> None:
        self.unmade.add(declaration.name)
        self.any_unmade |= "id" in declaration.tree

    def _id(self, declaration: Declaration, row: Row, context: Mapping[str, Any]) -> str:
        """Return the id of one row's job."""
        given = declaration.tree.get("id")
        place = self.notes.at(declaration.origin, key=True)
        if given is not None:
            path = (*declaration.origin, "id")
            place = self.notes.at(path)
            job_id = self.casting.word(path, given, context, "")
        elif row.suffix is not None:
            job_id = f"{declaration.name}-{row.suffix}"
        elif "each" not in context:
            job_id = declaration.name
        else:
            place = self.notes.at((*declaration.origin, "for_each"))
            self.notes.add(place, "for-each", "`for_each` needs a `key`, or the job an `id:`")
            raise Skip
        if why := bad_id(job_id):
            hint = 'an `id:` with a template is the way out: id: "{{ id }}-{{ ... }}"' if row.suffix else ""
            if row.file:
                place = Place(row.file, row.mark, declaration.origin)
            self.notes.add(place, "id", f"the id {_short(job_id)} {why}", hint)
            raise Skip
        return job_id

    def _job(self, cast: Cast, context: Mapping[str, Any], who: str) -> Job:
        """Return one job, without the values that cannot be made."""
        file, kind, whole = self.manifest.file, cast.declaration.kind, cast.whole
        try:
            values = cast.recipe.make(context, self.files, file, whole=True)
        except ValueFaults as error:
            self.notes.faults(error, lambda path: cast.place(file, path, who))
            values, whole = error.rest, False
        facts = {key: values.pop(key) for key in FACTS if key in values}
        if kind == "video" and cast.offer.makes == "value":
            message = f"{cast.choice.provider} {cast.choice.operation} makes no file, so it belongs under assets"
            self.notes.add(cast.place(file, (), who), "kind", message, "move it there, and refer to it")
        for path, value in leaves(values) if not cast.uploads else ():
            if isinstance(value, Upload):
                message = f"{cast.choice.provider} takes no local files"
                self.notes.add(cast.place(file, path, who), "upload", message, "give a URL")
        job = Job(
            id=context["id"],
            kind=kind,
            manifest=file,
            release=self.manifest.release,
            provider=cast.choice.provider,
            operation=cast.choice.operation,
            values=values,
            take=self._whole("take", facts.get("take", 1), cast, who),
            output=self._output(context["id"], facts.get("output"), cast, who),
            tags=self._tags(facts.get("tags"), cast, who),
            priority=self._whole("priority", facts.get("priority", 0), cast, who),
            marks=cast.marks,
        )
        if not whole:
            self.partial.add(job.key)
        return job

    def _whole(self, key: str, given: Any, cast: Cast, who: str) -> int:
        least = 1 if key == "take" else None
        if isinstance(given, int) and not isinstance(given, bool) and (least is None or given >= least):
            return given
        limit = "" if least is None else f" of at least {least}"
        message = f"`{key}` must be a whole number{limit}, not {_short(given)}"
        hint = "in a template: {{ ... | int }}" if isinstance(given, str) and given.isdecimal() else ""
        self.notes.add(cast.place(self.manifest.file, (key,), who), "type", message, hint)
        return least or 0

    def _tags(self, given: Any, cast: Cast, who: str) -> tuple[str, ...]:
        tags = [] if given is None else given if isinstance(given, list) else [given]
        if all(isinstance(tag, str) and tag for tag in tags):
            return tuple(dict.fromkeys(tags))
        self.notes.add(cast.place(self.manifest.file, ("tags",), who), "type", "tags must be words")
        return ()

    def _output(self, job_id: str, given: Any, cast: Cast, who: str) -> str | None:
        """Return where the file is to stand, relative to the root; None for an asset that names no place."""
        place = cast.place(self.manifest.file, ("output",), who)
        if given is not None and (cast.offer.makes == "value" or not isinstance(given, str)):
            message = f"{cast.choice.provider} {cast.choice.operation} makes no file"
            if cast.offer.makes != "value":
                message = f"`output` must become text, not {_short(given)}"
            self.notes.add(place, "output", message)
            return None
        try:
            if given is not None:
                return self.project.target(self.manifest.file, given)
            if cast.declaration.kind == "video" and cast.offer.makes != "value":
                return self._default_output(f"{job_id}.{cast.offer.extension}")
        except PathError as error:
            self.notes.add(place, "output", str(error))
        return None

    def _default_output(self, name: str) -> str:
        folder = f"renders/{self.manifest.release}"
        if folder not in self._folders:
            if (why := unportable(self.manifest.release)) is not None:
                raise PathError(f"the release makes no portable folder: {why}")
            self.project.check_target(folder)
            self._folders.add(folder)
        if (why := unportable(name)) is not None:
            raise PathError(f"the id makes no portable file name: {why}")
        if os.path.islink(f"{self.project.home}/{folder}/{name}"):  # noqa: PTH114 (six times faster, for each of 100,000 rows)
            raise PathError(f"{folder}/{name} is a symbolic link")
        return f"{folder}/{name}"


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."  # noqa: PLR2004 (enough to recognise it)
