"""JMESPath expressions that read answers; the only importer of jmespath.

A pack says with them where in an answer a thing stands. An expression is compiled once, when the pack is loaded, and
then applied to whatever a provider sends: an answer of another shape than expected gives None, never an exception.
"""

from dataclasses import dataclass, field
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult


class ExpressionError(ValueError):
    """The text is not JMESPath. The message is one line."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression; ``text`` is how the pack writes it. Make it with :func:`compile_expression`."""

    text: str
    _parsed: ParsedResult = field(repr=False, compare=False)

    def find(self, data: Any) -> Any:
        """Return what the expression finds in ``data``, or None where there is nothing or another shape."""
        try:
            return self._parsed.search(data)
        except (JMESPathError, TypeError, ValueError, AttributeError, RecursionError):
            return None


def compile_expression(text: str) -> Expression:
    """Return the compiled expression, or raise :class:`ExpressionError`."""
    try:
        return Expression(text, jmespath.compile(text))
    except JMESPathError as error:
        raise ExpressionError(" ".join(str(error).split())) from None
