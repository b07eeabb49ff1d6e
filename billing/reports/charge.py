"""One charge with everything that it came from: event, prices, who paid, what moved, what vendors took."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import F, Func, OuterRef, QuerySet, Subquery, TextField

from accounts.models import ApiKey, BillingEntity, Currency, Customer, Workspace
from accounts.scoping import Viewer, visible
from billing.costs import know_costs
from billing.models import (
    Authorization,
    Charge,
    CreditGrant,
    Overspend,
    ReRating,
    Reversal,
    Transfer,
)
from billing.reports.charge_lines import LineSteps, line_steps
from billing.reports.comparing import currency_units
from billing.reversals.finding import reversals_of
from core.errors import NotFound
from core.ids import hot_id, hot_row, uuid7_at
from core.numbers import CONTEXT
from metering.models import UsageEvent
from pricing.models import Component
from pricing.rating.component import read_component
from pricing.sheet import MODEL_WORDS

AROUND: Final = timedelta(seconds=2)
"""How far the instant in an id may be from `recorded_at`, so that only one or two partitions are read."""


@dataclass(frozen=True, slots=True)
class ChargeLine:
    """One component's part of a charge. `component` is the published row that priced it; `dimensions`: the
    names and values of the group in which it was rated."""

    stored: Mapping[str, Any]
    component: Component
    dimensions: Sequence[tuple[str, str | None]]
    steps: LineSteps

    @property
    def amount(self) -> Decimal:
        """What this line costs."""
        return Decimal(self.stored["amount"])

    @property
    def words(self) -> str:
        """What its model of pricing means."""
        return MODEL_WORDS[self.component.definition["model"]]


@dataclass(frozen=True, slots=True)
class Paid:
    """A part of a charge and who paid it: a grant, the wallet beyond its grants, or the receivable."""

    component: str
    account: str
    amount: Decimal
    grant: CreditGrant | None


@dataclass(frozen=True, slots=True)
class EventFacts:
    """An event with who called and who pays. `properties` is its JSON, written out exactly; `hold`: the id of
    the authorization that it captured, empty for none."""

    event: UsageEvent
    properties: str
    customer: Customer
    payer: BillingEntity
    workspace: Workspace | None
    api_key: ApiKey | None
    unit: str | Currency
    hold: str = ""

    @property
    def lag(self) -> timedelta:
        """From the call to its recording, by two clocks: the caller's and ours."""
        return self.event.recorded_at - self.event.occurred_at

    @property
    def is_convertible(self) -> bool:
        """False when costs are known but no exchange rate brought them into the payer's currency."""
        return self.event.costs is None or self.event.cost is not None


@dataclass(frozen=True, slots=True)
class ChargeFacts:
    """A charge, explained."""

    charge: Charge
    facts: EventFacts
    lines: Sequence[ChargeLine]
    paid: Sequence[Paid]
    transfers: Sequence[Transfer]
    overspend: Overspend | None
    reversals: Sequence[Reversal] = ()

    @property
    def reversal(self) -> Reversal | None:
        """What this charge takes back, if it is a reversal."""
        return next((row for row in self.reversals if row.charge_id == self.charge.id), None)

    @property
    def reversed_by(self) -> Reversal | None:
        """The reversal by which this charge was taken back."""
        return next(
            (
                row
                for row in self.reversals
                if any(taken.charge_id == self.charge.id for taken in row.reversed_charges.all())
            ),
            None,
        )

    @property
    def margin(self) -> Decimal | None:
        """What is left after the vendors; None while their cost is not known."""
        cost = self.facts.event.cost
        return None if cost is None else CONTEXT.subtract(self.charge.amount, cost)

    @property
    def margin_rate(self) -> Decimal | None:
        """The margin as a part of the amount; None without either, and where value was given back."""
        if self.margin is None or self.charge.amount <= 0:
            return None
        return CONTEXT.divide(self.margin, self.charge.amount)

    @property
    def is_rerated(self) -> bool:
        """Whether it was made later, by choice, for an event that nothing had priced."""
        is_own = self.charge.event_recorded_at == self.charge.recorded_at
        return not is_own and self.reversal is None


def explain_charge(viewer: Viewer, public: str) -> ChargeFacts:
    """The charge of a public id, in at most fourteen statements by key; raises NotFound."""
    charge = find_charge(viewer, public)
    events = visible(UsageEvent, viewer).filter(
        customer_id=charge.customer_id, id=charge.event_id, recorded_at=charge.event_recorded_at
    )
    facts = describe_event(viewer, events)
    own = {"customer_id": charge.customer_id, "billing_entity_id": charge.billing_entity_id}
    transfers = visible(Transfer, viewer).filter(**own, seq=charge.seq, recorded_at=charge.recorded_at)
    overspend = visible(Overspend, viewer).filter(**own, seq=charge.seq).first()
    lines, paid = _lines(charge, facts.event.cost), _paid(viewer, charge)
    know_costs([facts.event])
    moved = list(transfers.order_by("position"))
    reversals = reversals_of(charge.customer_id, charge.event_id)
    return ChargeFacts(charge, facts, lines, paid, moved, overspend, reversals)


