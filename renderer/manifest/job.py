"""A job and its values, frozen.

A job is one concrete video or asset after expansion: defaults, profiles, ``for_each`` and text files are already
applied, strings hold no template any more. What is not known yet stays in it as a value of its own: an
:class:`Upload` (a local file that the provider must receive) and a :class:`Ref` (what another job will produce).
This module does not know how jobs are read, nor what a provider makes of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from renderer.canonical import Json
from renderer.errors import Problem, Severity
from renderer.manifest.position import Mark, Path, nearest, spell

__all__ = ["Job", "Kind", "Mark", "Path", "Ref", "Upload", "Value", "leaves", "plain"]

Kind: TypeAlias = Literal["video", "asset"]
Value: TypeAlias = "bool | int | float | str | Upload | Ref | list[Value] | dict[str, Value] | None"
Tree: TypeAlias = "Value | Mapping[str, Value]"


@dataclass(frozen=True, slots=True)
class Upload:
    """A local file that a provider must receive: ``{upload: path}``.

    ``path`` is relative to the project's root with ``/``; ``sha256`` is hex; ``size`` is in bytes; ``duration`` is
    in seconds where the file is audio whose length could be read, else None.
    """

    path: str
    sha256: str
    size: int
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class Ref:
    """A value that another job of the same manifest produces: ``{ref: job.field}``. ``job`` is that job's id."""

    job: str
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One concrete video or asset.

    ``manifest`` is the manifest's path relative to the root; ``values`` holds the vocabulary's fields that are set
    (never None at the top), with a provider's own fields under ``options``; ``output`` is relative to the root, or
    None where the default applies; ``marks`` gives the position of a path inside ``values`` (and of ``()``, the job
    itself), the nearest enclosing one where a node has none of its own (use :meth:`mark`).
    """

    id: str
    kind: Kind
    manifest: str
    release: str
    provider: str
    operation: str
    values: Mapping[str, Value]
    take: int = 1
    output: str | None = None
    tags: tuple[str, ...] = ()
    priority: int = 0
    marks: Mapping[Path, Mark] = field(default_factory=dict, compare=False, repr=False)

    @property
    def key(self) -> str:
        """Return ``release/id``: the job's name in its project."""
        return f"{self.release}/{self.id}"

    def mark(self, *path: str | int) -> Mark:
        """Return the position of ``path`` inside the job, or of the nearest node around it."""
        return nearest(self.marks, path)

    def locate(self, path: Path, /, *, key: bool = False) -> Mark:  # noqa: ARG002 (the shape of ``position.Locate``)
        """Return the position of ``path`` inside the job, as ``schema.validate`` asks for it."""
        return nearest(self.marks, path)

    def problem(self, path: Path, code: str, message: str, *, hint: str = "", severity: Severity = "error") -> Problem:
        """Return a problem at ``path`` inside the job."""
        mark = nearest(self.marks, path)
        shown = spell((f"{self.kind}s", self.id, *path))
        return Problem(self.manifest, mark.line, mark.column, shown, code, message, hint, severity)

    def refs(self) -> Iterator[tuple[Path, Ref]]:
        """Yield every reference in the job's values with its path."""
        for path, value in leaves(self.values):
            if isinstance(value, Ref):
                yield path, value

    def uploads(self) -> Iterator[tuple[Path, Upload]]:
        """Yield every local file in the job's values with its path."""
        for path, value in leaves(self.values):
            if isinstance(value, Upload):
                yield path, value


def leaves(value: Tree, path: Path = ()) -> Iterator[tuple[Path, Value]]:
    """Yield each leaf of a tree of values with its path, in order."""
    if isinstance(value, str):  # most are, and the question about maps is dear
        yield path, value
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from leaves(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from leaves(child, (*path, index))
    else:
        yield path, value


def plain(value: Tree) -> Json:
    """Return a tree of values as JSON: a file as ``{"upload": path}``, a reference as ``{"ref": "job.field"}``.

    This is the form in which a provider's schema sees a job, and in which a plan prints an unresolved reference.
    """
    match value:
        case Upload():
            return {"upload": value.path}
        case Ref():
            return {"ref": f"{value.job}.{value.field}"}
        case Mapping():
            return {key: plain(child) for key, child in value.items()}
        case list():
            return [plain(child) for child in value]
        case _:
            return value
