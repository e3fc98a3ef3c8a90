"""What a run may still spend. Taken before each send, given back where the send was refused, never added up afterwards.

A limit counts paid submits or an amount of one unit; it is the whole run's (``--max-submits``, ``--max-cost``) or one
manifest's (``budget``). Where an amount is limited, a submit of unknown price, or of another unit, is not sent: an
unknown price is not 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from renderer.canonical import Json
from renderer.plan.money import Amount, amount


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many paid ``submits``, and at most this ``cost``; None is no limit."""

    submits: int | None = None
    cost: Amount | None = None


@dataclass(slots=True)
class _Spent:
    submits: int = 0
    cost: Decimal = Decimal(0)


@dataclass(slots=True)
class Purse:
    """The limits of a run, and what was taken so far.

    ``open`` counts the submits whose answer is still to come: they may give back what they took. ``refused`` is set by
    whoever gave up for want of money.
    """

    run: Limit = Limit()
    manifests: Mapping[str, Limit] = field(default_factory=dict)
    open: int = 0
    refused: bool = False
    _spent: dict[str, _Spent] = field(default_factory=dict)

    def take(self, manifest: str, price: Json) -> str:
        """Take one paid submit; return "" or, where it is not allowed, why not."""
        why = self._forbidden(self.run, "", price) or self._forbidden(
            self.manifests.get(manifest, Limit()), manifest, price
        )
        if not why:
            self.open += 1
            self._count(manifest, price, 1)
        return why

    def give_back(self, manifest: str, price: Json) -> None:
        """Give back what was taken for a submit that was refused."""
        self._count(manifest, price, -1)

    def _forbidden(self, limit: Limit, whose: str, price: Json) -> str:
        spent = self._spent.get(whose, _Spent())
        if limit.submits is not None and spent.submits >= limit.submits:
            return f"the budget of {limit.submits} paid submit{'' if limit.submits == 1 else 's'} is used up"
        if limit.cost is None:
            return ""
        cost = amount(price)
        if cost is None:
            return f"its price is unknown, so it cannot be kept within {limit.cost}"
        if cost.unit != limit.cost.unit:
            return f"its price is {cost}, which cannot be compared with {limit.cost}"
        if spent.cost + cost.value > limit.cost.value:
            return f"{cost} more would exceed the budget of {limit.cost}"
        return ""

    def _count(self, manifest: str, price: Json, sign: int) -> None:
        cost = amount(price)
        for whose in ("", manifest):
            spent = self._spent.setdefault(whose, _Spent())
            spent.submits += sign
            spent.cost += sign * (Decimal(0) if cost is None else cost.value)
