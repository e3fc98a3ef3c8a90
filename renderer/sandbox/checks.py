"""What a JSON body must be: a table of fields, each with a check that says what it expects.

A provider declares its fields once and turns the first `Problem` into its own kind of error.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Check = Callable[[Any], str | None]
"""Says what was expected of a value, or None if the value will do."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a body; ``nullable`` fields may be JSON null, which is as good as absent."""

    check: Check
    required: bool = False
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a field."""

    field: str
    message: str
    kind: str = "invalid"


def problems(body: Mapping[str, Any], fields: Mapping[str, Field]) -> list[Problem]:
    """Check the known fields of a body."""
    found: list[Problem] = []
    for name, field in fields.items():
        value = body.get(name)
        if name not in body or (value is None and field.nullable):
            if field.required:
                found.append(Problem(name, "is required", kind="missing"))
            continue
        expected = field.check(value)
        if expected is not None:
            found.append(Problem(name, f"must be {expected}"))
    return found


def unknown(body: Mapping[str, Any], fields: Mapping[str, Field]) -> tuple[str, ...]:
    """Name the fields that the table does not have."""
    return tuple(name for name in body if name not in fields)


def text(*, most: int | None = None, empty: bool = False) -> Check:
    """Text, of at most so many characters."""

    def check(value: Any) -> str | None:
        if not isinstance(value, str) or not (empty or value.strip()):
            return "a non-empty string"
        if most is not None and len(value) > most:
            return f"at most {most} characters long"
        return None

    return check


def whole(*, low: int, high: int) -> Check:
    """An integer in a range; true and 1.0 are none."""

    def check(value: Any) -> str | None:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return None
        return f"an integer from {low} to {high}"

    return check


def flag(value: Any) -> str | None:
    """Check for a boolean."""
    return None if isinstance(value, bool) else "a boolean"


def one_of(*words: str | int) -> Check:
    """One of a few values, of the same type."""

    def check(value: Any) -> str | None:
        known = any(value == word and type(value) is type(word) for word in words)
        return None if known else "one of " + ", ".join(map(str, words))

    return check


def matching(pattern: str, expected: str) -> Check:
    """A string that a pattern matches as a whole."""
    compiled = re.compile(pattern)

    def check(value: Any) -> str | None:
        return None if isinstance(value, str) and compiled.fullmatch(value) else expected

    return check


def url(value: Any) -> str | None:
    """Check for an absolute http(s) URL."""
    return None if isinstance(value, str) and is_url(value) else "an http or https URL"


def urls(*, least: int, most: int) -> Check:
    """A list of URLs."""

    def check(value: Any) -> str | None:
        if isinstance(value, list) and least <= len(value) <= most and all(url(item) is None for item in value):
            return None
        return f"a list of {least} to {most} URLs" if least else f"a list of at most {most} URLs"

    return check


def decimal(*, low: float, high: float) -> Check:
    """A number written as a string."""

    def check(value: Any) -> str | None:
        written = isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value)
        return None if written and low <= float(value) <= high else f'a string from "{low}" to "{high}"'

    return check


def is_url(value: str) -> bool:
    """Tell whether a string is an absolute http(s) URL."""
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", value)
