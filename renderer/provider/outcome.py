"""What a provider's answer can mean, as values.

``provider/answer`` reads answers into these; ``run/executor`` turns them into facts. An outcome says what was
learned, never what to do about it. Codes, messages and request ids are the provider's own words, as strings,
shortened and without credentials or signed queries.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


class ErrorClass(StrEnum):
    """The classes of a refusal (DESIGN 4); every documented error of a pack has one."""

    UNSENT = "unsent"
    BUSY = "busy"
    AUTH = "auth"
    CREDITS = "credits"
    INPUT = "input"
    MISSING = "missing"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a provider said is wrong: its own code and message, and the pack's one-line remedy (or "")."""

    kind: ErrorClass
    code: str
    message: str
    remedy: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was bought. ``retry_after`` is in seconds where the answer named a time, already bounded."""

    fault: Fault
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """Bought: the provider's id for it."""

    task: str


@dataclass(frozen=True, slots=True)
class Made:
    """Made at once: the answer to the submit already carries (or confirms) what the operation produces."""

    produced: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rendered:
    """Finished. ``link`` is where the file is, byte for byte as the provider wrote it, or None where the operation
    makes a value, or where only the pack's fallback path has the content. ``produced`` holds every produced field
    that is known (``avatar``, ``voice``, ``demo_url``, ``url``, never ``file``)."""

    state: str
    produced: Mapping[str, str] = field(default_factory=dict)
    link: str | None = None
    duration: float | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """Not finished. ``state`` is the provider's own word; ``listed`` is False where the pack does not know it.
    ``progress`` is 0 to 100 where the provider says so. ``retry_after``: it asked to be left alone so long."""

    state: str
    progress: float | None = None
    listed: bool = True
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider's verdict: this task will never become a file."""

    fault: Fault
    state: str = ""


@dataclass(frozen=True, slots=True)
class NeedsPerson:
    """The provider waits for a person (Fliz ``user_action``, ``block``); ``remedy`` says what to do."""

    state: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The provider says that it does not know this task (any more)."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class Denied:
    """The credential was not accepted for a free call; says nothing about the task."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class Unclear:
    """The answer says nothing: a 5xx, a redirect, a page, an unreadable body. After a submit this is a doubt;
    after a free call it is asked again. ``why`` is one sentence for people."""

    why: str
    retry_after: float | None = None


SubmitOutcome: TypeAlias = Refused | Accepted | Made | Rendered | Running | Failed | Unclear
"""``Rendered`` and ``Running`` (call again) and ``Failed`` only from operations that the pack marks ``keyed``."""

StatusOutcome: TypeAlias = Rendered | Running | Failed | NeedsPerson | Gone | Denied | Unclear


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One entry of a provider's own list that may be a doubtful purchase: its task, its marks (field -> value as
    the list shows it) and when it was made (seconds since the epoch, or None where the list does not say)."""

    task: str
    marks: Mapping[str, str]
    at: float | None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Where to PUT a local file, with which Content-Type, and the id by which the provider then knows it."""

    url: str
    content_type: str
    file_id: str
