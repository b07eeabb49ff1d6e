"""per_unit: every unit costs the same."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from core.numbers import CONTEXT
from pricing.rating.fields import Fields
from pricing.rating.models.base import QuantityModel
from pricing.rating.rows import Row


@dataclass(frozen=True, slots=True)
class PerUnit(QuantityModel):
    """q x price."""

    unit_price: Decimal

    @classmethod
    def read(cls, fields: Fields) -> PerUnit:
        """From a component's fields; raises InvalidRequest."""
        return cls(fields.price("unit_price"))

    def price(self, quantity: Decimal) -> Decimal:
        """The exact price of a quantity above 0."""
        return CONTEXT.multiply(quantity, self.unit_price)

    def rows(self, quantity: Decimal) -> list[Row]:
        """One row."""
        return [Row(quantity, self.price(quantity), unit_price=self.unit_price)]
