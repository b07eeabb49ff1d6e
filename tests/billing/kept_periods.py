"""What the periods with a margin floor came to: what is kept of them, and what is looked up beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Sum

from accounts.models import BillingEntity
from billing.hours import hour_start
from billing.models import MarginBucket, PeriodMargin
from billing.store_margins import PeriodRow, periods_of
from core import clock
from core.sql import driver

NAMES = ("events", "costed", "revenue", "cost")


def wholes(payer: BillingEntity) -> list[PeriodRow]:
    """The payer's kept periods as those who look see them, the earliest first; checked from scratch."""
    check_kept(payer)
    return sorted(periods_of(driver(), payer.customer_id, payer.pk), key=lambda row: row.key)


def whole(payer: BillingEntity) -> PeriodRow:
    """The payer's only one."""
    (row,) = wholes(payer)
    return row


def check_kept(payer: BillingEntity) -> None:
    """What is kept is what the buckets of its hours come to, and with the later ones the whole; nothing is
    kept that a process whose clock is an hour behind books into."""
    shown = {row.key: row for row in periods_of(driver(), payer.customer_id, payer.pk)}
    periods = list(PeriodMargin.objects.filter(billing_entity_id=payer.pk))
    assert len(shown) == len(periods)
    for period in periods:
        key = (period.customer_id, payer.pk, period.starts_at.isoformat(), period.ends_at.isoformat())
        assert figures(period) == _sums(period, period.kept_until)
        assert figures(shown[key]) == _sums(period, period.ends_at)  # type: ignore[index]
        running = datetime.fromisoformat(hour_start(clock.now(), payer.time_zone))
        assert period.kept_until <= max(period.starts_at, running - timedelta(hours=1))
        assert period.starts_at <= period.kept_until <= period.ends_at


def figures(row: Any) -> tuple[Any, ...]:
    """What it came to: events, costed, revenue, cost."""
    return tuple(getattr(row, name) for name in NAMES)


def _sums(period: PeriodMargin, until: datetime) -> tuple[Any, ...]:
    buckets = MarginBucket.objects.filter(
        customer_id=period.customer_id,
        billing_entity_id=period.billing_entity_id,
        hour__gte=period.starts_at.astimezone(UTC),
        hour__lt=until,
    )
    found = buckets.aggregate(**{f"all_{name}": Sum(name) for name in NAMES})
    return tuple(found[f"all_{name}"] or 0 for name in NAMES)
