"""A provider pack as a value: operations, states, error classes, pacing.

Everything that is known of a provider is in these frozen values; ``provider/packfile`` reads them from
``templates/<provider>/``, and ``schemas/pack.schema.json`` says what each word of the language means. Times are in
seconds. Nothing here knows how a request is built or an answer is read.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeAlias

from renderer.errors import UsageError
from renderer.manifest.document import Settings
from renderer.manifest.offer import Makes, Offer, Operations, ProviderOffer
from renderer.manifest.template import Template
from renderer.provider.expression import Expression
from renderer.provider.outcome import ErrorClass
from renderer.provider.pacing import Pacing

Expressions: TypeAlias = Mapping[str, Expression]
Query: TypeAlias = Mapping[str, str]
"""Names and values of a free call's query; ``{task}`` and the like stand for values."""


class Phase(StrEnum):
    """What a provider's state word means."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    PERSON = "person"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """The credential: its environment variable, and the header that carries it after ``prefix``."""

    variable: str
    header: str
    prefix: str
    where: str
    optional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A free call that proves the credential; ``proven`` are statuses beside 2xx that do so too."""

    path: str
    query: Query
    proven: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPlaces:
    """Where an answer says what is wrong; ``ok`` are the codes of success where errors stand inside HTTP 200."""

    ok: frozenset[str] = frozenset()
    code: Expression | None = None
    message: Expression | None = None
    request_id: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRule:
    """What an error with one of these statuses and one of these codes means; an empty set is "any"."""

    statuses: frozenset[int]
    codes: frozenset[str]
    kind: ErrorClass
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """The buying call. ``task`` None: the answer itself is the end, or (keyed) tells state and link."""

    path: str
    query: Template | None
    json: Template | None
    task: Expression | None
    echo: Expressions
    produced: Expressions
    state: Expression | None
    progress: Expression | None
    link: Expression | None
    duration: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateWord:
    """A provider's word (case-folded, ``*`` stands for any text), what it means, and what a person must do."""

    word: str
    phase: Phase
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The free call that asks for a task; ``grace`` is how long after the submit an unknown task is no news."""

    path: str
    query: Query
    within: str | None
    state: Expression
    states: tuple[StateWord, ...]
    link: Expression | None
    produced: Expressions
    progress: Expression | None
    duration: Expression | None
    error: ErrorPlaces
    grace: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupMark:
    """Something by which a purchase is recognised: where it stands in the request, and where in the list."""

    sent: Expression
    listed: Expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """The list in which a doubtful purchase can be found: made at most ``window`` after its send."""

    path: str
    query: Query
    size: int
    pages: int
    items: Expression
    task: Expression
    title: Expression | None
    at: Expression
    window: float
    marks: Mapping[str, LookupMark]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing a provider can do. ``fields`` are the vocabulary's fields that its schema allows.

    ``tasks`` are fields that name a task which the status call must know; ``reaches`` are fields whose URL must be
    reachable, with how the address behind it is found (its first group).
    """

    name: str
    provider: str
    makes: Makes
    extension: str
    produces: tuple[str, ...]
    paid: bool
    keyed: str | None
    repeat: bool
    edits: str | None
    volatile: tuple[tuple[str, ...], ...]
    fields: frozenset[str]
    submit: Submit | None
    status: Status | None
    otherwise: str | None
    lookup: Lookup | None
    tasks: tuple[str, ...] = ()
    reaches: Mapping[str, re.Pattern[str]] = field(default_factory=dict)

    @property
    def callable_again(self) -> bool:
        """Whether an unanswered call may simply be made again: it is its own poll, or edits in place and is free."""
        return self.keyed is not None or self.repeat


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadCall:
    """How a local file gets to the provider; ``lifetime`` is how long it is kept there."""

    path: str
    json: Template | None
    url: Expression
    content_type: Expression | None
    file_id: Expression
    lifetime: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A free call that lists what the provider has; ``choices``: option -> word -> what is sent.

    ``proves``: the path of a job's field -> the column that has every id which may stand there.
    """

    name: str
    path: str
    query: Query
    size: int
    choices: Mapping[str, Mapping[str, str]]
    items: Expression
    columns: Expressions
    proves: Mapping[tuple[str, ...], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """What a callback says. ``field`` is the job's field for its address; else ``where`` says how to set it."""

    field: str
    where: str
    task: Expression
    state: Expression | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """All that is known of a provider. ``embedded`` engines have no requests; ``unavailable`` says why not yet."""

    provider: str
    revision: int
    embedded: bool
    unavailable: str
    base_url: str | None
    key: Key | None
    check: Check | None
    pacing: Pacing
    error: ErrorPlaces
    errors: tuple[ErrorRule, ...]
    operations: Mapping[str, Operation]
    default: str
    upload: UploadCall | None
    lists: Mapping[str, Listing]
    webhook: Webhook | None
    schema: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def base_url_variable(self) -> str:
        """The environment variable that replaces the base URL."""
        return f"{self.provider.upper().replace('-', '_')}_BASE_URL"


class Packs(Mapping[str, Pack]):
    """The packs of one run by provider."""

    def __init__(self, packs: Mapping[str, Pack]) -> None:
        self._packs = dict(sorted(packs.items()))

    def __getitem__(self, provider: str) -> Pack:
        return self._packs[provider]

    def __iter__(self) -> Iterator[str]:
        return iter(self._packs)

    def __len__(self) -> int:
        return len(self._packs)

    def named(self, provider: str) -> Pack:
        """Return the pack of a provider that a person named, or raise :class:`UsageError`."""
        if provider not in self._packs:
            raise UsageError(f"there is no provider {provider!r}", hint=f"providers are {', '.join(self._packs)}")
        return self._packs[provider]

    def operation(self, provider: str, operation: str) -> Operation:
        """Return an operation that a checked job names."""
        return self._packs[provider].operations[operation]

    def offers(self) -> Operations:
        """Return what expansion must know of each provider, its default operation first."""
        return {name: _offer(pack) for name, pack in self._packs.items()}


def _offer(pack: Pack) -> ProviderOffer:
    names = sorted(pack.operations, key=lambda name: name != pack.default)
    return ProviderOffer(
        operations={
            name: Offer(fields=known.fields, produces=known.produces, makes=known.makes, extension=known.extension)
            for name, known in ((name, pack.operations[name]) for name in names)
        },
        uploads=pack.upload is not None or pack.embedded,
    )


def paced(pack: Pack, settings: Settings | None) -> Pacing:
    """Return a pack's pacing with what a manifest says of the provider instead, upward or downward."""
    if settings is None:
        return pack.pacing
    names = ("in_flight", "apart", "call", "first", "every", "timeout")
    return replace(pack.pacing, **{name: told for name in names if (told := getattr(settings, name)) is not None})
