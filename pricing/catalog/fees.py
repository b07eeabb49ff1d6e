"""A plan's base fees, and the fees that are paid once."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from core.numbers import CONTEXT, ONE, plain, round_amount
from pricing.catalog.keys import optional_choice, read_key
from pricing.rating.base_fees import read_base_fees
from pricing.rating.fields import Fields

AT_START: Final = "start"
AFTER_TRIAL: Final = "trial_end"


@dataclass(frozen=True, slots=True)
class FeeTerms:
    """A fixed amount a period, or an amount per unit of a quantity (seats) kept on the subscription.

    `quantity` is what a subscription without one of its own has; None: the fee is a fixed amount.
    """

    key: str
    amount: Decimal
    quantity: Decimal | None
    timing: str
    prorate: bool

    def amount_for(self, quantity: Decimal | None) -> Decimal:
        """The fee of a whole period, with the subscription's quantity if it has one."""
        if self.quantity is None:
            return self.amount
        return round_amount(CONTEXT.multiply(self.amount, self.quantity if quantity is None else quantity))

    def content(self) -> dict[str, Any]:
        """The canonical form."""
        amount = {"amount" if self.quantity is None else "unit_amount": plain(self.amount)}
        quantity = {} if self.quantity in (None, ONE) else {"quantity": plain(self.quantity)}
        return {"key": self.key, **amount, **quantity, "timing": self.timing, "prorate": self.prorate}


def read_fees(raw: object, path: str) -> tuple[FeeTerms, ...]:
    """A plan's base fees as the engine checks them; raises InvalidRequest."""
    checked = read_base_fees(raw, path)
    items: Any = raw or ()
    fees = []
    for index, (fee, item) in enumerate(zip(checked, items, strict=True)):
        fields = Fields(item, f"{path}[{index}]")
        amount = fee.amount if fee.quantity is None else fields.price("unit_amount")
        fees.append(FeeTerms(read_key(fields, "key"), amount, fee.quantity, fee.timing, fee.prorate))
    return tuple(fees)


@dataclass(frozen=True, slots=True)
class OneOffFeeTerms:
    """A fee that each subscription pays once: when it starts, or when its trial ends. Never prorated."""

    key: str
    amount: Decimal
    due: str

    def content(self) -> dict[str, Any]:
        """The canonical form."""
        return {"key": self.key, "amount": plain(self.amount), "due": self.due}


def read_one_off_fees(fields: Fields) -> tuple[OneOffFeeTerms, ...]:
    """The field `one_off_fees`, keys all different; raises InvalidRequest."""
    found: dict[str, OneOffFeeTerms] = {}
    for index, item in enumerate(fields.optional_items("one_off_fees")):
        entry = Fields(item, f"{fields.path_to('one_off_fees')}[{index}]")
        key, amount = read_key(entry, "key"), entry.price("amount")
        due = optional_choice(entry, "due", (AT_START, AFTER_TRIAL), AT_START)
        entry.finish()
        if key in found:
            raise entry.error("key", "duplicate", f"{key!r} is taken already")
        found[key] = OneOffFeeTerms(key, amount, due)
    return tuple(found.values())
