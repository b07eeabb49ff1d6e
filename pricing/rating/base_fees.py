"""Base fees: fixed amounts beside the usage."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from core.errors import InvalidRequest
from core.numbers import CONTEXT, ONE, plain, round_amount, round_money
from pricing.rating.fields import Fields

TIMINGS: Final = ("in_advance", "in_arrears")


@dataclass(frozen=True, slots=True)
class BaseFee:
    """A fixed amount, or a unit amount times a quantity (seats); the rest is for the calendar."""

    key: str
    amount: Decimal
    quantity: Decimal | None
    timing: str
    prorate: bool

    def as_dict(self, decimals: int) -> dict[str, Any]:
        """The line of a whole period; `decimals` are the currency's."""
        line: dict[str, Any] = {"key": self.key}
        if self.quantity is not None:
            line["quantity"] = plain(self.quantity)
        return line | {"amount": plain(self.amount), "rounded": round_money(self.amount, decimals)}


def read_base_fees(raw: object, path: str) -> list[BaseFee]:
    """Check a list of base fees whose keys differ; raises InvalidRequest."""
    if raw is None:
        return []
    if not isinstance(raw, (list, tuple)):
        raise InvalidRequest("invalid_type", f"{path} must be a list.", path)
    fees: dict[str, BaseFee] = {}
    for index, item in enumerate(raw):
        fields = Fields(item, f"{path}[{index}]")
        fee = _read_base_fee(fields)
        if fee.key in fees:
            raise fields.error("key", "duplicate", f"{fee.key!r} is another base fee's key")
        fees[fee.key] = fee
    return list(fees.values())


def _read_base_fee(fields: Fields) -> BaseFee:
    key = fields.name("key")
    amount, unit_amount = fields.optional_price("amount"), fields.optional_price("unit_amount")
    quantity = fields.optional_quantity("quantity")
    timing = "in_advance" if fields.value("timing") is None else fields.choice("timing", TIMINGS)
    prorate = fields.flag("prorate")
    fields.finish()
    if amount is not None:
        for name, other in (("unit_amount", unit_amount), ("quantity", quantity)):
            if other is not None:
                raise fields.error(name, "not_applicable", "does not go with amount")
        return BaseFee(key, amount, None, timing, prorate)
    if unit_amount is None:
        raise fields.error("amount", "required", "is missing")
    quantity = ONE if quantity is None else quantity
    return BaseFee(key, round_amount(CONTEXT.multiply(unit_amount, quantity)), quantity, timing, prorate)
