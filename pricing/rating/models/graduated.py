"""graduated: each unit costs what its own tier says."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pricing.rating.fields import Fields
from pricing.rating.models.base import QuantityModel
from pricing.rating.rows import Row
from pricing.rating.tiers import PriceName, Tiers, read_tiers


@dataclass(frozen=True, slots=True)
class Graduated(QuantityModel):
    """Each unit at its own tier's price; a tier's flat fee once it is entered."""

    tiers: Tiers

    @classmethod
    def read(cls, fields: Fields, price_name: PriceName = "unit_price") -> Graduated:
        """From a component's fields; raises InvalidRequest."""
        return cls(read_tiers(fields, price_name))

    def price(self, quantity: Decimal) -> Decimal:
        """The exact price of a quantity above 0."""
        return self.tiers.graduated_price(quantity)

    def rows(self, quantity: Decimal) -> list[Row]:
        """One row for each tier that is entered."""
        return self.tiers.graduated_rows(quantity)

    def zero_usage_row(self) -> Row:
        """The first tier's flat fee."""
        return self.tiers.zero_usage_row()
