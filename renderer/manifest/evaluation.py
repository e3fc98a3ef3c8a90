"""How a compiled expression runs: closures over a scope, one for each thing that an expression can do.

Each function takes what its parts give and returns a :data:`Run`, so that a whole expression is a chain of them. Every
step is metered, and what has no meaning here is refused with a sentence. This module knows values and names, not
template syntax: which closure a piece of syntax becomes is decided by ``expression``.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from renderer.manifest import dialect
from renderer.manifest.dialect import OMIT, Meter, Refusal, Undefined


class Scope:
    """One rendering: names, what may still be used, and whether more was asked for. Lives for one rendering."""

    __slots__ = ("exhausted", "meter", "names")

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names
        self.meter = Meter()
        self.exhausted = False


Run: TypeAlias = Callable[[Scope], Any]
Write: TypeAlias = Callable[[Scope, list[str]], None]

_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: left == right, "ne": lambda left, right: left != right,
    "lt": lambda left, right: left < right, "lteq": lambda left, right: left <= right,
    "gt": lambda left, right: left > right, "gteq": lambda left, right: left >= right,
    "in": lambda left, right: left in right, "notin": lambda left, right: left not in right,
}  # fmt: skip


def written(block: Write) -> Run:
    """Return the text that a block writes; what it sets ends with it."""

    def render(scope: Scope) -> str:
        names, out = scope.names, list[str]()
        block(scope, out)
        scope.names = names
        return "".join(out)

    return render


def member(owner: Run, key: Run) -> Run:
    """Return ``owner[key]``."""
    return lambda scope: dialect.lookup(owner(scope), key(scope))


def strict(run: Run) -> Run:
    """Return ``run`` for inside an index: what is undefined is an error even where the whole may be."""

    def strictly(scope: Scope) -> Any:
        try:
            return run(scope)
        except Undefined as error:
            raise Refusal(str(error)) from None

    return strictly


def lenient(run: Run) -> Run:
    """Return ``run`` with what is undefined given as :data:`OMIT`."""

    def leniently(scope: Scope) -> Any:
        try:
            return run(scope)
        except Undefined:
            return OMIT

    return leniently


def default(value: Run, arguments: list[Run], named: Mapping[str, Run]) -> Run:
    """Return the filter ``default``. Raises :class:`Refusal` for other arguments than a value and a boolean."""
    given = [*arguments, *named.values()]
    if not 1 <= len(given) <= 2 or named.keys() - {"default_value", "boolean"}:  # noqa: PLR2004 (value and boolean)
        raise Refusal("the filter default takes one value, and true to replace empty values too")

    def choose(scope: Scope) -> Any:
        current = value(scope)
        if current is OMIT or (len(given) > 1 and given[1](scope) and not truth(current)):
            return given[0](scope)
        return current

    return choose


def applied(word: dialect.Word, name: str, value: Run, arguments: list[Run], named: Mapping[str, Run]) -> Run:
    """Return a filter or test called with a value and its arguments."""

    def call(scope: Scope) -> Any:
        given = [value(scope), *(argument(scope) for argument in arguments)]
        extra = {key: argument(scope) for key, argument in named.items()}
        return dialect.apply(word, name, scope.meter, given, extra)

    return call


def binary(sign: str, word: dialect.Word, left: Run, right: Run) -> Run:
    """Return an operator between two values."""
    return lambda scope: dialect.apply(word, sign, scope.meter, [left(scope), right(scope)], {})


def concat(parts: list[Run]) -> Run:
    """Return parts joined as text."""

    def join(scope: Scope) -> str:
        shown = [dialect.text(part(scope)) for part in parts]
        scope.meter.text(sum(map(len, shown)))
        return "".join(shown)

    return join


def compare(first: Run, operands: list[tuple[str, Run]]) -> Run:
    """Return a chain of comparisons: ``a < b < c``."""

    def holds(scope: Scope) -> bool:
        left = first(scope)
        for operator, run in operands:
            right = run(scope)
            scope.meter.tree([left, right])
            try:
                true = _COMPARE[operator](left, right)
            except TypeError:
                raise Refusal(f"{dialect.kind(left)} cannot be compared with {dialect.kind(right)}") from None
            if not true:
                return False
            left = right
        return True

    return holds


def list_literal(items: list[Run]) -> Run:
    """Return a list that is written down; ``omit`` leaves an entry out."""

    def build(scope: Scope) -> list[Any]:
        values = [value for item in items if (value := item(scope)) is not OMIT]
        scope.meter.tree(values)
        return values

    return build


def map_literal(pairs: list[tuple[Run, Run]]) -> Run:
    """Return a map that is written down; ``omit`` leaves a key out."""

    def build(scope: Scope) -> dict[str, Any]:
        result = {}
        for key, value in pairs:
            name, held = key(scope), value(scope)
            if not isinstance(name, str):
                raise Refusal(f"the key of a map must be text, not {dialect.kind(name)}")
            if held is not OMIT:
                result[name] = held
        scope.meter.tree(result)
        return result

    return build


def truth(value: Any) -> bool:
    """Return whether a value counts as true. Raises :class:`Refusal` for ``omit``."""
    if value is OMIT:
        raise Refusal("omit is neither true nor false")
    return bool(value)


def numbers(bounds: list[Any]) -> list[int]:
    """Return what ``range()`` gives. Raises :class:`Refusal` for what it does not take."""
    if not 1 <= len(bounds) <= 3 or not all(type(bound) is int for bound in bounds) or bounds[2:] == [0]:  # noqa: PLR2004
        raise Refusal("range() takes one to three whole numbers")
    numbers = range(*bounds)
    if numbers[: dialect.MAX_RANGE] != numbers:
        raise Refusal(f"range() gives at most {dialect.MAX_RANGE:,} numbers")
    return list(numbers)


def bind(targets: list[str], entry: Any) -> Mapping[str, Any]:
    """Return a loop's names with the values of one round. Raises :class:`Refusal` where they do not fit."""
    if len(targets) == 1:
        return {targets[0]: entry}
    if not isinstance(entry, list) or len(entry) != len(targets):
        raise Refusal(f"the loop needs {len(targets)} values in each round")
    return dict(zip(targets, entry, strict=True))


def loop(index: int, length: int) -> Mapping[str, Any]:
    """Return what ``loop`` holds in one round."""
    return {
        "index": index + 1, "index0": index, "first": index == 0, "last": index == length - 1, "length": length,
    }  # fmt: skip
