"""Telling the operator's staff of new discrepancies: one message for each run that found any, once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db.models import F
from django.db.models.functions import Abs

from billing.models import Discrepancy, OutboxMessage, ReconciliationRun
from core.ids import public_id
from core.numbers import CONTEXT, ZERO, plain

KIND: Final = "reconciliation.discrepancies"
NAMED_MAX: Final = 20
LOOK_BACK: Final = timedelta(days=2)
"""Runs that ended longer ago are not told of any more: whoever switches this on later hears of new ones."""


def tell_discrepancies(now: datetime) -> int:
    """Write a message for each ended run that has found something new of at least the threshold.

    `RECONCILIATION_ALERT_FROM` is in the discrepancy's own unit. Safe to run again, and by several at once.
    Gives how many messages were written.
    """
    runs = ReconciliationRun.objects.filter(finished_at__gt=now - LOOK_BACK, new__gt=0)
    told = OutboxMessage.objects.filter(key__in=[_key(run) for run in runs]).values_list("key", flat=True)
    known = set(told)
    messages = [
        message for run in runs if _key(run) not in known and (message := _message(run, now)) is not None
    ]
    return len(OutboxMessage.objects.bulk_create(messages, ignore_conflicts=True))


def _message(run: ReconciliationRun, now: datetime) -> OutboxMessage | None:
    threshold = settings.RECONCILIATION_ALERT_FROM
    rows = Discrepancy.objects.filter(first_run=run).annotate(size=Abs(F("amount")))
    found = list(rows.filter(size__gte=threshold).order_by("-size", "pk"))
    if not found:
        return None
    return OutboxMessage(
        kind=KIND, key=_key(run), customer_id=None, payload=_payload(run, found), created_at=now
    )


def _payload(run: ReconciliationRun, found: Sequence[Discrepancy]) -> dict[str, Any]:
    drift: dict[str, Decimal] = {}
    for row in found:
        drift[row.unit] = CONTEXT.add(drift.get(row.unit, ZERO), abs(row.amount))
    return {
        "run": run.public_id,
        "count": len(found),
        "drift": {unit: plain(amount) for unit, amount in sorted(drift.items())},
        "discrepancies": [
            {
                "id": row.public_id,
                "link": row.link,
                "type": row.type,
                "subject": row.subject,
                "amount": plain(row.amount),
                "unit": row.unit,
                "customer": None if row.customer_id is None else public_id("cus", row.customer_id),
            }
            for row in found[:NAMED_MAX]
        ],
    }


def _key(run: ReconciliationRun) -> str:
    return f"{KIND}/{run.public_id}"
