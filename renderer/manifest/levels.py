"""Job over profile over defaults: levels merged into one tree that still knows where each value was written.

Maps merge key by key, lists and scalars replace, null unsets. ``{file: ...}``, ``{upload: ...}`` and ``{ref: ...}``
are values, not maps, so they replace as scalars do. Knows neither templates nor providers.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from renderer.manifest.position import Locate, Mark, Path

SPECIAL = frozenset({"file", "upload", "ref"})

Level: TypeAlias = tuple[Any, Path]
"""A tree, and the path in the document at which it stands."""


def is_special(value: Any) -> bool:
    """Whether a map is one of ``{file: ...}``, ``{upload: ...}``, ``{ref: ...}``."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in SPECIAL


def merge(levels: Sequence[Level], locate: Locate) -> tuple[dict[str, Any], dict[Path, Mark]]:
    """Return the merged map of ``levels``, the highest first, and the position of every node that is left in it."""
    marks: dict[Path, Mark] = {}
    merged = _merge(levels, (), marks, locate)
    return merged if isinstance(merged, dict) else {}, marks


def without(tree: Any, path: Path) -> Any:
    """Return a tree without the value at ``path``, and without what is empty then; the tree itself stays as it is.

    A list is not shortened, because its other entries would move: it goes as a whole.
    """
    if not path or not isinstance(tree, Mapping):
        return None
    step, *rest = path
    left = {key: child for key, child in tree.items() if key != step}
    if rest and step in tree and (child := without(tree[step], tuple(rest))):
        return {key: child if key == step else left[key] for key in tree}
    return left


def _merge(levels: Sequence[Level], path: Path, marks: dict[Path, Mark], locate: Locate) -> Any:
    top, origin = levels[0]
    if top is None:
        return None
    marks[path] = locate(origin)
    if not _mergeable(top):
        _trace(top, origin, path, marks, locate)
        return top
    maps: list[Level] = []
    for level in levels:
        if not _mergeable(level[0]):
            break  # a scalar, a list or null hides what is below it
        maps.append(level)
    result = {}
    for key in dict.fromkeys(key for tree, _ in maps for key in tree):
        child = [(tree[key], (*origin, key)) for tree, origin in maps if key in tree]
        if (value := _merge(child, (*path, key), marks, locate)) is not None:
            result[key] = value
    return result


def _mergeable(value: Any) -> bool:
    return isinstance(value, Mapping) and not is_special(value)


def _trace(value: Any, origin: Path, path: Path, marks: dict[Path, Mark], locate: Locate) -> None:
    """Write down where the nodes inside a value stand."""
    if isinstance(value, Mapping):
        children: Any = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    else:
        return
    for key, child in children:
        marks[*path, key] = locate((*origin, key))
        _trace(child, (*origin, key), (*path, key), marks, locate)
