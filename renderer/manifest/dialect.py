"""What template values can do: looking inside them, operators, and a meter for what it costs.

Closed on purpose: a template sees maps, lists, text, numbers and the few facts of a file or a reference, never an
attribute of a Python object. Whatever could make something large asks the :class:`Meter` first, so that a hostile
expression ends with a sentence instead of with the machine. This module knows values, not template syntax.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from renderer.manifest.job import Ref, Upload
from renderer.manifest.spelling import suggest

MAX_STEPS = 200_000
MAX_TEXT = 8_000_000
"""Characters that one rendering may produce, all intermediate text included."""
MAX_RANGE = 10_000
_MAX_NUMBER = 2**64
MAX_WIDTH = 1_000


class Refusal(Exception):
    """A template asks for what it may not have. The message is one sentence."""


class Exhausted(Refusal):
    """A template asks for more than is left to its rendering."""


class Follows(Refusal):
    """A value rests on one that is wrong, which is reported where that one stands."""

    def __init__(self) -> None:
        super().__init__("this rests on a value that is wrong")


class Undefined(Refusal):
    """A variable, key or index that does not exist. The nearest known name is looked for only when it is shown."""

    def __init__(self, message: str, *, word: str = "", known: Iterable[Any] = ()) -> None:
        super().__init__(message)
        self._message = message
        self._word = word
        self._known = known

    def __str__(self) -> str:
        known = [name for name in self._known if isinstance(name, str)]
        few = f"known: {', '.join(known)}" if 0 < len(known) <= 10 else ""  # noqa: PLR2004 (a line of text)
        more = (suggest(self._word, known) if self._word else "") or few
        return f"{self._message} ({more})" if more else self._message


class Omit:
    """The type of :data:`OMIT`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "omit"


OMIT: Final = Omit()
"""The value of ``omit``: as a value it leaves its key or list entry out."""


class Unknown:
    """The type of :data:`UNKNOWN`."""

    __slots__ = ()


UNKNOWN: Final = Unknown()
"""The value of a variable that could not be worked out; whoever looks at it gets :class:`Follows`."""


Word: TypeAlias = Callable[..., Any]
"""An operator, filter, test or method: takes the meter, then values."""


class Meter:
    """What one rendering may still use: steps and characters. Counts down."""

    __slots__ = ("_steps", "_text")

    def __init__(self) -> None:
        self._steps = MAX_STEPS
        self._text = MAX_TEXT

    @property
    def low(self) -> bool:
        """Whether most of it is used."""
        return self._steps < MAX_STEPS // 2 or self._text < MAX_TEXT // 2

    def step(self, count: int = 1) -> None:
        """Use ``count`` steps, or raise :class:`Exhausted`."""
        if count > self._steps:
            raise Exhausted(f"the template needs more than {MAX_STEPS:,} steps")
        self._steps -= count

    def text(self, size: int) -> None:
        """Use ``size`` characters, or raise :class:`Exhausted`. To be asked before the text is made."""
        if size > self._text:
            raise Exhausted(f"the template makes more than {MAX_TEXT:,} characters of text")
        self._text -= size

    def tree(self, value: Any) -> None:
        """Use a step for each node of a value, counting a part as often as it can be reached."""
        todo = [value]
        while todo:
            match todo.pop():
                case Mapping() as node:
                    self.step(len(node) + 1)
                    todo.extend(node.values())
                case list() as node:
                    self.step(len(node) + 1)
                    todo.extend(node)


def kind(value: Any) -> str:
    """Return what a value is, as people say it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case Mapping():
            return "a map"
        case Upload():
            return "a file to upload"
        case Ref():
            return "a reference that is not known yet"
        case _:
            return "omit"


def text(value: Any) -> str:
    """Return a value as it stands inside text. Raises :class:`Refusal` for what has no one text."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case list():
            raise Refusal("a list cannot stand inside text; use the filter join")
        case _:
            raise Refusal(f"{kind(value)} cannot stand inside text")


def lookup(value: Any, key: Any) -> Any:
    """Return ``value[key]`` (or ``value.key``): of maps, lists, text and the few facts of a file or reference.

    Raises :class:`Undefined` where there is none, with the nearest name.
    """
    match value:
        case Mapping():
            if isinstance(key, str | int | float | bool) and key in value:
                if (found := value[key]) is UNKNOWN:
                    raise Follows
                return found
            raise Undefined(f"there is no {_quoted(key)} here", word=key if isinstance(key, str) else "", known=value)
        case str() | list() if isinstance(key, int) and not isinstance(key, bool):
            if -len(value) <= key < len(value):
                return value[key]
            raise Undefined(f"there is no entry {key}: {kind(value)} has only {len(value)}")
        case Upload() if key in ("path", "sha256", "size", "duration"):
            return getattr(value, key)
        case Ref() if key in ("job", "field"):
            return getattr(value, key)
        case _:
            raise Undefined(f"{kind(value)} has no {_quoted(key)}")


