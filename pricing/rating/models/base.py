"""What every model offers to a component."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

from core.errors import InvalidRequest
from pricing.rating.rows import Row
from pricing.rating.state import State, Usage


class NotPriced(InvalidRequest):
    """The model has no price for this event: its cost is unknown, or no cell matches its dimensions."""


class QuantityModel(Protocol):
    """A model whose price depends on one quantity alone, however it came together."""

    def price(self, quantity: Decimal) -> Decimal:
        """The exact price of a quantity above 0."""
        ...

    def rows(self, quantity: Decimal) -> list[Row]:
        """How the price of a quantity above 0 comes about; the rows sum exactly to it."""
        ...

    def zero_usage_row(self) -> Row | None:
        """What no usage costs at the close under `bill_zero_usage`; nothing in a model without tiers."""
        return None


class Pricing(Protocol):
    """How a group's state moves with an event, and how its amount is explained."""

    def fold(self, state: State, usage: Usage, quantity: Decimal, transactions: int) -> State:
        """The state after an event; `quantity` and `transactions` are the new totals. Raises NotPriced."""
        ...

    @property
    def is_order_bound(self) -> bool:
        """Whether what an event adds depends on those before it, so that `unfold` does not take it back."""
        return False

    def unfold(self, state: State, usage: Usage, quantity: Decimal, transactions: int) -> State:
        """The state without an event that it holds; `quantity`, `transactions`: the totals without it.

        Raises NotPriced.
        """
        return self.fold(state, usage, quantity, transactions)

    @property
    def adds_up(self) -> bool:
        """Whether the state is a matter of the sum of quantities and of the number of events alone."""
        return False

    def fold_sum(self, state: State, added: Decimal, quantity: Decimal, transactions: int) -> State:
        """The state after many events that come to `added`; only where it `adds_up`.

        `quantity` and `transactions` are the new totals.
        """
        return self.fold(state, Usage(added), quantity, transactions)

    def rows(self, state: State, dimensions: Mapping[str, str | None]) -> list[Row]:
        """How the state's amount comes about, when that is more than 0."""
        ...

    def free_quantity(self, state: State) -> Decimal:
        """The part of the quantity that is free."""
        ...
