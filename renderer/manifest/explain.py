"""What a failed keyword of a JSON Schema means, in the words of people.

Where a value may have several shapes, the shape that it most nearly has is explained, never "not valid under any of
the given schemas". A schema can say more than its keywords do: ``x-message`` and ``x-hint`` replace the sentence that
a failed keyword of the same subschema would get (or map keywords to sentences), and ``x-severity: warning`` makes it a
warning. Knows errors of the validator, not where schemas come from or where values stand.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from renderer.errors import Severity
from renderer.manifest.position import Path
from renderer.manifest.spelling import suggest

_Error: TypeAlias = Any
"""A ``jsonschema.ValidationError``: the stubs call each of its fields possibly unset, which it never is here."""

_SHOWN = 60
_NUMERIC = re.compile(r"\s*([-+]?\d+(?:\.\d+)?)\s*(?:s|secs?|seconds?|px|%)?\s*")
_YES_OR_NO: Mapping[str, str] = {
    "true": "true", "yes": "true", "on": "true", "1": "true",
    "false": "false", "no": "false", "off": "false", "0": "false",
}  # fmt: skip
_SPECIAL = frozenset({"file", "upload", "ref"})
_KINDS: Mapping[str, str] = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "a map", "null": "null",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said about one error, before it has a position."""

    path: Path
    code: str
    message: str
    hint: str = ""
    key: bool = False
    severity: Severity = "error"


def explain(error: _Error) -> Iterator[Finding]:
    """Yield what one error of the validator means, with the schema's own words where it has some."""
    said = _own(error, "x-message")
    severity: Severity = "warning" if _own(error, "x-severity") == "warning" else "error"
    if error.validator in ("anyOf", "oneOf") and not said:
        yield from _alternatives(error)
        return
    for finding in _findings(error):
        yield Finding(
            finding.path,
            finding.code,
            said or finding.message,
            _own(error, "x-hint") or finding.hint,
            finding.key,
            severity,
        )


def _own(error: _Error, word: str) -> str:
    """Return what the failed subschema says in an ``x-`` keyword about the keyword that failed."""
    given = error.schema.get(word, "") if isinstance(error.schema, Mapping) else ""
    if isinstance(given, Mapping):
        given = given.get(error.validator, "")
    return str(given)


def _alternatives(error: _Error) -> Iterator[Finding]:
    """Explain the branch that the value most nearly fits, or name all shapes where it fits none."""
    branches: dict[Any, list[_Error]] = {}
    for child in error.context or ():
        branches.setdefault(child.relative_schema_path[0], []).append(child)
    fitting = [errors for errors in branches.values() if not any(map(_wrong_shape, errors))]
    if fitting:
        for child in min(fitting, key=_distance):
            yield from explain(child)
        return
    if not branches:  # oneOf, and more than one branch fits: the schema is at fault
        message = f"{_subject(error)} can be read in two ways"
        yield Finding(tuple(error.absolute_path), "ambiguous", message, f"rules: {_show(error.validator_value)}")
        return
    shapes: list[str] = []
    for errors in branches.values():
        shape = _shape(next(child for child in errors if _wrong_shape(child)))
        if shape not in shapes:
            shapes.append(shape)
    message = f"{_subject(error)} must be {_either(shapes)}, not {_kind(error.instance)}"
    words = [word for errors in branches.values() for child in errors for word in _texts(child)]
    hint = suggest(error.instance, words) if isinstance(error.instance, str) else ""
    yield Finding(tuple(error.absolute_path), "type", message, hint)


def _wrong_shape(error: _Error) -> bool:
    """Whether a branch fails at the value itself in a way that says "you meant another branch"."""
    return not error.relative_path and error.validator in ("type", "const", "enum")


def _distance(errors: list[_Error]) -> tuple[int, int]:
    """Return how far a value is from a branch: errors at the value itself weigh more than those deeper inside."""
    return sum(1 for child in errors if not child.relative_path), len(errors)