def find_charge(viewer: Viewer, public: str) -> Charge:
    """The charge of a public id, read from its own partition; raises NotFound."""
    customer_id, uuid = hot_row("ch", public)
    charge: Charge | None = _near(
        visible(Charge, viewer).filter(customer_id=customer_id, id=uuid), uuid
    ).first()
    if charge is None:
        raise NotFound("not_found", "There is no such charge.")
    return charge


def find_event(viewer: Viewer, public: str) -> EventFacts:
    """The event of a public id, read from its own partition; raises NotFound."""
    customer_id, uuid = hot_row("evt", public)
    rows = visible(UsageEvent, viewer).filter(customer_id=customer_id, id=uuid)
    facts = describe_event(viewer, _near(rows, uuid))
    know_costs([facts.event])
    return facts


def charge_of_event(viewer: Viewer, event: UsageEvent) -> Charge | None:
    """The charge that was made for an event, with it or later, or its reversal; None: only recorded."""
    charges = visible(Charge, viewer).filter(customer_id=event.customer_id)
    back = visible(Reversal, viewer).filter(customer_id=event.customer_id, event_id=event.id)
    latest = back.order_by("seq").last()
    if latest is not None:
        shown = latest.replaced_by or latest.charge_id
        return charges.filter(id=shown, recorded_at=latest.recorded_at).first()
    found = charges.filter(id=event.id, recorded_at=event.recorded_at).first()
    if found is not None:
        return found
    later = visible(ReRating, viewer).filter(customer_id=event.customer_id, event_id=event.id).first()
    if later is None:
        return None
    return charges.filter(id=later.charge_id, recorded_at=later.recorded_at).first()


def describe_event(viewer: Viewer, events: QuerySet[UsageEvent]) -> EventFacts:
    """The one event in `events` with what it refers to; raises NotFound."""
    pretty = Func(F("properties"), function="jsonb_pretty", output_field=TextField())
    captured = visible(Authorization, viewer).filter(
        customer_id=OuterRef("customer_id"), event_id=OuterRef("id")
    )
    event: Any = events.annotate(written=pretty, hold=Subquery(captured.values("id")[:1])).first()
    if event is None:
        raise NotFound("not_found", "There is no such event.")
    payers = visible(BillingEntity, viewer).select_related("customer")
    payer = payers.get(pk=event.billing_entity_id)
    workspace = visible(Workspace, viewer).filter(pk=event.workspace_id).first()
    key = visible(ApiKey, viewer).filter(pk=event.api_key_id).first() if event.api_key_id else None
    unit = currency_units().get(payer.currency, payer.currency)
    hold = hot_id("auth", event.customer_id, event.hold) if event.hold else ""
    return EventFacts(event, event.written, payer.customer, payer, workspace, key, unit, hold)


def _near(rows: QuerySet[Any], uuid: Any) -> QuerySet[Any]:
    """Only the partitions of the instant that a UUIDv7 carries; a made-up id finds nothing."""
    try:
        at = uuid7_at(uuid)
        return rows.filter(recorded_at__gte=at - AROUND, recorded_at__lte=at + AROUND)
    except (OverflowError, ValueError, OSError):
        return rows.none()


def _lines(charge: Charge, cost: Decimal | None) -> list[ChargeLine]:
    components = Component.objects.select_related("meter", "version__plan").in_bulk(
        [line["component_id"] for line in charge.lines]
    )
    found = []
    for line in charge.lines:
        row = components[line["component_id"]]
        rating = read_component(
            row.definition, aggregation="max" if row.meter.aggregation == "max" else "sum"
        )
        values = json.loads(line["dimensions"]) if rating.group_dimensions else []
        dimensions = list(zip(rating.group_dimensions, values, strict=True))
        found.append(ChargeLine(line, row, dimensions, line_steps(rating, line, cost)))
    return found


def _paid(viewer: Viewer, charge: Charge) -> list[Paid]:
    ids = [part["grant"] for part in charge.funding if part["grant"] is not None]
    grants = visible(CreditGrant, viewer).filter(customer_id=charge.customer_id).in_bulk(ids) if ids else {}
    return [
        Paid(part["component"], part["account"], Decimal(part["amount"]), grants.get(part["grant"]))
        for part in charge.funding
    ]
