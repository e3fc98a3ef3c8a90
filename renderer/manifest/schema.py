"""Validate data against a JSON Schema (draft 2020-12): all problems, each with its place.

The only importer of ``jsonschema``. Nothing is fetched: a ``$ref`` leads inside the schema or to a schema file in the
same folder, and anything else is refused when the schema is compiled. How a problem is said is ``explain``'s business.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path as FilePath
from typing import Any, TypeAlias

import referencing.exceptions
from jsonschema import Draft202012Validator, SchemaError
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from renderer.data import schemas
from renderer.errors import InvalidError, Problem
from renderer.manifest.explain import explain
from renderer.manifest.position import Locate, Path, spell

Tree: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema that is ready for use. Made by the three functions below."""

    name: str
    validator: Any = field(repr=False)


def load_schema(name: str) -> Schema:
    """Return the schema that ships as ``<name>.schema.json``. A test checks it, once for all runs."""
    folder = schemas()
    tree = json.loads((folder / f"{name}.schema.json").read_bytes())
    return trusted_schema(tree, name=f"{name}.schema.json", folder=folder)


def trusted_schema(tree: Tree, *, name: str, folder: FilePath | None = None) -> Schema:
    """Return a schema ready for use that is known to be one: checking it would take longer than what it checks.

    Nothing is fetched for it either: a reference that leads out is an error when it is followed.
    """
    return Schema(name, Draft202012Validator(tree, registry=_registry(folder)))


def compile_schema(tree: Tree, *, name: str, folder: FilePath | None = None) -> Schema:
    """Return a schema ready for use; ``folder`` is where it may refer to other ``*.schema.json`` files.

    Raises :class:`InvalidError` where it is no JSON Schema, or where a reference leads nowhere or out.
    """
    try:
        Draft202012Validator.check_schema(tree)
    except SchemaError as error:
        place = spell(tuple(error.absolute_path))
        raise InvalidError([Problem(name, 1, 1, place, "schema", f"not a JSON Schema: {error.message}")]) from None
    root = Resource.from_contents(tree, default_specification=DRAFT202012)
    resolver = _registry(folder).with_resource("", root).resolver("")
    problems = []
    for path, reference in _references(tree, ()):
        try:
            resolver.lookup(reference)
        except (referencing.exceptions.Unresolvable, ValueError):
            message = f"the reference {reference!r} leads to nothing in this schema or its folder"
            hint = "schemas are never fetched from elsewhere"
            problems.append(Problem(name, 1, 1, spell(path), "schema-reference", message, hint))
    if problems:
        raise InvalidError(problems)
    return trusted_schema(tree, name=name, folder=folder)


def validate(data: Any, schema: Schema, *, file: str, locate: Locate, prefix: Path = ()) -> list[Problem]:
    """Return every problem of ``data``, in the order of the file; empty where there is none.

    ``locate`` answers where a path inside ``data`` stands; ``prefix`` is put before paths as they are shown.
    """
    return sorted(problem for _, problem in examine(data, schema, file=file, locate=locate, prefix=prefix))


def examine(data: Any, schema: Schema, *, file: str, locate: Locate, prefix: Path = ()) -> list[tuple[Path, Problem]]:
    """Return what :func:`validate` does, in no particular order, each with its path inside ``data``."""
    found: dict[tuple[int, int, str, str], tuple[Path, Problem]] = {}
    for error in schema.validator.iter_errors(data):
        for finding in explain(error):
            mark = locate(finding.path, key=finding.key)
            path = spell((*prefix, *finding.path))
            problem = Problem(
                file, mark.line, mark.column, path, finding.code, finding.message, finding.hint, finding.severity
            )
            found.setdefault((mark.line, mark.column, path, finding.message), (finding.path, problem))
    return list(found.values())


def _registry(folder: FilePath | None) -> Registry[Any]:
    return Registry(retrieve=partial(_retrieve, folder))  # type: ignore[call-arg]


def _retrieve(folder: FilePath | None, uri: str) -> Resource[Any]:
    """Return a schema file of the same folder; there is nowhere else to look."""
    if folder is not None and re.fullmatch(r"[\w-]+\.schema\.json", uri) and (path := folder / uri).is_file():
        return Resource.from_contents(json.loads(path.read_bytes()), default_specification=DRAFT202012)
    raise referencing.exceptions.NoSuchResource(uri)


def _references(tree: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield every reference in a schema with its place."""
    if isinstance(tree, Mapping):
        for key, child in tree.items():
            if key in ("$ref", "$dynamicRef") and isinstance(child, str):
                yield path, child
            else:
                yield from _references(child, (*path, key))
    elif isinstance(tree, list):
        for index, child in enumerate(tree):
            yield from _references(child, (*path, index))
