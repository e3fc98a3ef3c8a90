"""``for_each`` -> rows: what ``each`` holds, and the part of the id that it makes.

Rows come from a matrix, a CSV file, a JSON file, or the manifest itself. Cells are data: nothing in them is a
template. Every fault names the file and line of its row where there is one. Knows nothing of jobs.
"""

import csv
import io
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from renderer.errors import Severity
from renderer.manifest.dialect import Refusal, text
from renderer.manifest.localfile import MAX_DATA, FileError, Files
from renderer.manifest.position import Mark, Path
from renderer.manifest.spelling import suggest
from renderer.project import PathError

MAX_ROWS = 200_000
MAX_FAULTS = 50
_START = Mark(1, 1)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: ``each``, the ``suffix`` of its id (None where no key is named), and where it stands, for people.

    ``file`` and ``mark`` are set for rows of a data file.
    """

    each: Mapping[str, Any]
    suffix: str | None
    file: str = ""
    mark: Mark = _START


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong: in the data file where ``file`` is set, else at ``path`` inside ``for_each``."""

    code: str
    message: str
    hint: str = ""
    path: Path = ()
    file: str = ""
    mark: Mark = _START
    severity: Severity = "error"


def rows_of(for_each: Mapping[str, Any], files: Files, manifest: str) -> tuple[list[Row], list[RowFault]]:
    """Return the rows of a ``for_each`` whose own templates are worked out already, and what is wrong with it."""
    sources = [name for name in ("matrix", "csv", "json", "rows") if name in for_each]
    if len(sources) != 1:
        message = "`for_each` takes exactly one of matrix, csv, json and rows"
        return [], [RowFault("for-each", message, f"here: {', '.join(sources) or 'none'}")]
    odd = [name for name in for_each if name in _ONLY_WITH and sources[0] not in _ONLY_WITH[name]]
    if odd:
        message = f"`{odd[0]}` has no meaning beside `{sources[0]}`"
        return [], [RowFault("for-each", message, path=(odd[0],))]
    faults: list[RowFault] = []
    try:
        match sources[0]:
            case "matrix":
                rows = list(_matrix(for_each, faults))
            case "csv":
                rows = _keyed(_csv(for_each, files, manifest, faults), for_each, faults)
            case "json":
                rows = _keyed(_json(for_each, files, manifest), for_each, faults)
            case _:
                rows = _keyed(_inline(for_each, faults), for_each, faults)
    except _Stop as stop:
        return [], [*faults, stop.fault]
    except (PathError, FileError) as error:
        return [], [*faults, RowFault("file", str(error), path=(sources[0],))]
    return rows, faults


_ONLY_WITH = {"include": ("matrix",), "exclude": ("matrix",), "key": ("csv", "json", "rows")}


