"""Careful reading of what a stranger sends: JSON, ids, messages, numbers and ``Retry-After``.

Ids keep every digit, messages lose what could hurt a terminal or give a secret away. Nothing here knows packs.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from renderer.provider.expression import Expression

MAX_BYTES = 16_000_000
LONGEST_MESSAGE = 300
LONGEST_WAIT = 600.0
"""A provider that asks to be left alone for longer (in seconds) is asked again after this."""

# Controls, and what reorders or hides text on a terminal.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")
_QUERY = re.compile(r"(https?://[^\s?#\"'<>]*)[?#][^\s\"'<>]*", re.IGNORECASE)
_BEARER = re.compile(r"(?i)\b(bearer)\s+[^\s\"',]+")


def read_json(body: bytes) -> Any:
    """Return the JSON value of a body: integers exactly, the last of duplicate keys.

    Raises ``ValueError`` for what is not JSON: another encoding, NaN, infinities, too much, too deep.
    """
    if len(body) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def word(value: Any) -> str:
    """Return an id, a code or a state as text, every digit kept; "" for what is neither text nor a number."""
    match value:
        case str():
            return value
        case bool():
            return ""
        case int() | float():
            return str(value)
        case _:
            return ""


def phrase(value: Any) -> str:
    """Return anything as one clean line for people; a map or list as JSON, nothing as ""."""
    match value:
        case None:
            return ""
        case str():
            return clean(value)
        case _:
            return clean(json.dumps(value, ensure_ascii=False, default=str))


def clean(text: str) -> str:
    """Return text on one line, without control characters, queries of URLs and bearer tokens, and not too long."""
    line = " ".join(_UNSEEN.sub(" ", text[: 20 * LONGEST_MESSAGE]).split())
    line = _BEARER.sub(r"\1 ***", _QUERY.sub(r"\1", line))
    return line if len(line) <= LONGEST_MESSAGE else f"{line[: LONGEST_MESSAGE - 1]}…"


def number(place: Expression | None, data: Any, *, most: float = math.inf) -> float | None:
    """Return a number that may be written as text or with a percent sign, within 0 and ``most``; None for none."""
    found = None if place is None else place.find(data)
    if isinstance(found, str):
        found = found.strip().removesuffix("%")
    if found is None or isinstance(found, bool | Mapping | list):
        return None
    try:
        value = float(found)
    except (ValueError, OverflowError):
        return None
    return min(max(value, 0.0), most) if math.isfinite(value) else None


def retry_after(header: str | None, now: float) -> float | None:
    """Return how many seconds a ``Retry-After`` (RFC 9110) asks for, within bounds; None where it says nothing.

    ``now`` is in seconds since the epoch.
    """
    if header is None:
        return None
    try:
        wait = float(header)
    except ValueError:
        try:
            at = parsedate_to_datetime(header)
        except ValueError:
            return None
        # A date with the zone "-0000" comes without one; HTTP dates are UTC.
        wait = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() - now
    return min(max(wait, 0.0), LONGEST_WAIT) if math.isfinite(wait) else None


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value
