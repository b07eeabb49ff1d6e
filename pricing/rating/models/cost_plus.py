"""cost_plus: what the vendors charged, and a markup on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from msgspec.structs import replace

from core.numbers import CONTEXT, ONE, ZERO, round_amount
from pricing.rating.fields import Fields
from pricing.rating.models.base import NotPriced, Pricing
from pricing.rating.rows import Row
from pricing.rating.state import State, Usage


@dataclass(frozen=True, slots=True)
class CostPlus(Pricing):
    """Vendor cost x (1 + markup). An event whose cost is unknown has no price."""

    markup: Decimal
    factor: Decimal

    @classmethod
    def read(cls, fields: Fields) -> CostPlus:
        """From a component's fields; raises InvalidRequest."""
        markup = fields.price("markup")
        return cls(markup, CONTEXT.add(ONE, markup))

    def fold(self, state: State, usage: Usage, quantity: Decimal, transactions: int) -> State:
        """The state after one event; its cost carries the sign. Raises NotPriced without a cost."""
        if usage.cost is None:
            raise NotPriced("cost_unknown", "cost is missing: cost_plus prices an event by its cost.", "cost")
        volume = CONTEXT.add(state.volume, usage.cost)
        return State(quantity, transactions, volume, round_amount(CONTEXT.multiply(volume, self.factor)))

    def unfold(self, state: State, usage: Usage, quantity: Decimal, transactions: int) -> State:
        """The state without an event: its cost leaves."""
        cost = None if usage.cost is None else usage.cost.copy_negate()
        return self.fold(state, replace(usage, cost=cost), quantity, transactions)

    def rows(self, state: State, dimensions: Mapping[str, str | None]) -> list[Row]:
        """One row: the quantity, the markup, and what both came to."""
        return [Row(state.quantity, state.amount, rate=self.markup)]

    def free_quantity(self, state: State) -> Decimal:
        """Nothing is free."""
        return ZERO