def _quoted(key: Any) -> str:
    return f"`{key[:60]}`" if isinstance(key, str) else f"entry {key}"


def number(value: Any) -> Any:
    """Return a number that is small enough to go on with. Raises :class:`Refusal` for others."""
    if isinstance(value, int) and abs(value) > _MAX_NUMBER:
        raise Refusal("the number is too large")
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):  # noqa: PLR0124 (NaN)
        raise Refusal("the result is not a number")
    return value


# Operators ------------------------------------------------------------------------------------------------------------


def add(meter: Meter, left: Any, right: Any) -> Any:
    """``left + right`` of numbers, texts or lists."""
    match left, right:
        case str(), str():
            meter.text(len(left) + len(right))
        case list(), list():
            meter.step(len(left) + len(right))
        case (str(), _) | (_, str()):
            raise Refusal(f"cannot add {kind(left)} and {kind(right)}; ~ joins them as text")
        case _:
            numbers("+", left, right)
    return number(left + right)


def multiply(meter: Meter, left: Any, right: Any) -> Any:
    """``left * right`` of numbers, or text or a list so many times."""
    if isinstance(right, str | list):
        left, right = right, left
    if isinstance(left, str | list):
        if isinstance(right, bool) or not isinstance(right, int):
            raise Refusal(f"cannot multiply {kind(left)} with {kind(right)}")
        (meter.text if isinstance(left, str) else meter.step)(len(left) * max(right, 0))
        return left * right
    numbers("*", left, right)
    return number(left * right)


def subtract(_meter: Meter, left: Any, right: Any) -> Any:
    """``left - right`` of numbers."""
    numbers("-", left, right)
    return number(left - right)


def divide(_meter: Meter, left: Any, right: Any) -> Any:
    """``left / right`` of numbers."""
    _divisor("/", left, right)
    return number(left / right)


def divide_whole(_meter: Meter, left: Any, right: Any) -> Any:
    """``left // right`` of numbers."""
    _divisor("//", left, right)
    return number(left // right)


def remainder(meter: Meter, left: Any, right: Any) -> Any:
    """``left % right`` of numbers, or text with ``%s`` and its like filled in."""
    if isinstance(left, str):
        return fill(meter, left, *(right if isinstance(right, list) else [right]))
    _divisor("%", left, right)
    return number(left % right)


def power(_meter: Meter, left: Any, right: Any) -> Any:
    """``left ** right`` of numbers, as long as the result is small."""
    numbers("**", left, right)
    if abs(right) > 64 or abs(left) > _MAX_NUMBER:  # noqa: PLR2004 (2**64 is the largest number of a template)
        raise Refusal("the number is too large")
    result = left**right
    if isinstance(result, complex):
        raise Refusal("the result is not a number")
    return number(result)


def _divisor(sign: str, left: Any, right: Any) -> None:
    numbers(sign, left, right)
    if right == 0:
        raise Refusal("cannot divide by zero")


def numbers(sign: str, left: Any, right: Any) -> None:
    """Raise :class:`Refusal` unless both sides are numbers."""
    for side in (left, right):
        if isinstance(side, bool) or not isinstance(side, int | float):
            raise Refusal(f"{sign} needs numbers, not {kind(side)}")


_CONVERSION = re.compile(r"%(?:%|[-+ 0#]*(\d*)(?:\.(\d+))?([a-zA-Z]?))")


def fill(meter: Meter, pattern: str, *values: Any) -> str:
    """Return printf-style text: ``%s %d %05d %.2f``; widths are limited."""
    size = len(pattern)
    for match in _CONVERSION.finditer(pattern):
        if match[0] == "%%":
            continue
        if match[3] not in tuple("sdifeEgGxXoc"):
            raise Refusal(f"{match[0]!r} is not a conversion of %")
        widths = [int(digits) if len(digits) < 6 else MAX_TEXT for digits in match.groups("")[:2] if digits]  # noqa: PLR2004
        if max(widths, default=0) > MAX_WIDTH:
            raise Refusal(f"a width of {match[0]!r} is more than {MAX_WIDTH}")
        size += sum(widths)
    shown = tuple(value if isinstance(value, int | float) else text(value) for value in values)
    longest = max((len(value) for value in shown if isinstance(value, str)), default=0)
    meter.text(size + 400 * len(values) + longest * len(values))
    return pattern % shown


def apply(word: Word, name: str, meter: Meter, arguments: Iterable[Any], named: Mapping[str, Any]) -> Any:
    """Call a word, turning what Python says about wrong arguments into a :class:`Refusal`."""
    given = list(arguments)
    try:
        return word(meter, *given, **named)
    except (TypeError, ValueError, AttributeError, ArithmeticError):
        shown = ", ".join(kind(value) for value in given)
        raise Refusal(f"{name} does not work on {shown}") from None
