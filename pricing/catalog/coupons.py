"""Coupons in plan files: a discount that a subscription redeems, on its first periods or on all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from core.instants import instant_text, parse_instant
from core.numbers import plain
from pricing.catalog.keys import optional_name, read_key
from pricing.catalog.plans import read_currency
from pricing.rating.fields import Fields
from pricing.rating.modifiers import HUNDRED

COUNT_MAX: Final = 2_147_483_647
PERIODS_MAX: Final = 32_767


@dataclass(frozen=True, slots=True)
class CouponSpec:
    """A coupon as a file defines it: `percent` of what it applies to, or at most `amount` of it a period.

    It holds for `periods` billing periods from its redemption (None: for all), may be redeemed
    `max_redemptions` times (None: any number) and before `redeem_before`. `components`: the lines that it
    applies to, by key; `plans`: on which plans it may be redeemed, by key; empty = all.
    """

    key: str
    name: str
    percent: Decimal | None
    amount: Decimal | None
    currency: str
    periods: int | None
    max_redemptions: int | None
    redeem_before: datetime | None
    components: tuple[str, ...]
    plans: tuple[str, ...]

    def content(self) -> dict[str, Any]:
        """The canonical form."""
        content: dict[str, Any] = {"key": self.key, "name": self.name}
        if self.percent is not None:
            content["percent"] = plain(self.percent)
        if self.amount is not None:
            content |= {"amount": plain(self.amount), "currency": self.currency}
        counts = {"periods": self.periods, "max_redemptions": self.max_redemptions}
        content |= {name: count for name, count in counts.items() if count is not None}
        if self.redeem_before is not None:
            content["redeem_before"] = instant_text(self.redeem_before)
        lists = {"components": list(self.components), "plans": list(self.plans)}
        return content | {name: keys for name, keys in lists.items() if keys}


def read_coupon(raw: object, path: str = "") -> CouponSpec:
    """An entry of the section `coupons`; raises InvalidRequest."""
    fields = Fields(raw, path)
    key = read_key(fields, "key")
    percent, amount = fields.optional_price("percent"), fields.optional_price("amount")
    currency = "" if fields.value("currency") is None else read_currency(fields, "currency")
    before = fields.value("redeem_before")
    spec = CouponSpec(
        key=key,
        name=optional_name(fields, "name", key),
        percent=percent,
        amount=amount,
        currency=currency,
        periods=_read_count(fields, "periods", PERIODS_MAX),
        max_redemptions=_read_count(fields, "max_redemptions", COUNT_MAX),
        redeem_before=None if before is None else parse_instant(before, fields.path_to("redeem_before")),
        components=fields.names("components"),
        plans=fields.names("plans"),
    )
    fields.finish()
    _check_worth(spec, fields)
    return spec


def _check_worth(spec: CouponSpec, fields: Fields) -> None:
    """A percent from above 0 to 100, or an amount above 0 with its currency; not both."""
    if spec.percent is None and spec.amount is None:
        raise fields.error("percent", "required", "is missing; or give amount and currency")
    if spec.percent is not None:
        if spec.amount is not None:
            raise fields.error("amount", "not_applicable", "does not go with percent")
        if spec.currency:
            raise fields.error("currency", "not_applicable", "does not go with percent")
        if not 0 < spec.percent <= HUNDRED:
            raise fields.error("percent", "invalid_value", "must be more than 0 and at most 100")
        return
    if not spec.amount:
        raise fields.error("amount", "invalid_value", "must be more than 0")
    if not spec.currency:
        raise fields.error("currency", "required", "is missing: an amount is in a currency")


def _read_count(fields: Fields, name: str, count_max: int) -> int | None:
    count = fields.optional_count(name)
    if count is not None and not 1 <= count <= count_max:
        raise fields.error(name, "number_out_of_range", f"must be from 1 to {count_max}")
    return count
