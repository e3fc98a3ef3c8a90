"""The faults file: what shall go wrong, where, and how often.

A YAML file with a list of rules, or a mapping with ``rules`` and ``limits``::

    limits: {hifly_in_flight: 3, link_lifetime: 60}
    rules:
      - {fault: drop, provider: fliz, operation: video, nth: 1, when: after}
      - {fault: error, provider: hifly, code: 1001, method: POST, times: 2}
      - {fault: truncate, operation: file, per: task, nth: 1, length: none}

Each rule names a fault and may say which requests it is for. A request suffers the first rule that
is due; all that fit count it.

========== =====================================================================================
provider   fliz, hifly, gen_video, yzx, foxapi
operation  what the request does: a buying operation (``video``, ``video-by-text``, ``export``, ...),
           ``voice-tuning``, ``upload-url``, ``upload``, ``status``, ``list``, ``voices``, ``musics``,
           ``avatars``, ``credit``, ``models``, ``content``, or ``file`` (a result's link); what an
           API does not have is ``unknown``
path       a glob over ``/<provider>/...``, as in ``/hifly/**/create_by_*``
method     GET, POST, PUT, HEAD
nth        1, or [1, 3]: only these of the requests that fit
every      3: only each third of them
probability  0.2: by chance, decided by ``--seed``
times      2: at most so often
per        ``task`` counts for each task (path) by itself; else over all
========== =====================================================================================

``when: before`` (the default) means instead of the operation: nothing was accepted or bought.
``when: after`` means that it was, and only the answer suffers.

============ ================================ ===================================================
fault        its own keys                     what happens
============ ================================ ===================================================
drop         when                             the connection is closed without an answer
reset        when                             the connection is reset without an answer
delay        seconds, when                    the answer is late
drip         rate (bytes a second)            the answer trickles in
error        status, code, message,           the provider's own error; ``retry_after`` is sent as it
             retry_after, when                is, and ``retry_after: {date: 30}`` as a date in 30 s
reply        status, headers, json or body,   exactly this answer (empty without json and body)
             when
edit         status, headers, merge           the true answer, with this status, these headers, and
                                              ``merge`` joined into its JSON, key by key
redirect     to, status, when                 302 (or 303, 307, 308) to another URL
numeric-id   -                                the task's id is a JSON number over 2^53
fail         code, message                    the task that was bought will fail
freeze       at                               the task stands still at this share (0 to 1) of its way
forget       -                                the task is not known here
link         to, or expired: true             another result link, or one that is no longer good
swap         with: html, xml, json, empty,    another file under the media type of the true one
             png, plain
truncate     keep, length: right, wrong,      the file breaks off after ``keep`` (0 to 1) of it, with
             none; layout: faststart, plain   the true length, a length that fits, or none announced
huge         bytes                            the file goes on with zeros up to ``bytes``
bomb         bytes                            the answer is gzip that unpacks to ``bytes``
range        how: ignored, wrong, refused,    200 for a Range; a wrong Content-Range; 416; an ETag
             changed                          that is another one every time
============ ================================ ===================================================

=================== ============================================================================
limit               meaning (default)
=================== ============================================================================
link_lifetime       seconds until a result link expires (3600)
hifly_credits       what the account holds (1,000,000)
hifly_in_flight     works in progress at once, above which 1001 is answered (1000)
gen_video_patience  seconds until a GEN_VIDEO call answers without a link, at speed 1 (25)
=================== ============================================================================

What is unknown, missing or of another type is a `FaultsError` that names the file and the place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from . import faults
from .faults import Fault, FaultsFile, Limits, Link, Rule


class FaultsError(ValueError):
    """A faults file that cannot be used; the message names the file and the place in it."""


KINDS: Mapping[str, type[Fault]] = MappingProxyType({
    "drop": faults.Drop, "reset": faults.Reset, "delay": faults.Delay, "drip": faults.Drip,
    "error": faults.Error, "reply": faults.Reply, "edit": faults.Edit, "redirect": faults.Redirect,
    "numeric-id": faults.NumericId, "fail": faults.Fail, "freeze": faults.Freeze, "forget": faults.Forget,
    "link": faults.Link, "swap": faults.Swap, "truncate": faults.Truncate, "huge": faults.Huge,
    "bomb": faults.Bomb, "range": faults.Range,
})  # fmt: skip


def read_faults(path: Path) -> FaultsFile:
    """Read and check a faults file; raises `FaultsError`."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FaultsError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise FaultsError(f"{path}{place}: not YAML: {getattr(error, 'problem', error)}") from error
    reader = _Reader(path)
    if data is None:
        return FaultsFile()
    if isinstance(data, list):
        data = {"rules": data}
    body = reader.mapping(data, "the file", known=("rules", "limits"))
    rules = body.get("rules") or []
    if not isinstance(rules, list):
        raise reader.error("rules", "must be a list")
    return FaultsFile(
        rules=tuple(reader.rule(rule, f"rules[{index}]") for index, rule in enumerate(rules)),
        limits=reader.made(Limits, body.get("limits") or {}, "limits"),
    )


