"""matrix: the unit price depends on the event's dimension values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from core.numbers import CONTEXT, ZERO
from pricing.rating.fields import Fields
from pricing.rating.groups import dimension_text
from pricing.rating.models.base import NotPriced, Pricing
from pricing.rating.rows import Row
from pricing.rating.state import State, Usage

Match = frozenset[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A price for the events whose dimensions have these values; dimensions not named match anything."""

    match: Match
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Matrix(Pricing):
    """Value x the price of the cell that matches most dimensions; else the default.

    Each combination of dimension values is a group of its own, so a group has one unit price.
    """

    dimensions: tuple[str, ...]
    cells: dict[Match, Decimal]
    partial_cells: tuple[Cell, ...]
    default_unit_price: Decimal | None

    @classmethod
    def read(cls, fields: Fields) -> Matrix:
        """From a component's fields; raises InvalidRequest."""
        dimensions = fields.names("dimensions")
        if not dimensions:
            raise fields.error("dimensions", "required", "must name at least one dimension")
        cells: dict[Match, Decimal] = {}
        for entry in fields.objects("cells"):
            match = _read_match(entry, dimensions)
            if match in cells:
                raise entry.error("match", "duplicate", "is the same as an earlier cell's")
            cells[match] = entry.price("unit_price")
            entry.finish()
        if not cells:
            raise fields.error("cells", "required", "must have a cell")
        partial = [Cell(match, price) for match, price in cells.items() if len(match) < len(dimensions)]
        # The cell that names most dimensions wins; sorting keeps the caller's order among equals.
        partial.sort(key=lambda cell: -len(cell.match))
        return cls(dimensions, cells, tuple(partial), fields.optional_price("default_unit_price"))

    def unit_price(self, dimensions: Mapping[str, Any]) -> Decimal:
        """The price for these dimension values; raises NotPriced when there is none."""
        values = frozenset(
            [(name, dimension_text(dimensions.get(name), f"dimensions.{name}")) for name in self.dimensions]
        )
        price = self.cells.get(values)
        if price is not None:
            return price
        for cell in self.partial_cells:
            if cell.match <= values:
                return cell.unit_price
        if self.default_unit_price is None:
            raise NotPriced(
                "no_matching_cell",
                "dimensions match no cell and there is no default_unit_price.",
                "dimensions",
            )
        return self.default_unit_price

    def fold(self, state: State, usage: Usage, quantity: Decimal, transactions: int) -> State:
        """The state after one event. Raises NotPriced."""
        unit_price = self.unit_price(usage.dimensions)
        amount = CONTEXT.multiply(quantity, unit_price) if quantity > 0 else ZERO
        return State(quantity, transactions, ZERO, amount)

    def rows(self, state: State, dimensions: Mapping[str, str | None]) -> list[Row]:
        """One row for the group's combination of values."""
        return [Row(state.quantity, state.amount, unit_price=self.unit_price(dimensions))]

    def free_quantity(self, state: State) -> Decimal:
        """Nothing is free."""
        return ZERO


def _read_match(entry: Fields, dimensions: tuple[str, ...]) -> Match:
    match = Fields(entry.required("match"), entry.path_to("match"))
    pairs: set[tuple[str, str | None]] = set()
    for name in match.keys():  # noqa: SIM118 (Fields is not a dict)
        if name not in dimensions:
            raise match.error(name, "unknown_key", f"is not one of the dimensions: {', '.join(dimensions)}")
        pairs.add((name, dimension_text(match.value(name), match.path_to(name))))
    if not pairs:
        raise entry.error(
            "match", "required", "must name a value; the price of all else is default_unit_price"
        )
    return frozenset(pairs)
