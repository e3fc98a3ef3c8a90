"""What submits cost, as far as a manifest says so: amounts in units, and what is unknown. Never a guess, never 0.

A price is a number or a number with a unit (``30 credits``); numbers without a unit are a unit of their own. Amounts
of different units are never added up. This module is pure; who may spend how much is decided where it is sent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from renderer.canonical import Json


@dataclass(frozen=True, slots=True)
class Amount:
    """So much of one unit ("" where none was written)."""

    value: Decimal
    unit: str = ""

    def __str__(self) -> str:
        """Return ``30 credits``."""
        return f"{self.value.normalize():f} {self.unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Cost:
    """What several submits cost together: an amount a unit, and how many have no price."""

    known: tuple[Amount, ...] = ()
    unknown: int = 0

    def __str__(self) -> str:
        """Return ``60 credits + 2 EUR + 3 submits of unknown price``."""
        parts = [str(amount) for amount in self.known]
        if self.unknown:
            parts.append(f"{self.unknown} submit{'' if self.unknown == 1 else 's'} of unknown price")
        return " + ".join(parts)


def amount(price: Json) -> Amount | None:
    """Return a price as an amount, or None where there is none. Raises ``ValueError`` for what is no amount."""
    if price is None or isinstance(price, bool):
        return None
    number, _, unit = str(price).strip().partition(" ")
    try:
        value = Decimal(number)
    except InvalidOperation:
        raise ValueError(f"{price!r} is not an amount") from None
    if not value.is_finite() or value < 0:
        raise ValueError(f"{price!r} is not an amount")
    return Amount(value, unit.strip())


def total(prices: Iterable[Json]) -> Cost:
    """Return what submits of these prices cost together; None is an unknown price."""
    sums: dict[str, Decimal] = {}
    unknown = 0
    for price in prices:
        if (found := amount(price)) is None:
            unknown += 1
        else:
            sums[found.unit] = sums.get(found.unit, Decimal(0)) + found.value
    return Cost(tuple(Amount(value, unit) for unit, value in sorted(sums.items())), unknown)
