"""Charges as lists show them: with the names of what called, and the cost of their events.

Charges are read by customer through the primary key, the latest first; what goes with them (event name, cost,
workspace) is read for the page shown only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import BillingEntity, Currency, Workspace
from accounts.scoping import Viewer, visible
from billing.costs import know_costs
from billing.models import Charge
from core.ids import hot_id
from core.numbers import CONTEXT
from metering.models import UsageEvent


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """A charge of a list. `unit`: its currency as shown; `zone`: the list's clock. Cost None: not known."""

    charge: Charge
    event: UsageEvent | None
    payer: BillingEntity | None
    workspace: Workspace | None
    unit: str | Currency
    zone: str

    @property
    def public_id(self) -> str:
        """The id that the outside sees."""
        return self.charge.public_id

    @property
    def event_id(self) -> str:
        """The public id of its event."""
        return hot_id("evt", self.charge.customer_id, self.charge.event_id)

    @property
    def event_name(self) -> str:
        """What happened."""
        return self.event.name if self.event else ""

    @property
    def cost(self) -> Decimal | None:
        """What vendors take for it, in the payer's currency."""
        return self.event.cost if self.event else None

    @property
    def margin(self) -> Decimal | None:
        """What is left of the amount; None while the cost is not known."""
        return None if self.cost is None else CONTEXT.subtract(self.charge.amount, self.cost)

    @property
    def lag(self) -> timedelta:
        """From the call to its charge, by two clocks: the caller's and ours."""
        return self.charge.recorded_at - self.charge.occurred_at


def charges_of(viewer: Viewer, customer_id: int) -> QuerySet[Charge]:
    """A customer's charges; order them by `-id`, which the primary key serves."""
    return visible(Charge, viewer).filter(customer_id=customer_id)


def describe_charges(
    viewer: Viewer, charges: Sequence[Charge], units: Mapping[str, Currency]
) -> list[ChargeRow]:
    """What goes with charges, in four statements; those of one instant by payer and running number.

    Instants are shown on the payer's clock if there is one payer, else in UTC.
    """
    events = events_of(viewer, charges)
    payers = (
        visible(BillingEntity, viewer)
        .select_related("customer")
        .in_bulk({charge.billing_entity_id for charge in charges})
    )
    workspaces = visible(Workspace, viewer).in_bulk(
        {charge.workspace_id for charge in charges if charge.workspace_id}
    )
    zones = {payer.time_zone for payer in payers.values()}
    zone = zones.pop() if len(zones) == 1 else "UTC"
    return [
        ChargeRow(
            charge,
            events.get(charge.event_id),
            payers.get(charge.billing_entity_id),
            workspaces.get(charge.workspace_id or 0),
            units.get(charge.currency, charge.currency),
            zone,
        )
        for charge in sorted(charges, key=_moment, reverse=True)
    ]


def _moment(charge: Charge) -> tuple[datetime, int, int]:
    """Ids of one millisecond are in no order; the payer's running numbers are."""
    return charge.recorded_at, charge.billing_entity_id, charge.seq


def events_of(viewer: Viewer, charges: Sequence[Charge]) -> dict[UUID, UsageEvent]:
    """The events of charges, by id: by primary key, in the partitions concerned."""
    if not charges:
        return {}
    instants: list[datetime] = [charge.event_recorded_at for charge in charges]
    rows = visible(UsageEvent, viewer).filter(
        customer_id__in={charge.customer_id for charge in charges},
        id__in=[charge.event_id for charge in charges],
        recorded_at__gte=min(instants),
        recorded_at__lte=max(instants),
    )
    events = list(rows)
    know_costs(events)
    return {event.id: event for event in events}
