"""The plain parts of the pack language: what the schema of packs says all about, so that nothing is left to check.

A validated tree goes in, a value of ``pack`` comes out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from renderer.manifest.document import seconds
from renderer.provider.outcome import ErrorClass
from renderer.provider.pacing import Pacing
from renderer.provider.pack import Check, ErrorRule, Key, Query


def pacing(tree: Mapping[str, Any]) -> Pacing:
    """Return how the provider wants to be treated."""
    poll = tree.get("poll", {})
    told: dict[str, Any] = {"in_flight": tree["in_flight"]} if "in_flight" in tree else {}
    told |= {name: seconds(tree[name]) for name in ("apart", "call") if name in tree}
    told |= {name: seconds(poll[name]) for name in ("first", "timeout") if name in poll}
    if "every" in poll:
        least, most = sorted(seconds(bound) for bound in poll["every"])
        told["every"] = (least, most)
    return Pacing(**told)


def key(tree: Mapping[str, Any]) -> Key:
    """Return the credential."""
    header, _, prefix = tree["send"].partition(":")
    return Key(
        variable=tree["variable"],
        header=header,
        prefix=prefix.strip(),
        where=tree.get("where", ""),
        optional=tree.get("optional", False),
    )


def check(tree: Mapping[str, Any]) -> Check:
    """Return the free call that proves the credential."""
    return Check(path=tree["get"], query=query(tree), proven=frozenset(tree.get("proven", ())))


def rule(tree: Mapping[str, Any]) -> ErrorRule:
    """Return what an error means."""
    return ErrorRule(
        statuses=frozenset(_listed(tree.get("status", ()))),
        codes=frozenset(str(code) for code in _listed(tree.get("code", ()))),
        kind=ErrorClass(tree["class"]),
        remedy=tree.get("remedy", ""),
    )


def query(tree: Mapping[str, Any]) -> Query:
    """Return a free call's query."""
    return {name: str(value) for name, value in tree.get("query", {}).items()}


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else (value,)
