"""A pack as text for people and as JSON: what a provider can do, what it takes, and what its errors mean.

Pure: values in, text out. A credential's value is never looked at, only whether there is one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from renderer.cli.environment import base_url
from renderer.cli.text import columns
from renderer.provider.pacing import Pacing
from renderer.provider.pack import Operation, Pack
from renderer.run.address import shown


def pack_json(pack: Pack, environment: Mapping[str, str], *, whole: bool = False) -> dict[str, Any]:
    """Return a pack's document without its version; ``whole``: with fields, pacing and errors."""
    key = pack.key
    told: dict[str, Any] = {
        "provider": pack.provider,
        "revision": pack.revision,
        "available": not pack.unavailable,
        "base_url": where(pack, environment),
        "base_url_variable": None if pack.embedded else pack.base_url_variable,
        "key": None
        if key is None
        else {
            "variable": key.variable,
            "set": bool(environment.get(key.variable, "").strip()),
            "optional": key.optional,
            "where": key.where,
        },
        "default": pack.default,
        "operations": [_operation_json(pack, operation, whole=whole) for operation in pack.operations.values()],
    }
    if not whole:
        return told
    pacing = pack.pacing
    return {
        **told,
        "pacing": {
            "in_flight": pacing.in_flight,
            "apart": pacing.apart,
            "call": pacing.call,
            "poll": {"first": pacing.first, "every": list(pacing.every), "timeout": pacing.timeout},
        },
        "uploads": pack.upload is not None,
        "lists": {
            name: {"columns": list(listing.columns), "choices": {n: list(w) for n, w in listing.choices.items()}}
            for name, listing in pack.lists.items()
        },
        "errors": [
            {
                "status": sorted(rule.statuses),
                "code": sorted(rule.codes),
                "class": rule.kind.value,
                "remedy": rule.remedy,
            }
            for rule in pack.errors
        ],
    }


def pack_text(pack: Pack, environment: Mapping[str, str]) -> str:
    """Return all that is worth knowing of a provider."""
    return "\n".join(_lines(pack, environment))


def where(pack: Pack, environment: Mapping[str, str]) -> str | None:
    """Return a provider's base URL as it may be shown, None where there is none."""
    url = base_url(pack, environment)
    return None if url is None else shown(url)


def _operation_json(pack: Pack, operation: Operation, *, whole: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": operation.name,
        "makes": operation.makes,
        "produces": list(operation.produces),
        "paid": operation.paid,
    }
    return {**told, "schema": _definition(pack, operation.name)} if whole else told


def _lines(pack: Pack, environment: Mapping[str, str]) -> Iterator[str]:
    yield f"{pack.provider} (pack revision {pack.revision})"
    if pack.unavailable:
        yield f"  {pack.unavailable}"
    if not pack.embedded:
        yield f"  base URL  {where(pack, environment) or 'none: it must be set'} ({pack.base_url_variable})"
    if (key := pack.key) is not None:
        is_set = "set" if environment.get(key.variable, "").strip() else "not set"
        yield f"  key       {key.variable}: {is_set}{', optional' if key.optional else ''}; get one: {key.where}"
    yield from (f"  pacing    {line}" for line in _pacing(pack.pacing, embedded=pack.embedded))
    if pack.upload is not None:
        yield "  files     local ones are uploaded: {upload: path}"
    for name, listing in pack.lists.items():
        words = "".join(f" --{choice} {'|'.join(options)}" for choice, options in listing.choices.items())
        yield f"  list      --{name}{words}"
    for operation in pack.operations.values():
        yield ""
        yield _headline(pack, operation)
        rows = list(_fields(_definition(pack, operation.name)))
        if rows:
            yield _indented(columns((), rows))
    if pack.errors:
        yield ""
        yield "What its errors mean"
        yield _indented(
            columns((), [(*_cause(rule.statuses, rule.codes), rule.kind, rule.remedy) for rule in pack.errors])
        )


def _headline(pack: Pack, operation: Operation) -> str:
    traits = [
        "the default" if operation.name == pack.default else "",
        "may cost" if operation.paid else "free",
        "its call is also its poll" if operation.keyed else "",
        "sent again before each use" if operation.repeat else "",
    ]
    makes = {"value": "a value", "audio": "an audio file"}.get(operation.makes, f"a {operation.makes} file")
    gives = ", ".join(operation.produces)
    return f"{operation.name}: makes {makes} ({gives}); {', '.join(filter(None, traits))}"


def _pacing(pacing: Pacing, *, embedded: bool) -> Iterator[str]:
    yield f"{pacing.in_flight} at a time"
    if not embedded:
        apart = f"submits {pacing.apart:g} s apart; " if pacing.apart else ""
        every = " to ".join(f"{value:g}" for value in dict.fromkeys(pacing.every))
        yield f"{apart}polled after {pacing.first:g} s, then every {every} s, for {pacing.timeout / 60:g} min"


def _definition(pack: Pack, operation: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = pack.schema.get("$defs", {}).get(operation, {})
    return found


def _fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each field with what may stand there; ``*`` is required, ``options.x`` the provider's own."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        star = "*" if name in required else ""
        if name == "options" and isinstance(field, Mapping) and "properties" in field:
            yield from _fields(field, f"{name}.")
        else:
            yield f"{prefix}{name}{star}", _words(field)


def _words(field: Any) -> str:
    if not isinstance(field, Mapping):
        return ""
    listed = ", ".join(str(word) for word in field.get("enum", ()))
    inner = ", ".join(field.get("properties", ()))
    told = str(field.get("description", f"{{{inner}}}" if inner else ""))
    # Many descriptions name the words themselves.
    known = not listed or all(str(word) in told for word in field.get("enum", ()))
    return told if known else f"{told} One of {listed}.".strip()


def _cause(statuses: Sequence[int] | frozenset[int], codes: frozenset[str]) -> tuple[str]:
    said = [*(f"HTTP {status}" for status in sorted(statuses)), *sorted(codes)]
    return (", ".join(said),)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.split("\n"))
