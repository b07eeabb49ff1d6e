"""What simulations read of billing: costs by payer, and the events that were reversed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from django.db.models import Sum

from billing.models import MarginBucket, Reversal
from pricing.cycles import Period
from pricing.simulation import Cost, PayerRow


def costs_of(payers: Sequence[PayerRow], window: Period) -> Mapping[int, Cost]:
    """What vendors took for the payers' events in the hours of the window; one statement."""
    rows = MarginBucket.objects.filter(
        customer_id__in={payer.customer_id for payer in payers},
        billing_entity_id__in=[payer.id for payer in payers],
        hour__gte=window.start,
        hour__lt=window.end,
    )
    summed = rows.values("billing_entity_id").annotate(
        known=Sum("cost"), count=Sum("events"), known_of=Sum("costed")
    )
    return {row["billing_entity_id"]: Cost(row["known"], row["count"], row["known_of"]) for row in summed}


def reversed_events(payers: Sequence[PayerRow], window: Period) -> Collection[UUID]:
    """The payers' events that were reversed, so that they count for nothing; one statement.

    Those from before the window too: its first segments began there, and levels are carried in.
    """
    rows = Reversal.objects.filter(
        cause=Reversal.Cause.EVENT,
        customer_id__in={payer.customer_id for payer in payers},
        billing_entity_id__in=[payer.id for payer in payers],
    )
    return set(rows.values_list("event_id", flat=True))