def _shape(error: _Error) -> str:
    if isinstance(error.schema, Mapping) and "title" in error.schema:
        return str(error.schema["title"])
    match error.validator:
        case "type":
            return _either(_shapes(error.validator_value, error.schema))
        case "const":
            return _show(error.validator_value)
        case _:
            return _listed(error.validator_value)


def _texts(error: _Error) -> list[str]:
    values = error.validator_value if error.validator == "enum" else [error.validator_value]
    return [value for value in values if isinstance(value, str)] if error.validator in ("enum", "const") else []


def _findings(error: _Error) -> Iterator[Finding]:
    """Yield what a failed keyword means: most fail once, missing and unknown keys as often as there are keys."""
    path, instance, limit = tuple(error.absolute_path), error.instance, error.validator_value
    if "propertyNames" in error.relative_schema_path and isinstance(instance, str):
        message = f"the key {_show(instance)} is not a name that may stand here"
        yield Finding((*path, instance), "key", message, key=True)
        return
    match error.validator:
        case "required":
            for name in limit:
                if name not in instance:
                    yield Finding(path, "required", f"{_subject(error)} needs `{name}`")
        case "additionalProperties" | "unevaluatedProperties":
            for name, known in _unknown(error):
                message = f"{_subject(error)} has no key `{_cut(name)}`"
                hint = suggest(name, known) or (f"known: {', '.join(sorted(known))}" if known else "")
                yield Finding((*path, name), "unknown-key", message, hint, key=True)
        case "dependentRequired":
            for given, names in limit.items():
                for name in names if given in instance else ():
                    if name not in instance:
                        yield Finding(path, "required", f"{_subject(error)} with `{given}` needs `{name}`")
        case "type":
            shapes = _shapes(limit, error.schema)
            message = f"{_subject(error)} must be {_either(shapes)}, not {_kind(instance)}"
            yield Finding(path, "type", message, _quotes(instance, shapes))
        case "minProperties" | "maxProperties" if error.schema.get("properties", {}).keys() <= _SPECIAL:
            shapes = _shapes("object", error.schema)
            yield Finding(path, "type", f"{_subject(error)} must be exactly one of {_either(shapes)}")
        case "enum":
            texts = _texts(error)
            message = f"{_subject(error)} is {_show(instance)}; it must be {_listed(limit)}"
            hint = suggest(instance, texts) if isinstance(instance, str) else ""
            shapes = [_shape_of(option) for option in limit if str(option) == str(instance)]
            yield Finding(path, "enum", message, hint or _quotes(instance, shapes))
        case keyword:
            code, sentence = _SENTENCES.get(str(keyword), ("invalid", _otherwise))
            yield Finding(path, code, f"{_subject(error)} {sentence(instance, limit)}")


def _quotes(given: Any, shapes: list[str]) -> str:
    """Return what to do about a number, or true or false, that is text, or the other way round.

    Nothing is ever converted silently: "012" is an article number and "no" is Norwegian.
    """
    match given:
        case bool():
            return "put it in quotes" if "text" in shapes else ""
        case int() | float() if "text" in shapes:
            return "put it in quotes"
        case str() if (found := _NUMERIC.fullmatch(given)) and "a number" in shapes:
            return f"write {found[1]}, without quotes or a unit; in a template: {{{{ ... | float }}}}"
        case str() if (found := _NUMERIC.fullmatch(given)) and "a whole number" in shapes and "." not in found[1]:
            return f"write {found[1]}, without quotes or a unit; in a template: {{{{ ... | int }}}}"
        case str() if given.casefold() in _YES_OR_NO and "true or false" in shapes:
            meant = _YES_OR_NO[given.casefold()]
            sign = "==" if meant == "true" else "!="
            return f"write {meant}, without quotes; in a template: {{{{ ... {sign} '{given}' }}}}"
        case _:
            return ""


def _shape_of(option: Any) -> str:
    match option:
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case _:
            return "text"


