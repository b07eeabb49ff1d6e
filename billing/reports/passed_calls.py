"""What the operator is exposed to by failing open: calls that passed while nobody decided, by payer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from accounts.models import BillingEntity
from billing.store_passed import passed_sums


@dataclass(frozen=True, slots=True)
class PassedCalls:
    """A payer's calls that passed unasked and were settled afterwards, in its currency.

    `overspent` of `amount` went below the floor that a check would have kept.
    """

    payer: BillingEntity
    calls: int
    first_at: datetime
    last_at: datetime
    settled_at: datetime
    amount: Decimal
    overspent: Decimal


def passed_calls(since: datetime) -> list[PassedCalls]:
    """Of all payers, what was settled since; the largest overspend first. Two statements."""
    sums = passed_sums(since)
    payers = BillingEntity.objects.select_related("customer").in_bulk({one.payer_id for one in sums})
    return [PassedCalls(payers[one.payer_id], *one[2:]) for one in sums]
