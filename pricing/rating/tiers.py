"""Tiers: ranges of quantity, each with its own price or rate and perhaps a flat fee."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from core.numbers import CONTEXT, ZERO
from pricing.rating.fields import Fields
from pricing.rating.rows import Row

PriceName = Literal["unit_price", "rate"]
add, subtract, fma = CONTEXT.add, CONTEXT.subtract, CONTEXT.fma


@dataclass(frozen=True, slots=True)
class Tier:
    """The units above `above`, up to the next tier's `above`, which is still inside.

    `amount_below` is the graduated price, flat fees included, of everything up to `above`.
    """

    number: int
    above: Decimal
    price: Decimal
    flat_fee: Decimal
    amount_below: Decimal

    def row(self, price_name: PriceName, quantity: Decimal) -> Row:
        """A breakdown row: `quantity` units at this tier's price, plus its flat fee."""
        return Row(
            quantity,
            fma(quantity, self.price, self.flat_fee),
            tier=self.number,
            unit_price=self.price if price_name == "unit_price" else None,
            rate=self.price if price_name == "rate" else None,
            flat_fee=self.flat_fee,
        )


@dataclass(frozen=True, slots=True)
class Tiers:
    """All tiers of a model; `bounds` are the inclusive upper ends of all but the last, ascending."""

    price_name: PriceName
    tiers: tuple[Tier, ...]
    bounds: tuple[Decimal, ...]

    def at(self, quantity: Decimal) -> Tier:
        """The tier in which a quantity above 0 falls."""
        return self.tiers[bisect_left(self.bounds, quantity)]

    def graduated_price(self, quantity: Decimal) -> Decimal:
        """Each unit at its own tier's price, and the flat fee of every tier that is entered."""
        tier = self.at(quantity)
        inside = fma(subtract(quantity, tier.above), tier.price, tier.flat_fee)
        return add(tier.amount_below, inside)

    def graduated_rows(self, quantity: Decimal) -> list[Row]:
        """One row for each tier that is entered."""
        rows: list[Row] = []
        for tier, upper in zip(self.tiers, (*self.bounds, quantity), strict=True):
            if quantity <= tier.above:
                break
            within = subtract(min(quantity, upper), tier.above)
            rows.append(tier.row(self.price_name, within))
        return rows

    def volume_price(self, quantity: Decimal) -> Decimal:
        """All units at the price of the tier in which the quantity falls, plus its flat fee."""
        tier = self.at(quantity)
        return fma(quantity, tier.price, tier.flat_fee)

    def zero_usage_row(self) -> Row:
        """The first tier's flat fee, as `bill_zero_usage` charges it."""
        return self.tiers[0].row(self.price_name, ZERO)


def read_tiers(fields: Fields, price_name: PriceName) -> Tiers:
    """The field `tiers`; raises InvalidRequest unless bounds ascend from above 0 and the last one is null."""
    tiers: list[Tier] = []
    bounds: list[Decimal] = []
    above = amount_below = ZERO
    entries = list(fields.objects("tiers"))
    if not entries:
        raise fields.error("tiers", "invalid_value", 'must have a tier, the last with "up_to": null')
    for number, entry in enumerate(entries, start=1):
        price = entry.price(price_name)
        flat_fee = entry.optional_price("flat_fee") or ZERO
        up_to = _read_up_to(entry, above, is_last=number == len(entries))
        entry.finish()
        tiers.append(Tier(number, above, price, flat_fee, amount_below))
        if up_to is not None:
            inside = fma(subtract(up_to, above), price, flat_fee)
            amount_below = add(amount_below, inside)
            bounds.append(up_to)
            above = up_to
    return Tiers(price_name, tuple(tiers), tuple(bounds))


def _read_up_to(entry: Fields, above: Decimal, *, is_last: bool) -> Decimal | None:
    if not entry.has("up_to"):
        raise entry.error("up_to", "required", "is missing; the last tier has null")
    up_to = entry.optional_quantity("up_to")
    if is_last and up_to is not None:
        raise entry.error("up_to", "invalid_value", "must be null: the last tier has no upper bound")
    if not is_last and up_to is None:
        raise entry.error("up_to", "invalid_value", "must not be null: only the last tier has no upper bound")
    if up_to is not None and up_to <= above:
        raise entry.error("up_to", "invalid_value", f"must be more than {above:f}: tiers ascend")
    return up_to
