"""Hourly buckets of usage, and of revenue and cost, are written anew from events and charges."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from billing.models import MarginBucket, PeriodMargin
from billing.reconciliation.repairs.action import Action, Work
from core.ids import row_id
from core.numbers import CONTEXT, ZERO
from metering.models import UsageBucket

_MARGIN_COLUMNS: Final[Mapping[str, str]] = {"bucket_revenue": "revenue", "bucket_cost": "cost"}


def rebuild_usage_bucket(work: Work) -> None:
    """Set a bucket's quantity, or the number of its events, to what the meter takes from them."""
    (customer_id, payer_id), detail = work.payer, work.finding.detail
    own = {
        "customer_id": customer_id,
        "billing_entity_id": payer_id,
        "meter_id": row_id("mtr", str(detail["meter"])),
        "hour": datetime.fromisoformat(str(detail["hour"])),
        "workspace_id": detail["workspace_id"],
        "dimensions": detail["dimensions"],
    }
    expected = work.finding.expected or ZERO
    values: dict[str, Any] = (
        {"quantity": expected} if work.finding.type == "bucket_quantity" else {"events": int(expected)}
    )
    buckets = UsageBucket.objects.filter(**own)
    if buckets.exists():
        work.set(buckets, work.finding.subject, **values)
    else:
        row = UsageBucket(**own, **({"quantity": ZERO, "events": 0} | values))
        work.insert(row, work.finding.subject, "quantity", "events")


def rebuild_margin_bucket(work: Work) -> None:
    """Set a bucket's revenue, cost or counts to those of its events, and its period's margin with it."""
    (customer_id, payer_id), detail = work.payer, work.finding.detail
    own = {
        "customer_id": customer_id,
        "billing_entity_id": payer_id,
        "hour": datetime.fromisoformat(str(detail["hour"])),
        "workspace_id": detail["workspace_id"],
        "event": detail["event"],
    }
    expected = work.finding.expected or ZERO
    values: dict[str, Any] = {_column(work): expected}
    if work.finding.type == "bucket_events":
        values = {_column(work): int(expected)}
    buckets = MarginBucket.objects.filter(**own)
    before = buckets.values(*values).first()
    if before is not None:
        work.set(buckets, work.finding.subject, **values)
    else:
        work.insert(MarginBucket(**own, **values), work.finding.subject, *values)
    changes = {name: Decimal(values[name] - (before or {}).get(name, 0)) for name in values}
    _move_period(work, own["hour"], changes)


def _column(work: Work) -> str:
    if work.finding.type == "bucket_events":
        return "costed" if work.finding.subject.endswith(" costed") else "events"
    return _MARGIN_COLUMNS[work.finding.type]


def _move_period(work: Work, hour: datetime, changes: Mapping[str, Decimal]) -> None:
    """A period that is kept for the bucket's hour moves as the bucket does, unless it was right already."""
    customer_id, payer_id = work.payer
    periods = PeriodMargin.objects.filter(
        customer_id=customer_id, billing_entity_id=payer_id, starts_at__lte=hour, kept_until__gt=hour
    )
    for period in periods:
        sums = _sums(customer_id, payer_id, period.starts_at, period.kept_until)
        if work.is_read_only:  # the bucket stands as it was
            sums |= {name: CONTEXT.add(sums[name], change) for name, change in changes.items()}
        wrong = {name: sums[name] for name in changes if getattr(period, name) != sums[name]}
        if wrong:
            own = {"starts_at": period.starts_at, "ends_at": period.ends_at}
            work.set(periods.filter(**own), f"period from {period.starts_at.isoformat()}", **wrong)


def rebuild_period_margin(work: Work) -> None:
    """Set what is kept of a period's margin to the sum of its buckets so far."""
    customer_id, payer_id = work.payer
    starts_at = datetime.fromisoformat(work.finding.subject.removeprefix("period from "))
    rows = PeriodMargin.objects.filter(
        customer_id=customer_id, billing_entity_id=payer_id, starts_at=starts_at
    )
    for period in rows:
        sums = _sums(customer_id, payer_id, period.starts_at, period.kept_until)
        wrong = {name: value for name, value in sums.items() if getattr(period, name) != value}
        if wrong:
            work.set(rows.filter(ends_at=period.ends_at), work.finding.subject, **wrong)


def _sums(customer_id: int, payer_id: int, start: datetime, end: datetime) -> dict[str, Any]:
    buckets = MarginBucket.objects.filter(
        customer_id=customer_id, billing_entity_id=payer_id, hour__gte=start, hour__lt=end
    )
    sums: dict[str, Any] = {"events": 0, "costed": 0, "revenue": ZERO, "cost": ZERO}
    for bucket in buckets:
        sums["events"] += bucket.events
        sums["costed"] += bucket.costed
        sums["revenue"] = CONTEXT.add(sums["revenue"], bucket.revenue)
        sums["cost"] = CONTEXT.add(sums["cost"], bucket.cost)
    return sums


USAGE: Final = Action(
    "rebuild_usage_bucket",
    "Write the bucket anew from its events",
    "The bucket holds what the meter takes from the events of its hour. No event or charge changes.",
    frozenset({("buckets", "bucket_quantity"), ("buckets", "bucket_events")}),
    rebuild_usage_bucket,
)
MARGIN: Final = Action(
    "rebuild_margin_bucket",
    "Write the bucket anew from its events and charges",
    "The bucket holds the revenue and cost of its hour again. No price, charge or balance changes.",
    frozenset(("margins", kind) for kind in ("bucket_revenue", "bucket_cost", "bucket_events")),
    rebuild_margin_bucket,
    only_when=lambda discrepancy: "hour" in discrepancy.detail,
)
PERIOD: Final = Action(
    "rebuild_period_margin",
    "Sum the period's margin anew from its buckets",
    "The period's margin is the sum of its hours again. No price, charge or balance changes.",
    frozenset({("margins", "period_margin")}),
    rebuild_period_margin,
)
