"""What asks for somebody's attention: wallets that run out, customers below cost, overspend, denials."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db.models import Count, Sum

from accounts.models import BillingEntity, Customer
from accounts.scoping import Viewer, visible
from billing.balances import Balance, balances_of
from billing.margins import Margin
from billing.models import Denial, Overspend
from billing.reports.comparing import Comparison
from billing.reports.operator import convert
from billing.reports.spans import Span
from billing.store_reports import payer_sums
from core.numbers import CONTEXT, ZERO

RATE_DAYS: Final = 7
DAYS_LEFT_MIN: Final = Decimal(4)
"""Wallets with less than so many days left are named."""
_SHOWN: Final = 6
_RECENT: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class LowWallet:
    """A prepaid payer whose wallet lasts `days_left` more days at its rate of the last week; 0 = empty."""

    payer: BillingEntity
    balance: Decimal
    per_day: Decimal
    days_left: Decimal


@dataclass(frozen=True, slots=True)
class BelowCost:
    """A customer whose known cost is more than its revenue in a span, in the currency of comparison."""

    customer: Customer
    margin: Margin


@dataclass(frozen=True, slots=True)
class Trouble:
    """Money that was spent below the floor, or calls that were denied, of one payer."""

    payer: BillingEntity
    number: int
    amount: Decimal


def low_wallets(viewer: Viewer, now: datetime) -> list[LowWallet]:
    """Prepaid payers about to run out, the most urgent first; four statements."""
    prepaid = visible(BillingEntity, viewer).filter(
        settlement=BillingEntity.Settlement.WALLET_ONLY, status=BillingEntity.Status.ACTIVE
    )
    payers = list(prepaid.select_related("customer"))
    today = now.date()
    spent = {row.payer_id: row.margin.revenue for row in payer_sums(today - timedelta(days=RATE_DAYS), today)}
    found = running_out(payers, balances_of(payers, now), spent)
    return found[:_SHOWN]


def running_out(
    payers: Sequence[BillingEntity], balances: Mapping[int, Balance], spent: Mapping[int, Decimal]
) -> list[LowWallet]:
    """Those with less than DAYS_LEFT_MIN days left. `spent`: in the last RATE_DAYS days. Pure."""
    found = []
    for payer in payers:
        per_day = CONTEXT.divide(spent.get(payer.pk, ZERO), Decimal(RATE_DAYS))
        balance = balances[payer.pk].settled
        if per_day <= 0:
            continue
        days_left = max(ZERO, CONTEXT.divide(balance, per_day))
        if days_left < DAYS_LEFT_MIN:
            found.append(LowWallet(payer, balance, per_day, days_left))
    return sorted(found, key=lambda low: (low.days_left, low.payer.pk))


def below_cost(viewer: Viewer, span: Span, comparison: Comparison) -> list[BelowCost]:
    """The customers sold below cost in the span, the dearest first; three statements."""
    currencies = dict(visible(BillingEntity, viewer).values_list("pk", "currency"))
    sums: defaultdict[int, Margin] = defaultdict(Margin)
    for row in payer_sums(span.first, span.end):
        if row.payer_id in currencies:
            converted = convert(row.margin, currencies[row.payer_id], comparison, comparison.at)
            sums[row.customer_id] += converted or Margin()
    negative = {pk: margin for pk, margin in sums.items() if margin.costed and (margin.margin or ZERO) < 0}
    customers = visible(Customer, viewer).in_bulk(negative)
    found = [BelowCost(customers[pk], margin) for pk, margin in negative.items() if pk in customers]
    return sorted(found, key=lambda one: one.margin.margin or ZERO)[:_SHOWN]


def overspends(viewer: Viewer, since: datetime) -> list[Trouble]:
    """Payers with usage below their floor since an instant, and by how much; two statements."""
    rows = visible(Overspend, viewer).filter(recorded_at__gte=since)
    return _troubles(
        viewer, rows.values("billing_entity_id").annotate(number=Count("seq"), amount=Sum("amount"))
    )


def denials(viewer: Viewer, now: datetime) -> list[Trouble]:
    """Payers with denied calls in the last day, and what the calls would have cost; two statements."""
    rows = visible(Denial, viewer).filter(denied_at__gte=now - _RECENT)
    return _troubles(
        viewer,
        rows.values("billing_entity_id").annotate(number=Count("pk"), amount=Sum("expected_amount")),
    )


def _troubles(viewer: Viewer, rows: object) -> list[Trouble]:
    found = sorted(rows, key=lambda row: -row["number"])[:_SHOWN]  # type: ignore[call-overload]
    payers = (
        visible(BillingEntity, viewer)
        .select_related("customer")
        .in_bulk([row["billing_entity_id"] for row in found])
    )
    return [Trouble(payers[row["billing_entity_id"]], row["number"], row["amount"]) for row in found]