def _unknown(error: _Error) -> Iterator[tuple[str, list[str]]]:
    """Yield each key that the schema does not have, with the keys that it has and that are still unused."""
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    known = list(schema.get("properties", ()))
    if error.validator == "unevaluatedProperties":
        named = [match[0] or match[1] for match in re.findall(r"'((?:[^'\\]|\\.)*)'|\"([^\"]*)\"", error.message)]
        extra = [name for name in named if name in error.instance]
    else:
        patterns = schema.get("patternProperties", ())
        extra = [
            name
            for name in error.instance
            if name not in known and not any(re.search(pattern, name) for pattern in patterns)
        ]
    unused = [name for name in known if name not in error.instance]
    for name in extra:
        yield name, unused


def _number(limit: Any, one: str, many: str) -> str:
    return f"{limit:,} {one if limit == 1 else many}"


def _otherwise(instance: Any, _limit: Any) -> str:
    return f"cannot be {_show(instance)}"


_Sentence: TypeAlias = Callable[[Any, Any], str]
_SENTENCES: Mapping[str, tuple[str, _Sentence]] = {
    "const": ("enum", lambda given, only: f"is {_show(given)}; it must be {_show(only)}"),
    "pattern": ("pattern", lambda given, pattern: f"is {_show(given)}, which does not match {pattern}"),
    "format": ("format", lambda given, name: f"is {_show(given)}, which is no {name}"),
    "minLength": (
        "length",
        lambda given, least: "is empty" if not given else f"has {len(given)} characters; it needs at least {least}",
    ),
    "maxLength": (
        "length",
        lambda given, most: f"has {_number(len(given), 'character', 'characters')}; the limit is {most:,}",
    ),
    "minItems": (
        "length",
        lambda given, least: f"has {_number(len(given), 'entry', 'entries')}; it needs at least {least:,}",
    ),
    "maxItems": (
        "length",
        lambda given, most: f"has {_number(len(given), 'entry', 'entries')}; the limit is {most:,}",
    ),
    "minProperties": ("length", lambda given, least: f"has {len(given)} keys; it needs at least {least:,}"),
    "maxProperties": ("length", lambda given, most: f"has {len(given)} keys; the limit is {most:,}"),
    "uniqueItems": ("duplicate", lambda _given, _limit: "has the same entry twice"),
    "minimum": ("range", lambda given, least: f"is {given}; the least is {least}"),
    "maximum": ("range", lambda given, most: f"is {given}; the most is {most}"),
    "exclusiveMinimum": ("range", lambda given, least: f"is {given}; it must be more than {least}"),
    "exclusiveMaximum": ("range", lambda given, most: f"is {given}; it must be less than {most}"),
    "multipleOf": ("range", lambda given, step: f"is {given}; it must be a multiple of {step}"),
    "not": ("forbidden", lambda given, _rule: f"cannot be {_show(given)}"),
    "contains": ("contains", lambda _given, rule: f"has no entry that fits {_show(rule)}"),
}


def _subject(error: _Error) -> str:
    path = tuple(error.absolute_path)
    match path:
        case ():
            return "the file"
        case (*_, str() as owner, int() as index):
            return f"entry {index + 1} of `{_cut(owner)}`"
        case (*_, int() as index):
            return f"entry {index + 1}"
        case (*_, last):
            return f"`{_cut(str(last))}`"
        case _:
            return "the value"


def _shapes(kinds: str | list[str], schema: Any) -> list[str]:
    """Return the kinds of value that a schema's ``type`` allows; null goes without saying where there are others."""
    names = [kinds] if isinstance(kinds, str) else [kind for kind in kinds if kind != "null"] or ["null"]
    properties = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    special = [f"{{{word}: ...}}" for word in properties] if properties and properties.keys() <= _SPECIAL else ["a map"]
    return [shape for name in names for shape in (special if name == "object" else [_KINDS[name]])]


def _kind(value: Any) -> str:
    """Return what a value is, as people say it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {_show(value)}"
        case list():
            return "a list"
        case {"upload": _} | {"file": _} | {"ref": _} if len(value) == 1:
            return f"{{{next(iter(value))}: ...}}"
        case _:
            return "a map"


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _listed(values: list[Any]) -> str:
    shown = [_show(value) for value in values[:12]]
    return _either(shown) if len(values) <= 12 else f"one of {', '.join(shown)}, ..."  # noqa: PLR2004 (a line of text)


def _show(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False, default=str))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
