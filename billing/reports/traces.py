"""The events of one job: one price, what its vendors took, what is left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import BillingEntity, Currency, Workspace
from accounts.scoping import Viewer, visible
from billing.costs import know_costs
from billing.margins import Margin
from billing.models import Charge, ReRating, Reversal
from core.errors import NotFound
from core.numbers import CONTEXT, ZERO
from metering.models import UsageEvent

EVENTS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One event of a trace, `after` its first one, with its charge if there is one."""

    event: UsageEvent
    after: timedelta
    charge: Charge | None
    payer: BillingEntity
    workspace: Workspace | None
    unit: str | Currency

    @property
    def amount(self) -> Decimal:
        """What it was charged; 0 when it was only recorded."""
        return self.charge.amount if self.charge else ZERO


@dataclass(slots=True)
class TraceTotal:
    """All events of the trace in one currency. `is_convertible`: no vendor cost lacked an exchange rate."""

    unit: str | Currency
    margin: Margin = field(default_factory=Margin)
    is_convertible: bool = True


@dataclass(frozen=True, slots=True)
class VendorTotal:
    """What one vendor took for the trace, in the currency in which it charges."""

    vendor: str
    currency: str
    amount: Decimal
    events: int


@dataclass(frozen=True, slots=True)
class TraceFacts:
    """A trace. `is_cut`: it has more events than are shown and summed here."""

    steps: Sequence[TraceStep]
    totals: Sequence[TraceTotal]
    vendors: Sequence[VendorTotal]
    is_cut: bool

    @property
    def duration(self) -> timedelta:
        """From its first event to its last."""
        return self.steps[-1].after


def find_trace(viewer: Viewer, customer_id: int, trace: str, units: Mapping[str, Currency]) -> TraceFacts:
    """A trace of a customer in order of time, by index, in at most seven statements; raises NotFound."""
    rows = visible(UsageEvent, viewer).filter(customer_id=customer_id, trace=trace)
    events = list(rows.order_by("occurred_at", "recorded_at", "seq")[: EVENTS_MAX + 1])
    is_cut, events = len(events) > EVENTS_MAX, events[:EVENTS_MAX]
    if not events:
        raise NotFound("not_found", "There is no such trace.")
    know_costs(events)
    charges = charges_for(viewer, events)
    payers = visible(BillingEntity, viewer).in_bulk({event.billing_entity_id for event in events})
    spaces = visible(Workspace, viewer).in_bulk(
        {event.workspace_id for event in events if event.workspace_id}
    )
    steps = []
    for event in events:
        payer = payers[event.billing_entity_id]
        steps.append(
            TraceStep(
                event=event,
                after=event.occurred_at - events[0].occurred_at,
                charge=charges.get(event.id),
                payer=payer,
                workspace=spaces.get(event.workspace_id or 0),
                unit=units.get(payer.currency, payer.currency),
            )
        )
    return TraceFacts(steps, _totals(steps), _vendors(events), is_cut)


def charges_for(viewer: Viewer, events: Sequence[UsageEvent]) -> dict[UUID, Charge]:
    """The charges of events that stand, by event id, made with them or later; in two to four statements."""
    customers = {event.customer_id for event in events}
    charges = visible(Charge, viewer).filter(customer_id__in=customers)
    found = _by_event(charges, {event.id: event.recorded_at for event in events})
    missing = [event.id for event in events if event.id not in found]
    if missing:
        later = visible(ReRating, viewer).filter(customer_id__in=customers, event_id__in=missing)
        found |= _by_event(charges, {row.charge_id: row.recorded_at for row in later})
    return _standing(viewer, charges, found, events)


def _standing(
    viewer: Viewer, charges: QuerySet[Charge], found: dict[UUID, Charge], events: Sequence[UsageEvent]
) -> dict[UUID, Charge]:
    """The charges that stand: without those that were taken back, with those that were made instead."""
    back = visible(Reversal, viewer).filter(
        customer_id__in={event.customer_id for event in events}, event_id__in=[event.id for event in events]
    )
    again: dict[UUID, datetime] = {}
    latest = {row.event_id: row for row in back.order_by("seq")}
    for event_id, row in latest.items():
        found.pop(event_id, None)
        if row.replaced_by is not None:
            again[row.replaced_by] = row.recorded_at
    return found | _by_event(charges, again)


def _by_event(charges: QuerySet[Charge], recorded: Mapping[UUID, datetime]) -> dict[UUID, Charge]:
    """Charges of these ids, from the partitions of the instants at which they were recorded."""
    if not recorded:
        return {}
    instants = recorded.values()
    rows = charges.filter(
        id__in=list(recorded), recorded_at__gte=min(instants), recorded_at__lte=max(instants)
    )
    return {charge.event_id: charge for charge in rows}


def _totals(steps: Sequence[TraceStep]) -> list[TraceTotal]:
    totals: dict[str, TraceTotal] = {}
    for step in steps:
        total = totals.setdefault(step.payer.currency, TraceTotal(step.unit))
        event = step.event
        total.margin += Margin(
            events=1,
            costed=int(event.cost is not None),
            unmatched=int(event.unmatched),
            unpriced=int(event.unpriced),
            revenue=step.amount,
            known_cost=event.cost or ZERO,
        )
        total.is_convertible &= event.costs is None or event.cost is not None
    return list(totals.values())


def _vendors(events: Sequence[UsageEvent]) -> list[VendorTotal]:
    sums: defaultdict[tuple[str, str], list[Any]] = defaultdict(lambda: [ZERO, 0])
    for event in events:
        for part in event.costs or ():
            found = sums[part["vendor"], part["currency"]]
            found[0] = CONTEXT.add(found[0], Decimal(part["amount"]))
            found[1] += 1
    return [VendorTotal(*key, *found) for key, found in sorted(sums.items())]