class _Stop(Exception):
    """Nothing more can be read from this source."""

    def __init__(self, fault: RowFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def _matrix(for_each: Mapping[str, Any], faults: list[RowFault]) -> Iterator[Row]:
    axes: Mapping[str, Any] = for_each["matrix"]
    for name, values in axes.items():
        if not isinstance(values, list) or not all(isinstance(value, str | int | float | bool) for value in values):
            message = f"the axis `{name}` must be a list of texts and numbers"
            raise _Stop(RowFault("for-each", message, path=("matrix", name)))
    included, excluded = for_each.get("include", []), for_each.get("exclude", [])
    count = math.prod(len(values) for values in axes.values()) + len(included)
    if count > MAX_ROWS:
        message = f"the matrix has {count:,} combinations; the limit is {MAX_ROWS:,}"
        raise _Stop(RowFault("for-each", message, path=("matrix",)))
    for index, pattern in enumerate(excluded):
        for name in pattern:
            if name not in axes:
                message = f"`exclude` names `{name}`, which is no axis"
                faults.append(RowFault("for-each", message, suggest(name, axes), ("exclude", index, name)))
    used = [False] * len(excluded)
    for values in itertools.product(*axes.values()):
        each = dict(zip(axes, values, strict=True))
        dropped = False
        for index, pattern in enumerate(excluded):
            if all(name in each and _same(each[name], value) for name, value in pattern.items()):
                used[index] = dropped = True
        if not dropped:
            yield Row(each, "-".join(map(text, values)))
    for index, pattern in enumerate(excluded):
        if not used[index] and all(name in axes for name in pattern):
            message = "`exclude` drops nothing here"
            faults.append(RowFault("for-each", message, path=("exclude", index), severity="warning"))
    for index, each in enumerate(included):
        missing = [name for name in axes if name not in each]
        if missing:
            message = f"`include` must name every axis; `{missing[0]}` is missing"
            faults.append(RowFault("for-each", message, path=("include", index)))
            continue
        try:
            yield Row(each, "-".join(text(each[name]) for name in axes))
        except Refusal as error:
            faults.append(RowFault("for-each", str(error), path=("include", index)))


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one; ``true`` is not 1."""
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


def _csv(for_each: Mapping[str, Any], files: Files, manifest: str, faults: list[RowFault]) -> Iterator[Row]:
    path = files.project.source(manifest, for_each["csv"])
    file = files.project.relative(path)
    reader = csv.reader(io.StringIO(files.content(manifest, for_each["csv"], limit=MAX_DATA), newline=""), strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            mark, line = Mark(line, 1), reader.line_num + 1
            if not cells:
                continue
            if not header:
                header = _header(cells, for_each, file, mark)
                continue
            if len(cells) != len(header):
                message = f"this row has {len(cells)} cells, the header has {len(header)}"
                _add(faults, RowFault("csv", message, "put cells that hold commas in quotes", (), file, mark))
                continue
            yield Row(dict(zip(header, cells, strict=True)), None, file, mark)
    except csv.Error as error:
        message = f"this row is not CSV: {error}"
        raise _Stop(RowFault("csv", message, "quotes inside a cell are doubled", (), file, Mark(line, 1))) from None
    if not header:
        raise _Stop(RowFault("csv", "the file has no header line", "", (), file))


def _header(cells: Sequence[str], for_each: Mapping[str, Any], file: str, mark: Mark) -> list[str]:
    seen: set[str] = set()
    for number, name in enumerate(cells, 1):
        if not name:
            raise _Stop(RowFault("csv", f"column {number} has no name", "", (), file, mark))
        if name in seen:
            raise _Stop(RowFault("csv", f"the column `{name}` stands twice in the header", "", (), file, mark))
        seen.add(name)
    if (key := for_each.get("key")) is not None and key not in seen:
        hint = suggest(key, seen) or f"columns: {', '.join(cells)}"
        if len(cells) == 1 and (";" in cells[0] or "\t" in cells[0]):
            hint = "cells must be separated by commas"
        raise _Stop(RowFault("csv", f"there is no column `{key}`", hint, ("key",)))
    return list(cells)


def _json(for_each: Mapping[str, Any], files: Files, manifest: str) -> Iterator[Row]:
    file = files.project.relative(files.project.source(manifest, for_each["json"]))
    content = files.content(manifest, for_each["json"], limit=MAX_DATA)
    try:
        data = json.loads(content, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        mark = Mark(error.lineno, error.colno)
        raise _Stop(RowFault("json", f"this is not JSON: {error.msg}", "", (), file, mark)) from None
    except (ValueError, RecursionError) as error:
        message = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _Stop(RowFault("json", f"this is not JSON: {message}", "", (), file)) from None
    if not isinstance(data, list):
        raise _Stop(RowFault("json", "the file must hold a list of objects", "", (), file))
    for number, each in enumerate(data, 1):
        if not isinstance(each, dict):
            raise _Stop(RowFault("json", f"entry {number} is no object", "", (), file))
        yield Row(each, None, file)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return result


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number that a request can hold")


def _inline(for_each: Mapping[str, Any], faults: list[RowFault]) -> Iterator[Row]:
    rows = for_each["rows"]
    if not isinstance(rows, list):
        raise _Stop(RowFault("for-each", "`rows` must be a list of maps", path=("rows",)))
    for index, each in enumerate(rows):
        if isinstance(each, Mapping):
            yield Row(each, None)
        else:
            _add(faults, RowFault("for-each", f"row {index + 1} is no map", path=("rows", index)))


def _keyed(rows: Iterator[Row], for_each: Mapping[str, Any], faults: list[RowFault]) -> list[Row]:
    """Return rows with the id part that their key column gives; each key stands once."""
    key = for_each.get("key")
    found: list[Row] = []
    seen: dict[str, Row] = {}
    inline = "rows" in for_each
    for number, row in enumerate(rows):
        if number >= MAX_ROWS:
            raise _Stop(RowFault("for-each", f"there are more than {MAX_ROWS:,} rows"))
        if key is None:
            found.append(row)
            continue
        path: Path = ("rows", number) if inline else ()
        try:
            suffix = text(row.each[key])
        except KeyError:
            hint = suggest(key, row.each)
            _add(faults, RowFault("key", f"row {number + 1} has no `{key}`", hint, path, row.file, row.mark))
            continue
        except Refusal:
            suffix = ""
        if not suffix:
            _add(faults, RowFault("key", f"the key `{key}` is empty in row {number + 1}", "", path, row.file, row.mark))
        elif (first := seen.get(suffix)) is not None:
            where = f" in line {first.mark.line}" if first.file else ""
            message = f"the key {suffix[:60]!r} in row {number + 1} stands already{where or ' in a row above'}"
            _add(faults, RowFault("key", message, "", path, row.file, row.mark))
        else:
            seen[suffix] = Row(row.each, suffix, row.file, row.mark)
            found.append(seen[suffix])
    return found


def _add(faults: list[RowFault], fault: RowFault) -> None:
    if len(faults) >= MAX_FAULTS:
        raise _Stop(fault)
    faults.append(fault)
