"""Usage that a change puts under another price: taken back and charged again by new entries."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.conf import settings

from accounts.models import BillingEntity
from billing.reversals.verbs import rerate_usage
from core.numbers import ZERO
from metering.models import UsageEvent

UUID7_SHIFT: Final = 80


def rerate_since(entity: BillingEntity, since: datetime, now: datetime, reason: str) -> Decimal:
    """Rate a payer's usage from `since` on at what covers it now; what the payer pays more (or less).

    What was charged is taken back by new entries and charged again; what nothing priced is charged if there
    is a price now. A part of the caller's transaction, in which the subscription has changed.
    """
    if since >= now and not _came_ahead(entity, since):
        return ZERO
    return rerate_usage(entity, since, None, now, reason).difference


def _came_ahead(entity: BillingEntity, since: datetime) -> bool:
    """Whether usage from `since` on is there already: a caller's clock may be ahead. By a range of ids,
    which begin with the millisecond in which they were made."""
    earliest = since - settings.EVENT_AHEAD_MAX
    first = UUID(int=int(earliest.timestamp() * 1000) << UUID7_SHIFT)
    events = UsageEvent.objects.filter(customer_id=entity.customer_id, id__gte=first)
    return events.filter(
        billing_entity_id=entity.pk, recorded_at__gte=earliest, occurred_at__gte=since
    ).exists()
