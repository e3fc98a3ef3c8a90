"""Declared values -> what a job holds: templates worked out, files read, references named, everything sendable.

``{file: ...}``, ``{upload: ...}`` and ``{ref: ...}`` count only where they were written in the manifest; a map that
comes out of data is data. What was read from a file is never looked at again. Knows neither levels nor providers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from renderer.manifest.job import Ref, Upload
from renderer.manifest.levels import is_special, without
from renderer.manifest.localfile import FileError, Files
from renderer.manifest.position import Path
from renderer.manifest.template import Finding, Template, compile_parts
from renderer.project import PathError

_MAX_EXACT = 2**53 - 1
_PLACED = frozenset({("draft",)})
"""Fields whose ``{file: ...}`` is the file itself and its place: paths inside a draft are relative to it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one value: its path in the declared tree, a code word, a sentence and what to do.

    ``follows``: it only rests on something that is wrong elsewhere, and is reported there.
    """

    path: Path
    code: str
    message: str
    hint: str = ""
    follows: bool = False


class ValueFaults(Exception):
    """Not all values can be made; ``faults`` says why not, ``rest`` is the tree without those."""

    def __init__(self, faults: list[Fault], rest: Any) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = tuple(faults)
        self.rest = rest


@dataclass(frozen=True, slots=True)
class Recipe:
    """A declared tree, compiled, with the places of its files, uploads and references, and what is wrong with it."""

    template: Template
    faults: tuple[Fault, ...]
    _special: tuple[tuple[Path, str], ...] = field(repr=False)

    def make(self, context: Mapping[str, Any], files: Files, manifest: str, *, whole: bool = False) -> Any:
        """Return the values for one context; ``manifest`` is the file that paths are relative to.

        With ``whole``, a number without a fraction is a whole number: 5.0 is sent as 5. (Not for variables: as
        part of a text ``1.0`` stays what it looks like.) Text is never made a number. Null is dropped from
        maps. Raises :class:`ValueFaults` with all that is wrong, the tree's own faults included.
        """
        rendered, findings = self.template.attempt(context)
        faults = [*self.faults, *_faults(findings)]
        unmade: list[Path] = []
        for path, word in self._special:
            try:
                given = _at(rendered, path)[word]
            except (KeyError, IndexError, TypeError):
                continue  # its template has failed, which is written down
            try:
                made = _special(word, given, files, manifest, placed=path in _PLACED)
            except (PathError, FileError) as error:
                hint = "run `renderer init` where the project begins" if "leads out" in str(error) else ""
                faults.append(Fault((*path, word), "file", str(error), hint))
                unmade.append(path)
            except _NotAReference as error:
                faults.append(Fault((*path, word), "reference", str(error)))
                unmade.append(path)
            else:
                rendered = _put(rendered, path, made)
        for path in unmade:
            rendered = without(rendered, path)
        values = _clean(rendered, (), faults, whole=whole)
        if faults:
            raise ValueFaults(faults, values)
        return values


def prepare(tree: Any) -> Recipe:
    """Return a declared tree ready to be made."""
    template, findings = compile_parts(tree, omit=False)
    found: list[tuple[Path, str]] = []
    _find(tree, (), found)
    return Recipe(template, tuple(_faults(findings)), tuple(found))


def _faults(findings: list[Finding]) -> list[Fault]:
    return [Fault(found.path, "template", found.message, follows=found.follows) for found in findings]


class _NotAReference(ValueError):
    """A reference is not ``job.field``."""


def _find(tree: Any, path: Path, found: list[tuple[Path, str]]) -> None:
    if is_special(tree):
        found.append((path, next(iter(tree))))
    elif isinstance(tree, Mapping):
        for key, child in tree.items():
            _find(child, (*path, key), found)
    elif isinstance(tree, list):
        for index, child in enumerate(tree):
            _find(child, (*path, index), found)


def _special(word: str, given: Any, files: Files, manifest: str, *, placed: bool) -> Any:
    if not isinstance(given, str) or not given:
        raise FileError(f"`{word}` must be text, not {type(given).__name__}")
    match word:
        case "file" if placed:
            upload = files.upload(manifest, given)
            return {"path": upload.path, "file": upload}
        case "file":
            return files.content(manifest, given)
        case "upload":
            return files.upload(manifest, given)
        case _:
            job, dot, name = given.rpartition(".")
            if not dot or not job or not name:
                raise _NotAReference(f"the reference {given!r} must be `job.field`")
            return Ref(job, name)


def _at(tree: Any, path: Path) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def _put(tree: Any, path: Path, value: Any) -> Any:
    """Return ``tree`` with another value at ``path``; what is shared with other trees is left as it is."""
    if not path:
        return value
    step, *rest = path
    copy = tree.copy()
    copy[step] = _put(tree[step], tuple(rest), value)
    return copy


def _clean(value: Any, path: Path, faults: list[Fault], *, whole: bool) -> Any:
    """Return ``value`` without nulls in maps; what no request can hold exactly is a fault."""
    match value:
        case str():
            if not value.isascii():
                try:
                    value.encode()
                except UnicodeEncodeError:
                    faults.append(Fault(path, "character", "a lone surrogate is not a character"))
        case bool() | Upload() | Ref():
            pass
        case int() if abs(value) > _MAX_EXACT:
            message = f"the number {value} is too large to be kept exactly"
            faults.append(Fault(path, "number", message, "make it text if it is an id"))
        case float() if value != value or abs(value) == float("inf"):  # noqa: PLR0124 (NaN)
            faults.append(Fault(path, "number", f"{value} is not a number that a request can hold"))
        case float() if value.is_integer() and abs(value) > _MAX_EXACT:
            faults.append(Fault(path, "number", f"the number {value} is too large to be kept exactly"))
        case float() if whole and value.is_integer():
            return int(value)
        case list():
            if any(entry is None for entry in value):
                faults.append(Fault(path, "null", "a list cannot hold null"))
            return [_clean(entry, (*path, index), faults, whole=whole) for index, entry in enumerate(value)]
        case Mapping():
            return {
                key: _clean(child, (*path, key), faults, whole=whole)
                for key, child in value.items()
                if child is not None
            }
    return value
