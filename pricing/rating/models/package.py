"""package: units are sold in packages; a package that is begun is paid whole."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from core.numbers import CONTEXT, ONE
from pricing.rating.fields import Fields
from pricing.rating.models.base import QuantityModel
from pricing.rating.rows import Row


@dataclass(frozen=True, slots=True)
class Package(QuantityModel):
    """ceil(q / size) x price."""

    package_size: Decimal
    package_price: Decimal

    @classmethod
    def read(cls, fields: Fields) -> Package:
        """From a component's fields; raises InvalidRequest."""
        return cls(fields.positive_quantity("package_size"), fields.price("package_price"))

    def packages(self, quantity: Decimal) -> Decimal:
        """How many packages hold the quantity."""
        whole, rest = CONTEXT.divmod(quantity, self.package_size)
        return CONTEXT.add(whole, ONE) if rest else whole

    def price(self, quantity: Decimal) -> Decimal:
        """The exact price of a quantity above 0."""
        return CONTEXT.multiply(self.packages(quantity), self.package_price)

    def rows(self, quantity: Decimal) -> list[Row]:
        """One row, whose quantity counts packages."""
        return [Row(self.packages(quantity), self.price(quantity), unit_price=self.package_price)]
