"""A manifest file -> a declaration: what a person wrote, as far as it has the right shape, and what is wrong with it.

Checks what can be seen in the file alone: the schema, the release's name, and that nobody wrote a credential into
something that is committed. What is wrong is taken out (``gaps``), so that the rest can be looked at too. Templates
are still strings here, files are still paths; ``expand`` makes jobs of them.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from pathlib import PurePosixPath
from typing import Any

from renderer.errors import InvalidError, Problem
from renderer.manifest.gaps import Gaps, mend
from renderer.manifest.position import Path
from renderer.manifest.schema import Schema, examine, load_schema
from renderer.manifest.yamlfile import Document, read_yaml
from renderer.project import Project

_SECRET_KEY = re.compile(
    r"(?i)(?:.*[_-])?(?:api[_-]?keys?|access[_-]?keys?|tokens?|secrets?|passwords?|passwd|authorization|credentials?)"
)
_SECRET_VALUE = re.compile(
    r"(?i:\bbearer\s+[\w.~+/=-]{20,})"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"  # a JSON Web Token
    r"|\bsk-[\w-]{16,}"
    r"|\bhttps?://[^\s/:@]+:[^\s/@]+@"
)
_UNITS: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a manifest says of one provider; None where it says nothing. Times are in seconds.

    ``price`` is what one submit costs, by operation, with ``""`` for all others: as it was written, a number or a
    number with a unit (``30 credits``).
    """

    in_flight: int | None = None
    apart: float | None = None
    call: float | None = None
    first: float | None = None
    every: tuple[float, float] | None = None
    timeout: float | None = None
    price: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A declaration. ``document`` is the whole file with its positions; ``file`` is relative to the root.

    ``assets`` and ``videos`` are by id, as written; ``moved`` leads from old ids to new ones; ``submits`` is the
    budget of paid submits and ``cost`` that of their prices, or None. ``problems`` are those of the file's shape,
    ``gaps`` what is missing because of them.
    """

    file: str
    release: str
    document: Document = field(repr=False)
    vars: Mapping[str, Any]
    defaults: Mapping[str, Any]
    profiles: Mapping[str, Mapping[str, Any]]
    providers: Mapping[str, Settings]
    assets: Mapping[str, Mapping[str, Any]]
    videos: Mapping[str, Mapping[str, Any]]
    moved: tuple[tuple[str, str], ...]
    submits: int | None
    cost: str | float | None
    problems: tuple[Problem, ...] = ()
    gaps: Gaps = field(default_factory=Gaps)


def manifest_schema() -> Schema:
    """Return the manifest's schema, to be loaded once for a batch."""
    return load_schema("manifest")


def read_manifest(path: FilePath, project: Project, *, schema: Schema) -> Manifest:
    """Return the declaration in a file. Raises :class:`InvalidError` where it cannot be read as a manifest at all."""
    return parse_manifest(open_manifest(path, project), schema=schema)


def open_manifest(path: FilePath, project: Project) -> Document:
    """Return a manifest's file as plain data. Raises :class:`InvalidError` where it is not YAML, or unreadable."""
    file = project.relative(path.resolve())
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = Problem(file, 1, 1, "$", "unreadable", f"the file cannot be read: {error.strerror}")
        raise InvalidError([problem]) from None
    return read_yaml(data, file=file)


def is_manifest(document: Document) -> bool:
    """Whether a YAML file says that it is a manifest: by its ``version`` key."""
    return isinstance(document.data, Mapping) and "version" in document.data


def parse_manifest(document: Document, *, schema: Schema) -> Manifest:
    """Return the declaration in a document, with every problem of its shape.

    Raises :class:`InvalidError` where it says nothing that could be looked at: it is no map, or of another version.
    """
    found = examine(document.data, schema, file=document.file, locate=document.locate)
    problems = [*(problem for _, problem in found), *_credentials(document)]
    if not isinstance(document.data, Mapping) or any(path == ("version",) for path, _ in found):
        raise InvalidError(sorted(problem for problem in problems if problem.path in ("$", "$.version")))
    release = document.data.get("release", PurePosixPath(document.file).stem)
    if not any(path == ("release",) for path, _ in found):
        problems += _release(document, release, given="release" in document.data)
    if any(problem.code == "release" or problem.path == "$.release" for problem in problems):
        release = re.sub(r"\W", "_", document.file)[-100:]  # stands for one, so that the rest can be checked
    data, gaps = mend(document.data, [path for path, _ in found])

    def section(name: str) -> Mapping[str, Any]:
        return data.get(name) or {}  # a section whose entries are all commented out is null

    return Manifest(
        file=document.file,
        release=release,
        document=document,
        vars=section("vars"),
        defaults=section("defaults"),
        profiles=section("profiles"),
        providers={name: _settings(given) for name, given in section("providers").items()},
        assets=section("assets"),
        videos=section("videos"),
        moved=tuple((entry["from"], entry["to"]) for entry in data.get("moved") or ()),
        submits=section("budget").get("submits"),
        cost=section("budget").get("cost"),
        problems=tuple(sorted(problems)),
        gaps=gaps,
    )


def seconds(given: float | str) -> float:
    """Return a duration (``9s``, ``5m``, ``0.1s``, ``100ms``, ``1h`` or a number of seconds) in seconds."""
    if not isinstance(given, str):
        return float(given)
    digits = given.rstrip("hms")
    return float(digits) * _UNITS[given[len(digits) :]]


def _settings(given: Mapping[str, Any]) -> Settings:
    poll = given.get("poll", {})
    every = poll.get("every")
    price = given.get("price", {})
    return Settings(
        in_flight=given.get("in_flight"),
        apart=_optional(given.get("apart")),
        call=_optional(given.get("call")),
        first=_optional(poll.get("first")),
        every=None if every is None else _range(every),
        timeout=_optional(poll.get("timeout")),
        price=price if isinstance(price, Mapping) else {"": price},
    )


def _optional(given: float | str | None) -> float | None:
    return None if given is None else seconds(given)


def _range(given: float | str | list[float | str]) -> tuple[float, float]:
    both = given if isinstance(given, list) else [given, given]
    return seconds(both[0]), seconds(both[1])


def _release(document: Document, release: str, *, given: bool) -> Iterator[Problem]:
    """Yield what the schema cannot see: a name that comes from the file's, a line end after it, its Unicode form."""
    path: Path = ("release",) if given else ()
    if not re.fullmatch(r"\w[\w.-]{0,99}", release):
        what = f"`release` cannot be {release!r}" if given else f"the file's name {release!r} cannot be the release's"
        yield document.problem(path, "release", what, hint="give a `release:` of letters, digits, `_`, `.` and `-`")
    elif release != unicodedata.normalize("NFC", release):
        yield document.problem(path, "release", f"the release {release!r} is not in Unicode form NFC")


def _credentials(document: Document) -> Iterator[Problem]:
    """Yield a problem for each value that looks like a credential. The value itself is never shown."""
    todo: list[tuple[Path, Any]] = [((), document.data)]
    while todo:
        path, value = todo.pop()
        match value:
            case Mapping():
                todo.extend(((*path, key), child) for key, child in value.items())
            case list():
                todo.extend(((*path, index), child) for index, child in enumerate(value))
            case str() if value and (_named(path) or _SECRET_VALUE.search(value)):
                message = "this looks like a credential, and a manifest is committed"
                hint = "remove it here, revoke it if it was real, and give it in the environment"
                yield document.problem(path, "credential", message, hint=hint)


def _named(path: Path) -> bool:
    return bool(path) and isinstance(path[-1], str) and _SECRET_KEY.fullmatch(path[-1]) is not None
