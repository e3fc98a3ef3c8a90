"""What is left of a declaration whose shape is wrong in places, so that everything else in it can be checked at once.

Only what is wrong is taken out: a field, or a whole asset or video where it can no longer be said which jobs it
makes. What was taken out is remembered, because whatever leads there, or is missing there, is no second mistake.
Knows the sections of a manifest, not what is in them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from renderer.manifest.levels import without
from renderer.manifest.position import Path

_SECTIONS = ("assets", "videos")
_KNOWN = frozenset({"version", "release", "vars", "defaults", "profiles", "providers", "budget", "moved", *_SECTIONS})
_DECISIVE = frozenset({"for_each", "id", "profile", "provider", "operation"})
"""Keys that decide which jobs there are, and what makes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaps:
    """What is missing because it is wrong, and reported.

    ``jobs`` are declarations by id whose jobs are not known; with ``any_job`` every id may be theirs. ``profiles`` and
    ``variables`` are names, None where all of them are unknown. ``levels`` are the places of jobs, profiles and
    defaults that lack a field which was given.
    """

    jobs: frozenset[str] = frozenset()
    any_job: bool = False
    profiles: frozenset[str] | None = frozenset()
    variables: frozenset[str] | None = frozenset()
    levels: frozenset[Path] = frozenset()

    def has_profile(self, name: str) -> bool:
        """Whether a profile of this name may have been declared."""
        return self.profiles is None or name in self.profiles


def mend(data: Mapping[str, Any], wrong: Iterable[Path]) -> tuple[Mapping[str, Any], Gaps]:
    """Return a manifest's data without what is at the ``wrong`` paths, and what is missing in it now."""
    whole = data
    jobs: set[str] = set()
    profiles: set[str] | None = set()
    variables: set[str] | None = set()
    levels: set[Path] = set()
    any_job = False
    for path in _cut(wrong):
        match path:
            case ("vars",):
                variables = None
            case ("vars", _):
                continue  # its name is wrong; what it holds is not
            case ("profiles",):
                profiles = None
            case ("defaults",) | ("defaults", ("provider" | "operation" | "profile")):
                jobs |= {name for section in _SECTIONS for name in _names(whole.get(section))}
                data = {**data, "assets": {}, "videos": {}}
            case ("profiles", str() as name) if profiles is not None:
                profiles.add(name)
            case (("assets" | "videos") as section, str() as name):
                jobs.add(name)
                any_job |= "id" in _names(whole[section][name])
            case (("assets" | "videos"),):
                any_job = True
            case ("defaults", *_):
                levels.add(("defaults",))
            case (("profiles" | "assets" | "videos"), str(), *_):
                levels.add(path[:2])
            case (str() as name,) if name not in _KNOWN:
                # Perhaps a section that is misspelt: whatever it holds was meant to be known.
                names = set(_names(data[name]))
                jobs |= names
                profiles = None if profiles is None else profiles | names
                variables = None if variables is None else variables | names
                levels.add(("defaults",))
            case _:
                pass
        data = _take(data, path)
    gaps = Gaps(
        jobs=frozenset(jobs),
        any_job=any_job,
        profiles=None if profiles is None else frozenset(profiles),
        variables=None if variables is None else frozenset(variables),
        levels=frozenset(levels),
    )
    return data, gaps


def _cut(wrong: Iterable[Path]) -> Iterator[Path]:
    """Yield what is to be taken out for each path: sometimes more than what is wrong itself."""
    for path in dict.fromkeys(wrong):
        match path:
            case (("budget" | "moved") as section, *_):
                yield (section,)
            case ("providers", name, *_):
                yield ("providers", name)
            case (("profiles" | "assets" | "videos") as section, name, key, *_) if key in _DECISIVE:
                yield (section, name)
            case ():
                continue
            case _:
                yield path


def _take(data: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """Return a manifest's data without what is at ``path``; a job or profile stays one without its last field."""
    match path:
        case (("profiles" | "assets" | "videos") as section, str() as name, _, *_):
            if name not in (inside := data.get(section, {})):
                return data
            return {**data, section: {**inside, name: without(inside[name], path[2:]) or {}}}
        case _:
            return without(data, path) or {}


def _names(tree: Any) -> Iterable[str]:
    return tree if isinstance(tree, Mapping) else ()
