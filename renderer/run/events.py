"""What happened, as frozen values. The terminal, the JSON lines of ``--events`` and the report subscribe.

The executor emits; nobody answers. An event carries no credential, no query of a URL and no prompt: what a
subscriber may show or write needs no second look.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal[
    "run-started",
    "waiting",  # for its turn, or for what it refers to
    "uploading",
    "submitting",
    "refused",
    "accepted",
    "polled",
    "held",
    "failed",
    "rendered",
    "downloading",  # progress 0 to 100
    "saved",
    "restored",
    "renamed",
    "kept",
    "parked",  # still rendering when its deadline came
    "trouble",  # something went wrong that is tried again
    "provider-stopped",
    "warning",
    "run-ended",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened. ``t`` is RFC 3339 in UTC; ``id`` and ``manifest`` are "" where no job is meant.

    ``message`` is for people; ``error`` is the provider's code, or the class of what went wrong; ``progress`` is 0
    to 100, None where unknown; ``attempt`` counts from 1.
    """

    t: str
    event: Kind
    id: str = ""
    manifest: str = ""
    provider: str = ""
    attempt: int | None = None
    progress: float | None = None
    message: str = ""
    error: str = ""


Sink: TypeAlias = Callable[[Event], None]
