"""The calls that a vendor's bill belongs to, and what was booked of that vendor for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from django.conf import settings
from django.db.models import Case, Exists, F, JSONField, OuterRef, QuerySet, Subquery, When

from billing.models import CostEntry, Reversal, VendorBill
from core.numbers import CONTEXT, ZERO
from metering.exchange import ExchangeTable
from metering.models import UsageEvent

BILL: Final = CostEntry.Source.BILL.value
READ_AT_ONCE: Final = 5000


@dataclass(slots=True)
class PayerBooked:
    """One payer's calls of a bill: how many, what was booked, and how many its currency leaves out."""

    customer_id: int
    calls: int = 0
    left_out: int = 0
    booked: Decimal = ZERO
    has_share: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a bill. `booked`: of the vendor, in the bill's currency (None: not comparable).

    `costs` are all its parts without shares of this vendor's bills; `has_share`: it bears one.
    """

    event: UsageEvent
    booked: Decimal | None
    costs: Sequence[Mapping[str, Any]]
    has_share: bool


@dataclass(frozen=True, slots=True)
class Booked:
    """What a bill finds, by payer."""

    payers: dict[int, PayerBooked] = field(default_factory=dict)

    @property
    def total(self) -> Decimal:
        """What was booked in all, in the bill's currency."""
        found = ZERO
        for each in self.payers.values():
            found = CONTEXT.add(found, each.booked)
        return found


def read_booked(bill: VendorBill, exchange: ExchangeTable) -> Booked:
    """What was booked for a bill's calls, by payer. Reads the month's events."""
    found = Booked()
    for call in calls_of(bill, exchange):
        each = found.payers.setdefault(call.event.billing_entity_id, PayerBooked(call.event.customer_id))
        each.has_share |= call.has_share
        if call.booked is None:
            each.left_out += 1
        else:
            each.calls += 1
            each.booked = CONTEXT.add(each.booked, call.booked)
    return found


def calls_of(
    bill: VendorBill, exchange: ExchangeTable, payer: tuple[int, int] | None = None
) -> Iterator[Call]:
    """The calls of a bill, of all payers or of one (customer, payer), in `seq` order; one stream."""
    rows = _events(bill)
    if payer is not None:
        rows = rows.filter(customer_id=payer[0], billing_entity_id=payer[1])
    for event in rows.order_by("customer_id", "billing_entity_id", "seq").iterator(READ_AT_ONCE):
        yield _call(bill, event, exchange)


def month_of(bill: VendorBill) -> tuple[datetime, datetime]:
    """The bill's month: `[start, end)` in UTC."""
    start = datetime(bill.month.year, bill.month.month, 1, tzinfo=UTC)
    year, month = divmod(bill.month.year * 12 + bill.month.month, 12)
    return start, datetime(year, month + 1, 1, tzinfo=UTC)


def _events(bill: VendorBill) -> QuerySet[UsageEvent]:
    """The month's events with a part of the vendor, that still count; with `known_costs`, `known_cost`."""
    start, end = month_of(bill)
    entries = CostEntry.objects.filter(customer_id=OuterRef("customer_id"), event_id=OuterRef("id"))
    latest = entries.order_by("-pk")
    gone = Reversal.objects.filter(
        customer_id=OuterRef("customer_id"), event_id=OuterRef("id"), cause=Reversal.Cause.EVENT
    )
    known_costs = Case(
        When(Exists(entries), then=Subquery(latest.values("costs")[:1])),
        default=F("costs"),
        output_field=JSONField(),
    )
    known_cost = Case(When(Exists(entries), then=Subquery(latest.values("cost")[:1])), default=F("cost"))
    rows: QuerySet[UsageEvent] = UsageEvent.objects.filter(
        ~Exists(gone),
        occurred_at__gte=start,
        occurred_at__lt=end,
        recorded_at__gte=start - settings.EVENT_AHEAD_MAX,
    )
    if bill.model:
        rows = rows.filter(properties__model=bill.model)
    rows = rows.annotate(known_costs=known_costs, known_cost=known_cost).defer("properties")
    return rows.filter(known_costs__contains=[{"vendor": bill.vendor}])  # type: ignore[misc]


def _call(bill: VendorBill, event: UsageEvent, exchange: ExchangeTable) -> Call:
    parts = event.known_costs  # type: ignore[attr-defined]
    is_share = [part["vendor"] == bill.vendor and part.get("source") == BILL for part in parts]
    kept = [part for part, shared in zip(parts, is_share, strict=True) if not shared]
    booked: Decimal | None = ZERO
    for part in kept:
        if part["vendor"] != bill.vendor or booked is None:
            continue
        amount = exchange.convert(Decimal(part["amount"]), part["currency"], bill.currency, event.occurred_at)
        booked = None if amount is None else CONTEXT.add(booked, amount)
    return Call(event, booked, kept, any(is_share))
