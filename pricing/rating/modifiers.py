"""What stands before and after the model: quantity rounding and free units, then discount, cap and floor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from core.numbers import CONTEXT, ONE, ZERO, round_amount
from pricing.rating.fields import Fields
from pricing.rating.models.base import Pricing, QuantityModel
from pricing.rating.rows import Row
from pricing.rating.state import State, Usage

HUNDRED: Final = Decimal(100)
TWO: Final = Decimal(2)


@dataclass(frozen=True, slots=True)
class QuantityRounding:
    """Rounds a cumulative quantity to a multiple of `to`."""

    mode: str
    to: Decimal

    @classmethod
    def read(cls, component: Fields) -> QuantityRounding | None:
        """The field `quantity_rounding`; raises InvalidRequest."""
        raw = component.value("quantity_rounding")
        if raw is None:
            return None
        fields = Fields(raw, component.path_to("quantity_rounding"))
        mode = fields.choice("mode", ("up", "down", "half_up"))
        to = ONE if fields.value("to") is None else fields.positive_quantity("to")
        fields.finish()
        return cls(mode, to)

    def apply(self, quantity: Decimal) -> Decimal:
        """The multiple of `to` for a quantity above 0."""
        rest = CONTEXT.remainder(quantity, self.to)
        below = CONTEXT.subtract(quantity, rest)
        if self.mode == "up":
            is_up = bool(rest)
        elif self.mode == "half_up":
            is_up = CONTEXT.multiply(rest, TWO) >= self.to
        else:
            is_up = False
        return CONTEXT.add(below, self.to) if is_up else below


@dataclass(frozen=True, slots=True)
class ByQuantity(Pricing):
    """A quantity model with what changes its quantity: rounding first, then the free units."""

    model: QuantityModel
    rounding: QuantityRounding | None
    included: Decimal

    def billable(self, quantity: Decimal) -> Decimal:
        """The quantity that reaches the model; 0 for a negative total."""
        if quantity <= ZERO:
            return ZERO
        if self.rounding is not None:
            quantity = self.rounding.apply(quantity)
        if self.included:
            quantity = CONTEXT.subtract(quantity, self.included)
        return quantity if quantity > ZERO else ZERO

    def fold(self, state: State, usage: Usage, quantity: Decimal, transactions: int) -> State:
        """The state at the new total: how it came together does not matter."""
        billable = self.billable(quantity)
        return State(quantity, transactions, ZERO, self.model.price(billable) if billable else ZERO)

    @property
    def adds_up(self) -> bool:
        """Always: how the total came together does not matter."""
        return True

    def rows(self, state: State, dimensions: Mapping[str, str | None]) -> list[Row]:
        """The model's rows at the billable quantity."""
        billable = self.billable(state.quantity)
        return self.model.rows(billable) if billable else []

    def free_quantity(self, state: State) -> Decimal:
        """How many of the included units are used up."""
        if state.quantity <= 0 or not self.included:
            return ZERO
        quantity = state.quantity if self.rounding is None else self.rounding.apply(state.quantity)
        return min(quantity, self.included)


@dataclass(frozen=True, slots=True)
class AmountModifiers:
    """Discount, then maximum (always), then minimum (at the close), on the sum of the groups."""

    discount_percent: Decimal
    share_left: Decimal
    maximum: Decimal | None
    minimum: Decimal

    @classmethod
    def read(cls, component: Fields) -> AmountModifiers:
        """The fields `discount_percent`, `maximum`, `minimum`; raises InvalidRequest."""
        discount = component.optional_price("discount_percent") or ZERO
        if discount > HUNDRED:
            raise component.error("discount_percent", "invalid_value", "must be at most 100")
        maximum = component.optional_price("maximum")
        minimum = component.optional_price("minimum") or ZERO
        if maximum is not None and minimum > maximum:
            raise component.error("minimum", "invalid_value", "must not be more than maximum")
        share_left = CONTEXT.divide(CONTEXT.subtract(HUNDRED, discount), HUNDRED)
        return cls(discount, share_left, maximum, minimum)

    def discounted(self, subtotal: Decimal) -> Decimal:
        """What the discount leaves, rounded half up to 18 decimals."""
        if not self.discount_percent:
            return subtotal
        return round_amount(CONTEXT.multiply(subtotal, self.share_left))

    def capped(self, amount: Decimal) -> Decimal:
        """At most the maximum."""
        return amount if self.maximum is None or amount <= self.maximum else self.maximum
