"""Breakdown rows: how an amount came about. The rows of a line sum exactly to its amount."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from core.numbers import CONTEXT, ZERO, plain

Dimensions = tuple[tuple[str, str | None], ...]


class Row(NamedTuple):
    """`quantity` at a price or rate (plus a flat fee) makes `amount`; `tier` counts from 1."""

    quantity: Decimal
    amount: Decimal
    tier: int | None = None
    dimensions: Dimensions = ()
    unit_price: Decimal | None = None
    rate: Decimal | None = None
    flat_fee: Decimal = ZERO

    def as_dict(self) -> dict[str, Any]:
        """The row as RATING.md section 4 writes it; a flat fee of 0 is left out."""
        shown: dict[str, Any] = {}
        if self.tier is not None:
            shown["tier"] = self.tier
        if self.dimensions:
            shown["dimensions"] = dict(self.dimensions)
        shown["quantity"] = plain(self.quantity)
        for name, value in (("unit_price", self.unit_price), ("rate", self.rate)):
            if value is not None:
                shown[name] = plain(value)
        if self.flat_fee:
            shown["flat_fee"] = plain(self.flat_fee)
        shown["amount"] = plain(self.amount)
        return shown


def subtract(after: Iterable[Row], before: Iterable[Row]) -> list[Row]:
    """What happened between two breakdowns; repriced units leave at the old price and return at the new."""
    change: dict[tuple[object, ...], Row] = {}
    for sign, rows in ((-1, before), (1, after)):
        for row in rows:
            place = (row.dimensions, row.tier, row.unit_price, row.rate)
            known = change.get(place, row._replace(quantity=ZERO, amount=ZERO, flat_fee=ZERO))
            change[place] = known._replace(
                quantity=CONTEXT.fma(row.quantity, sign, known.quantity),
                amount=CONTEXT.fma(row.amount, sign, known.amount),
                flat_fee=CONTEXT.fma(row.flat_fee, sign, known.flat_fee),
            )
    return [row for row in change.values() if row.quantity or row.amount or row.flat_fee]


def total_amount(rows: Iterable[Row]) -> Decimal:
    """The exact sum of the rows' amounts."""
    total = ZERO
    for row in rows:
        total = CONTEXT.add(total, row.amount)
    return total
