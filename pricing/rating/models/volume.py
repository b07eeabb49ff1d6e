"""volume: all units cost what the tier says that the quantity falls in."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from pricing.rating.fields import Fields
from pricing.rating.models.base import QuantityModel
from pricing.rating.rows import Row
from pricing.rating.tiers import Tiers, read_tiers


@dataclass(frozen=True, slots=True)
class Volume(QuantityModel):
    """All units at one tier's price, plus its flat fee. Reaching a cheaper tier may lower the total."""

    tiers: Tiers

    @classmethod
    def read(cls, fields: Fields) -> Volume:
        """From a component's fields; raises InvalidRequest."""
        return cls(read_tiers(fields, "unit_price"))

    def price(self, quantity: Decimal) -> Decimal:
        """The exact price of a quantity above 0."""
        return self.tiers.volume_price(quantity)

    def rows(self, quantity: Decimal) -> list[Row]:
        """One row: the tier that is reached."""
        return [self.tiers.at(quantity).row(self.tiers.price_name, quantity)]

    def zero_usage_row(self) -> Row:
        """The first tier's flat fee."""
        return self.tiers.zero_usage_row()
