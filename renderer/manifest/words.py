"""The words of a template: filters, tests and methods, each with its limits.

What is not listed here does not exist for a template. Names and meanings are Jinja's where Jinja has the word. What a
word may cost is asked of the meter before it is done. This module knows values, not template syntax.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from renderer.manifest.dialect import (
    MAX_STEPS,
    MAX_WIDTH,
    Meter,
    Refusal,
    Word,
    add,
    fill,
    kind,
    lookup,
    number,
    numbers,
    text,
)
from renderer.manifest.job import Ref, Upload
from renderer.manifest.spelling import suggest


def _length(_meter: Meter, value: Any) -> int:
    if not isinstance(value, str | list | Mapping):
        raise Refusal(f"{kind(value)} has no length")
    return len(value)


def _entries(meter: Meter, value: Any) -> list[Any]:
    if not isinstance(value, str | list | Mapping):
        raise Refusal(f"{kind(value)} is not a list")
    meter.step(len(value))
    return list(value)


def _join(meter: Meter, value: Any, between: Any = "") -> str:
    parts = [text(part) for part in _entries(meter, value)]
    separator = text(between)
    meter.text(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


def _joined(meter: Meter, between: Any, parts: Any) -> str:
    return _join(meter, parts, between)


def _replace(meter: Meter, value: Any, old: Any, new: Any, count: int = -1) -> str:
    given, before, after = text(value), text(old), text(new)
    found = given.count(before) if before else len(given) + 1
    meter.text(len(given) + found * len(after))
    return given.replace(before, after, count)


def _split(meter: Meter, value: Any, between: Any = None, most: int = -1) -> list[str]:
    given = text(value)
    separator = None if between is None else text(between)
    meter.step(len(given.split(None, MAX_STEPS)) if separator is None else given.count(separator) + 1)
    meter.text(len(given))
    return given.split(separator, most)


def _rsplit(meter: Meter, value: Any, between: Any = None, most: int = -1) -> list[str]:
    given = text(value)
    meter.step(len(given))
    return given.rsplit(None if between is None else text(between), most)


def _lines(meter: Meter, value: Any) -> list[str]:
    given = text(value)
    meter.step(given.count("\n") + 1)
    meter.text(len(given))
    return given.replace("\r\n", "\n").removesuffix("\n").split("\n")


def _padded(method: str) -> Word:
    def pad(meter: Meter, value: Any, width: int = 80, *filler: str) -> str:
        given = text(value)
        if width > MAX_WIDTH:
            raise Refusal(f"a width of {width} is more than {MAX_WIDTH}")
        meter.text(len(given) + max(width, 0))
        return str(getattr(given, method)(width, *filler))

    return pad


def _same_size(method: str) -> Word:
    def change(meter: Meter, value: Any, *arguments: str) -> str:
        given = text(value)
        meter.text(2 * len(given))  # some letters become two in another case
        return str(getattr(given, method)(*arguments))

    return change


def _asked(method: str) -> Word:
    def ask(_meter: Meter, value: Any, *arguments: Any) -> Any:
        return getattr(text(value), method)(*arguments)

    return ask


def _indent(meter: Meter, value: Any, width: int = 4, first: bool = False) -> str:
    given = text(value)
    if width > MAX_WIDTH:
        raise Refusal(f"a width of {width} is more than {MAX_WIDTH}")
    meter.text(len(given) + (given.count("\n") + 1) * max(width, 0))
    indented = given.replace("\n", "\n" + " " * width)
    return " " * width + indented if first else indented


def _truncate(meter: Meter, value: Any, length: int = 255, killwords: bool = False, end: str = "...") -> str:
    given = text(value)
    if len(given) <= length:
        return given
    meter.text(length + len(end))
    cut = given[: max(length - len(end), 0)]
    return (cut if killwords else cut.rsplit(" ", 1)[0]) + end


def _first(_meter: Meter, value: Any) -> Any:
    return lookup(value, 0)


def _last(_meter: Meter, value: Any) -> Any:
    return lookup(value, -1)


def _int(_meter: Meter, value: Any, default: Any = None) -> Any:
    try:
        return number(int(value) if isinstance(value, str) and "." not in value else int(float(value)))
    except (TypeError, ValueError, OverflowError):
        if default is None:
            raise Refusal(f"{json.dumps(value, default=kind)[:60]} is not a whole number") from None
        return default


def _float(_meter: Meter, value: Any, default: Any = None) -> Any:
    try:
        return number(float(value))
    except (TypeError, ValueError, OverflowError):
        if default is None:
            raise Refusal(f"{json.dumps(value, default=kind)[:60]} is not a number") from None
        return default


def _round(_meter: Meter, value: Any, precision: int = 0, method: str = "common") -> Any:
    numbers("round", value, precision)
    if method == "common":
        return number(round(value, precision))
    if method not in ("floor", "ceil"):
        raise Refusal("round knows the methods common, floor and ceil")
    scale = number(10.0 ** min(max(precision, -20), 20))
    scaled = value * scale
    whole = scaled // 1 if method == "floor" else -(-scaled // 1)
    return number(whole / scale)


def _sum(meter: Meter, value: Any, start: Any = 0) -> Any:
    total = start
    for part in _entries(meter, value):
        total = add(meter, total, part)
    return total


def _sorted(meter: Meter, value: Any, reverse: bool = False) -> list[Any]:
    meter.tree(value)
    return sorted(_entries(meter, value), reverse=reverse)


def _reversed(meter: Meter, value: Any) -> Any:
    if isinstance(value, str):
        meter.text(len(value))
        return value[::-1]
    return _entries(meter, value)[::-1]


def _unique(meter: Meter, value: Any) -> list[Any]:
    return list(dict.fromkeys(_entries(meter, value)))


def _least(meter: Meter, value: Any) -> Any:
    return min(_entries(meter, value))


def _most(meter: Meter, value: Any) -> Any:
    return max(_entries(meter, value))


def _absolute(_meter: Meter, value: Any) -> Any:
    numbers("abs", value, 0)
    return abs(value)


def _pairs(meter: Meter, value: Any) -> list[list[Any]]:
    if not isinstance(value, Mapping):
        raise Refusal(f"{kind(value)} has no items")
    meter.step(len(value))
    return [[key, child] for key, child in value.items()]


def _keys(meter: Meter, value: Any) -> list[Any]:
    return [key for key, _ in _pairs(meter, value)]


def _children(meter: Meter, value: Any) -> list[Any]:
    return [child for _, child in _pairs(meter, value)]


def _json(meter: Meter, value: Any) -> str:
    meter.tree(value)
    parts = []
    for piece in json.JSONEncoder(ensure_ascii=False, allow_nan=False).iterencode(value):
        meter.text(len(piece))
        parts.append(piece)
    return "".join(parts)


def _urlencode(meter: Meter, value: Any) -> str:
    given = text(value)
    meter.text(12 * len(given))
    return quote(given, safe="/")


def _as_text(_meter: Meter, value: Any) -> str:
    return text(value)


def _get(_meter: Meter, value: Any, key: Any, default: Any = None) -> Any:
    if not isinstance(value, Mapping):
        raise Refusal(f"{kind(value)} has no get()")
    return value.get(key, default)


FILTERS: Mapping[str, Word] = {
    "abs": _absolute, "capitalize": _same_size("capitalize"), "center": _padded("center"), "count": _length,
    "first": _first, "float": _float, "format": fill, "indent": _indent, "int": _int, "items": _pairs, "join": _join,
    "last": _last, "length": _length, "list": _entries, "lower": _same_size("lower"), "max": _most, "min": _least,
    "replace": _replace, "reverse": _reversed, "round": _round, "sort": _sorted, "split": _split, "string": _as_text,
    "sum": _sum, "title": _same_size("title"), "tojson": _json, "trim": _same_size("strip"), "truncate": _truncate,
    "unique": _unique, "upper": _same_size("upper"), "urlencode": _urlencode,
}  # fmt: skip
"""``default`` is not here: it must see what is undefined, so the compiler knows it."""

TEXT_METHODS: Mapping[str, Word] = {
    "capitalize": _same_size("capitalize"), "center": _padded("center"), "count": _asked("count"),
    "endswith": _asked("endswith"), "find": _asked("find"), "isdigit": _asked("isdigit"), "join": _joined,
    "ljust": _padded("ljust"), "lower": _same_size("lower"), "lstrip": _same_size("lstrip"),
    "removeprefix": _same_size("removeprefix"), "removesuffix": _same_size("removesuffix"), "replace": _replace,
    "rjust": _padded("rjust"), "rsplit": _rsplit, "rstrip": _same_size("rstrip"), "split": _split,
    "splitlines": _lines, "startswith": _asked("startswith"), "strip": _same_size("strip"),
    "title": _same_size("title"), "upper": _same_size("upper"), "zfill": _padded("zfill"),
}  # fmt: skip
MAP_METHODS: Mapping[str, Word] = {"get": _get, "items": _pairs, "keys": _keys, "values": _children}


def method(value: Any, name: str) -> Word:
    """Return the method ``name`` of a value. Raises :class:`Refusal` for all but a few of text and maps."""
    methods: Mapping[str, Word] = {}
    if isinstance(value, str):
        methods = TEXT_METHODS
    elif isinstance(value, Mapping):
        methods = MAP_METHODS
    if name not in methods:
        hint = suggest(name, methods)
        raise Refusal(f"{kind(value)} has no {name}(){f' ({hint})' if hint else ''}")
    return methods[name]


# Tests ----------------------------------------------------------------------------------------------------------------


def _is_url(value: Any) -> bool:
    match value:
        case str():
            return re.match(r"(?i)https?://", value) is not None
        case Ref():
            return value.field in ("url", "demo_url")
        case _:
            return False


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


TESTS: Mapping[str, Callable[..., bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "divisibleby": lambda value, by: value % by == 0,
    "even": lambda value: value % 2 == 0,
    "false": lambda value: value is False,
    "float": lambda value: isinstance(value, float),
    "in": lambda value, many: value in many,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "mapping": lambda value: isinstance(value, Mapping),
    "none": lambda value: value is None,
    "number": _is_number,
    "odd": lambda value: value % 2 == 1,
    "ref": lambda value: isinstance(value, Ref),
    "sequence": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "true": lambda value: value is True,
    "upload": lambda value: isinstance(value, Upload) or (isinstance(value, Ref) and value.field == "file"),
    "url": _is_url,
}
"""``defined`` and ``undefined`` are the compiler's, as ``default`` is."""
