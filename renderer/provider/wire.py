"""What goes to a provider and what comes back, as values.

A :class:`Request` is one call without its origin and without credentials (those are added at the last moment, in
``run/transport``); a :class:`Reply` is one complete answer. Neither knows what it means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from renderer.canonical import Json


@dataclass(frozen=True, slots=True)
class Request:
    """One API call: ``path`` starts with ``/`` and is already percent-encoded; ``json`` None sends no body."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    json: Json = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One complete answer. Header names are lower-case; ``body`` is capped by the transport."""

    status: int
    headers: Mapping[str, str]
    body: bytes
