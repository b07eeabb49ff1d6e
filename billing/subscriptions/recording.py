"""Noting what was done to a subscription, so that its timeline can be folded from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from pricing.locked import Locked
from pricing.models import SubscriptionChange

Action, Status = SubscriptionChange.Action, SubscriptionChange.Status


def noted(locked: Locked, changes: Iterable[SubscriptionChange], now: datetime) -> list[SubscriptionChange]:
    """Rows of changes, and before a subscription's first one, of what it started with; not stored yet.

    A change whose time has come is `applied`, another one `scheduled`.
    """
    row, rows = locked.row, []
    for change in changes:
        change.customer_id, change.subscription, change.created_at = row.customer_id, row, now
        change.status = Status.APPLIED if change.at <= now else Status.SCHEDULED
        change.applied_at = now if change.at <= now else None
        rows.append(change)
    if not rows or any(change.action == Action.START for change in locked.changes):
        return rows
    start = SubscriptionChange(
        customer_id=row.customer_id,
        subscription=row,
        action=Action.START,
        status=Status.APPLIED,
        at=row.starts_at,
        version=row.version,
        quantities=row.quantities,
        anchor_at=row.anchor_at,
        created_at=now,
        applied_at=now,
    )
    return [start, *rows]


def record(wanted: Sequence[tuple[Locked, Sequence[SubscriptionChange]]], now: datetime) -> None:
    """Store changes of many subscriptions, in their order; one statement."""
    rows = [(locked, noted(locked, changes, now)) for locked, changes in wanted]
    SubscriptionChange.objects.bulk_create([change for _, changes in rows for change in changes])
    for locked, changes in rows:
        locked.add(changes)
