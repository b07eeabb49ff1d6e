"""Reversing an event, and re-rating charges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from accounts.models import BillingEntity
from billing.models import Charge, Reversal
from billing.rerating import rerate_events
from billing.reversals.transaction import run
from core import clock
from core.database_errors import explain_constraint
from core.errors import Conflict
from core.numbers import CONTEXT, ZERO
from metering.models import UsageEvent

READ_AT_ONCE: Final = 1000
Cause = Reversal.Cause


@dataclass(slots=True)
class ReChargedUsage:
    """What a re-rating did: events whose charges were taken back, events charged (again or for the first
    time), and what both came to, in the payer's currency."""

    reversed: int = 0
    charged: int = 0
    reversed_amount: Decimal = ZERO
    charged_amount: Decimal = ZERO

    @property
    def difference(self) -> Decimal:
        """What the payer pays more (positive) or less now."""
        return CONTEXT.add(self.reversed_amount, self.charged_amount)


def reverse_event(event: UsageEvent, *, reason: str, by: str = "") -> Reversal:
    """Let a stored event count for nothing: its charges, cost and usage are taken back by new entries.

    The event and its charges stay as they are. Raises Conflict `already_reversed`.
    """
    entity = BillingEntity.objects.get(pk=event.billing_entity_id)
    (row,) = _events(entity, [(event.id, event.recorded_at)])
    work = run([row], entity.currency, clock.now(), cause=Cause.EVENT, reason=reason, by=by)
    return work.reversals[0][0]


def rerate_charges(
    payer: BillingEntity, charges: Iterable[Charge], now: datetime, reason: str, by: str = ""
) -> ReChargedUsage:
    """Take back the charges of these charges' events and charge the events again at what covers them now.

    Charges that were taken back before may be among them: what stands of their events now counts. An event
    that was reversed is left alone; one that nothing prices any more is not charged again. One transaction
    over the payer, or a part of the caller's. Everything is taken back, the latest first, before anything is
    charged, in `seq` order. Memory grows with the number of charges.
    """
    events = {(charge.event_id, charge.event_recorded_at) for charge in charges}
    rows = _events(payer, sorted(events))
    done = ReChargedUsage()
    if not rows:
        return done
    work = run(rows, payer.currency, now, cause=Cause.RERATING, reason=reason, by=by)
    done.reversed = sum(bool(charges) for _, charges in work.reversals.values())
    done.charged = len(work.charged)
    for reversal, _ in work.reversals.values():
        done.reversed_amount = CONTEXT.add(done.reversed_amount, reversal.amount)
    for charged in work.charged:
        done.charged_amount = CONTEXT.add(done.charged_amount, charged.amount)
    return done


def rerate_usage(
    payer: BillingEntity,
    since: datetime,
    until: datetime | None,
    now: datetime,
    reason: str,
    by: str = "",
) -> ReChargedUsage:
    """Re-rate all of a payer's usage that occurred in `[since, until)`: for changes that are backdated.

    What was charged is charged again; what nothing had priced is charged if there is a price now. The caller
    has changed the subscription before, in the same transaction.
    """
    charges = Charge.objects.filter(
        customer_id=payer.customer_id, billing_entity_id=payer.pk, occurred_at__gte=since
    )
    if until is not None:
        charges = charges.filter(occurred_at__lt=until)
    done = rerate_charges(payer, charges.order_by("seq"), now, reason, by)
    first = rerate_events(payer, since=since, until=until)
    done.charged += first.charged
    done.charged_amount = CONTEXT.add(done.charged_amount, first.amount)
    return done


def _events(payer: BillingEntity, ids: Sequence[tuple[UUID, datetime]]) -> list[UsageEvent]:
    """The events, in `seq` order, with their properties as text."""
    rows: list[UsageEvent] = []
    for start in range(0, len(ids), READ_AT_ONCE):
        part = ids[start : start + READ_AT_ONCE]
        found: QuerySet[UsageEvent] = UsageEvent.objects.filter(
            customer_id=payer.customer_id,
            billing_entity_id=payer.pk,
            id__in=[pk for pk, _ in part],
            recorded_at__in={recorded_at for _, recorded_at in part},
        )
        rows += found.annotate(properties_text=Cast("properties", TextField()))
    return sorted(rows, key=lambda row: row.seq)


explain_constraint(
    "event_reversed_once", Conflict, "already_reversed", "This event is reversed already.", "event"
)
