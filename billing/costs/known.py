"""What is known now of the costs of stored events: as recorded, or as a later row says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Case, Exists, F, OuterRef, QuerySet, Subquery, When

from billing.models import CostEntry
from metering.models import UsageEvent

EventId = tuple[int, UUID]
"""(customer id, event id)"""


class KnownCost(NamedTuple):
    """The parts of an event's cost (None: nothing is known), and their total in the payer's currency."""

    costs: list[dict[str, Any]] | None
    cost: Decimal | None


def later_costs(customer_ids: Iterable[int], event_ids: Any) -> dict[EventId, KnownCost]:
    """What became known later of these events (ids, or a query of them), by id; one statement."""
    rows = CostEntry.objects.filter(customer_id__in=set(customer_ids), event_id__in=event_ids)
    latest = rows.order_by("customer_id", "event_id", "-pk").distinct("customer_id", "event_id")
    found = latest.values_list("customer_id", "event_id", "costs", "cost")
    return {(customer_id, event_id): KnownCost(costs, cost) for customer_id, event_id, costs, cost in found}


def known_costs(events: Sequence[UsageEvent]) -> dict[UUID, KnownCost]:
    """What is known now of the costs of one customer's events; one statement."""
    found = later_costs({event.customer_id for event in events}, [event.id for event in events])
    return {
        event.id: found.get((event.customer_id, event.id), KnownCost(event.costs, event.cost))
        for event in events
    }


def know_costs(events: Sequence[UsageEvent]) -> None:
    """Let events that were read bear the costs that are known of them now; one statement, none for none.

    For showing and summing. What an event is priced from is the cost that it was recorded with.
    """
    if not events:
        return
    later = later_costs({event.customer_id for event in events}, [event.id for event in events])
    for event in events:
        found = later.get((event.customer_id, event.id))
        if found is not None:
            event.costs, event.cost = found


def with_known_cost(events: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
    """The events with `known_cost`, where there are too many to read."""
    entries = CostEntry.objects.filter(customer_id=OuterRef("customer_id"), event_id=OuterRef("id"))
    latest = Subquery(entries.order_by("-pk").values("cost")[:1])
    return events.annotate(known_cost=Case(When(Exists(entries), then=latest), default=F("cost")))
