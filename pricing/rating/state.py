"""What F is a function of: one small value per component and group, folded over events in `seq` order."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from core.numbers import ZERO, plain

NO_DIMENSIONS: Final[Mapping[str, Any]] = {}


class Usage(Struct, frozen=True):
    """What one event adds: see docs/algorithms/rating.md for each aggregation's quantity.

    `cost` is what vendors charged for the event, in the plan's currency; None when unknown.
    """

    quantity: Decimal
    dimensions: Mapping[str, Any] = NO_DIMENSIONS
    cost: Decimal | None = None


class State(Struct, frozen=True):
    """The state of one group. It keeps negative totals, of which F is 0.

    `quantity`: total, maximum or number of uniques (12 decimals). `transactions`: events,
    less reversals.
    `volume`: what the rate (percentage) or the markup (cost_plus) applies to (18 decimals).
    `amount`: the model's price, not yet rounded and before the component's modifiers (30 decimals).
    """

    quantity: Decimal = ZERO
    transactions: int = 0
    volume: Decimal = ZERO
    amount: Decimal = ZERO

    def as_dict(self) -> dict[str, Any]:
        """For JSON: decimals as plain strings."""
        return {
            "quantity": plain(self.quantity),
            "transactions": self.transactions,
            "volume": plain(self.volume),
            "amount": plain(self.amount),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> State:
        """The reverse of `as_dict`."""
        return cls(
            Decimal(stored["quantity"]),
            int(stored["transactions"]),
            Decimal(stored["volume"]),
            Decimal(stored["amount"]),
        )


EMPTY: Final = State()
