"""What can go wrong, as values, and the rules that decide which request suffers what.

Each fault is a small value whose fields are its settings; `faultsfile` has the table of what they
all do and reads them. `Faults` counts requests and hands faults out. How a fault is then done is
`mischief`'s business.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

When = Literal["before", "after"]
NOTHING: Final = object()
"""No JSON at all, which is not JSON's null."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection is closed without an answer."""

    when: When = "before"


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset without an answer."""

    when: When = "before"


@dataclass(frozen=True, slots=True)
class Delay:
    """The answer is late by so many seconds."""

    seconds: float
    when: When = "before"


@dataclass(frozen=True, slots=True)
class Drip:
    """The answer trickles in at so many bytes a second."""

    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Error:
    """The provider's own error; ``retry_after`` is a header's text, or seconds until its date."""

    status: int | None = None
    code: int | str | None = None
    message: str | None = None
    retry_after: int | float | str | Mapping[str, float] | None = None
    when: When = "before"


@dataclass(frozen=True, slots=True)
class Reply:
    """Exactly this answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = NOTHING
    body: str = ""
    when: When = "before"


@dataclass(frozen=True, slots=True)
class Edit:
    """The true answer, altered."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    merge: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Another URL."""

    to: str
    status: int = 302
    when: When = "before"


@dataclass(frozen=True, slots=True)
class NumericId:
    """The task's id as a JSON number that no double can hold."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The task that this request bought will fail."""

    code: int | str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Freeze:
    """The task stands still."""

    at: float = 0.5


@dataclass(frozen=True, slots=True)
class Forget:
    """The task is not known here."""


@dataclass(frozen=True, slots=True)
class Link:
    """Another result link, or one that is no longer good."""

    to: str | None = None
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Swap:
    """Another file under the true one's media type."""

    with_: Literal["html", "xml", "json", "empty", "png", "plain"]


@dataclass(frozen=True, slots=True)
class Truncate:
    """The file breaks off."""

    keep: float = 0.5
    length: Literal["right", "wrong", "none"] = "right"
    layout: Literal["faststart", "plain"] = "faststart"


@dataclass(frozen=True, slots=True)
class Huge:
    """The file goes on with zeros."""

    bytes: int = 10 * 1024**3


@dataclass(frozen=True, slots=True)
class Bomb:
    """The answer unpacks to this much."""

    bytes: int = 10 * 1024**3


@dataclass(frozen=True, slots=True)
class Range:
    """Ranges are answered badly."""

    how: Literal["ignored", "wrong", "refused", "changed"] = "ignored"


Fault = (
    Drop | Reset | Delay | Drip | Error | Reply | Edit | Redirect | NumericId | Fail | Freeze | Forget | Link
    | Swap | Truncate | Huge | Bomb | Range
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: a fault and the requests that it is for."""

    fault: Fault
    provider: str | None = None
    operation: str | None = None
    path: str | None = None
    method: str | None = None
    nth: tuple[int, ...] = ()
    every: int | None = None
    probability: float | None = None
    times: int | None = None
    per: Literal["task"] | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the services of this sandbox grant; see the module's table."""

    link_lifetime: float = 3600.0
    hifly_credits: int = 1_000_000
    hifly_in_flight: int = 1000
    gen_video_patience: float = 25.0


@dataclass(frozen=True, slots=True)
class FaultsFile:
    """A faults file as a value."""

    rules: tuple[Rule, ...] = ()
    limits: Limits = field(default_factory=Limits)


class Faults:
    """The rules at work: counts requests and says which fault one suffers."""

    def __init__(self, rules: Sequence[Rule], *, seed: int) -> None:
        self._rules = tuple((rule, re.compile(_glob(rule.path)) if rule.path else None) for rule in rules)
        self._seed = seed
        self._seen: Counter[tuple[int, str]] = Counter()
        self._struck: Counter[tuple[int, str]] = Counter()

    def strike(self, *, provider: str, operation: str, method: str, path: str, task: str) -> Fault | None:
        """Count a request and return its fault; ``path`` begins with the provider, ``task`` tells tasks apart."""
        due: Fault | None = None
        for index, (rule, glob) in enumerate(self._rules):
            wanted = (
                (rule.provider, provider),
                (rule.operation, operation),
                (rule.method, method),
            )
            if any(want is not None and want != is_ for want, is_ in wanted) or (glob and not glob.fullmatch(path)):
                continue
            key = (index, task if rule.per else "")
            self._seen[key] += 1
            if due is None and self._is_due(rule, key):
                self._struck[key] += 1
                due = rule.fault
        return due

    def _is_due(self, rule: Rule, key: tuple[int, str]) -> bool:
        count = self._seen[key]
        if rule.times is not None and self._struck[key] >= rule.times:
            return False
        if rule.nth and count not in rule.nth:
            return False
        if rule.every is not None and count % rule.every:
            return False
        if rule.probability is None:
            return True
        text = f"{self._seed}:{key[0]}:{key[1]}:{count}"
        return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) / 2**32 < rule.probability


def _glob(pattern: str) -> str:
    """Translate a path's glob; a single star stays within one segment."""
    parts = re.split(r"(\*\*|\*)", pattern)
    stars = {"**": ".*", "*": "[^/]*"}
    return "".join(stars.get(part) or re.escape(part) for part in parts)