class _Reader:
    """Turns plain YAML data into rules, naming the file and the place of what is wrong."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def error(self, place: str, problem: str) -> FaultsError:
        return FaultsError(f"{self._path}: {place}: {problem}")

    def mapping(self, data: Any, place: str, *, known: Sequence[str]) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise self.error(place, f"must be a mapping, not {type(data).__name__}")
        for key in data:
            if key not in known:
                raise self.error(place, f"unknown key {key!r}; known here: {', '.join(known)}")
        return data

    def rule(self, data: Any, place: str) -> Rule:
        if not isinstance(data, dict) or not isinstance(data.get("fault"), str):
            raise self.error(place, f"needs `fault`, one of {', '.join(KINDS)}")
        kind = KINDS.get(data["fault"])
        if kind is None:
            raise self.error(place, f"unknown fault {data['fault']!r}; known: {', '.join(KINDS)}")
        matchers = tuple(spot.name for spot in fields(Rule))
        own = tuple(_written(spot.name) for spot in fields(kind))
        self.mapping(data, place, known=(*matchers, *own))
        fault = self.made(kind, {key: data[key] for key in own if key in data}, place)
        if isinstance(fault, Link) and (fault.to is None) != fault.expired:
            raise self.error(place, "link needs either `to` or `expired: true`")
        nth = data.get("nth")
        chosen = {key: value for key, value in data.items() if key in matchers and key != "fault"}
        if isinstance(nth, int) and not isinstance(nth, bool):
            chosen["nth"] = [nth]
        rule: Rule = self.made(Rule, chosen, place, fault=fault)
        return rule

    def made(self, kind: type[Any], data: Any, place: str, **given: Any) -> Any:
        """Make a dataclass of ``data``, whose values must be what `_TAKES` says for their name."""
        spots = {_written(spot.name): spot for spot in fields(kind) if spot.name not in given}
        body = self.mapping(data, place, known=tuple(spots))
        values: dict[str, Any] = {}
        for key, value in body.items():
            check, expected = _TAKES[key]
            if not check(value):
                raise self.error(f"{place}.{key}", f"must be {expected}, not {value!r}")
            values[spots[key].name] = tuple(value) if key == "nth" else value
        for key, spot in spots.items():
            if key not in body and spot.default is MISSING and spot.default_factory is MISSING:
                raise self.error(place, f"needs `{key}`")
        return kind(**values, **given)


def _written(name: str) -> str:
    return name.rstrip("_")


def _number(low: float, high: float) -> tuple[Callable[[Any], bool], str]:
    return (
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high,
        f"a number from {low:g} to {high:g}",
    )


def _whole(low: int, high: int) -> tuple[Callable[[Any], bool], str]:
    return (
        lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high,
        f"a whole number from {low} to {high}",
    )


def _one_of(*words: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value in words, "one of " + ", ".join(words)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_plain_mapping(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _is_headers(value: Any) -> bool:
    return _is_plain_mapping(value) and all(isinstance(text, str) for text in value.values())


def _is_retry_after(value: Any) -> bool:
    if isinstance(value, dict):
        return set(value) == {"date"} and isinstance(value["date"], int | float)
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _is_nth(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, int) and item > 0 for item in value)


_BIG = 2**63
_TAKES: Mapping[str, tuple[Callable[[Any], bool], str]] = MappingProxyType({
    "provider": _one_of("fliz", "hifly", "gen_video", "yzx", "foxapi"),
    "operation": (_is_text, "an operation's name"),
    "path": (_is_text, "a glob"),
    "method": _one_of("GET", "POST", "PUT", "HEAD"),
    "nth": (_is_nth, "a number from 1, or a list of them"),
    "every": _whole(1, _BIG),
    "probability": _number(0, 1),
    "times": _whole(1, _BIG),
    "per": _one_of("task"),
    "when": _one_of("before", "after"),
    "seconds": _number(0, 86_400),
    "rate": _number(0.01, 1e9),
    "status": _whole(200, 599),
    "code": (lambda value: isinstance(value, int | str) and not isinstance(value, bool), "a code"),
    "message": (_is_text, "text"),
    "retry_after": (_is_retry_after, "seconds, text, or {date: seconds from now}"),
    "headers": (_is_headers, "a mapping of texts"),
    "json": (lambda _: True, "any value"),
    "body": (_is_text, "text"),
    "merge": (_is_plain_mapping, "a mapping"),
    "to": (_is_text, "a URL"),
    "at": _number(0, 1),
    "expired": (lambda value: value is True, "true"),
    "with": _one_of("html", "xml", "json", "empty", "png", "plain"),
    "keep": _number(0, 1),
    "length": _one_of("right", "wrong", "none"),
    "layout": _one_of("faststart", "plain"),
    "bytes": _whole(1, _BIG),
    "how": _one_of("ignored", "wrong", "refused", "changed"),
    "link_lifetime": _number(0.1, 1e9),
    "hifly_credits": _whole(0, _BIG),
    "hifly_in_flight": _whole(0, _BIG),
    "gen_video_patience": _number(0, 1e6),
})  # fmt: skip
