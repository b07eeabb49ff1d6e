"""Events by filter: of one customer by its index, or the latest of all; always in a bounded window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models import Q, QuerySet

from accounts.models import ApiKey, BillingEntity, Currency, Customer, Workspace
from accounts.scoping import Viewer, visible
from billing.costs import know_costs
from billing.models import Charge
from billing.reports import spans
from billing.reports.everyone import Everyone
from billing.reports.traces import charges_for
from billing.store_reports import latest_events
from core.api.references import find_referenced
from core.errors import NotFound
from metering.models import UsageEvent

PERIODS: Final = {
    "1h": timedelta(hours=1),
    "": timedelta(days=1),
    "7d": timedelta(days=7),
    "31d": timedelta(days=31),
}
PERIOD_CHOICES: Final = (
    ("", "Last 24 hours"),
    ("1h", "Last hour"),
    ("7d", "Last 7 days"),
    ("31d", "Last 31 days"),
    (spans.CUSTOM, "Custom"),
)
FLAGS: Final = (("unmatched", "No meter hears it"), ("unpriced", "Metered, not priced"))
DAYS_MAX: Final = 92
_AHEAD: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What is looked for: events recorded in `[since, until)`. None or empty = any.

    `problem`: why nothing can be found, in a sentence; empty when the question makes sense.
    """

    since: datetime
    until: datetime
    customer_id: int | None = None
    payer_id: int | None = None
    workspace_id: int | None = None
    api_key_id: int | None = None
    name: str | None = None
    user: str | None = None
    trace: str | None = None
    flag: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event of a list with names, and its charge if there is one. `zone`: the clock of the list."""

    event: UsageEvent
    customer: Customer | None
    payer: BillingEntity | None
    workspace: Workspace | None
    charge: Charge | None
    unit: str | Currency
    zone: str

    @property
    def public_id(self) -> str:
        """The id that the outside sees."""
        return self.event.public_id

    @property
    def amount(self) -> Decimal | None:
        """What it was charged; None when it was only recorded."""
        return self.charge.amount if self.charge else None

    @property
    def lag(self) -> timedelta:
        """From the call to its recording, by two clocks: the caller's and ours."""
        return self.event.recorded_at - self.event.occurred_at

    @property
    def flag(self) -> str:
        """`charged`, or why not: `unmatched`, `unpriced`."""
        if self.charge:
            return "charged"
        return "unmatched" if self.event.unmatched else "unpriced"


def read_filter(viewer: Viewer, query: Mapping[str, str], now: datetime) -> EventFilter:
    """The filter that an address describes. A payer, workspace or key says whose events they are, too."""
    since, until = _window(query, now)
    texts = {name: _text(query, name) for name in ("name", "user", "trace")}
    found = EventFilter(since, until, **texts, flag=query.get("flag", ""))  # type: ignore[arg-type]
    try:
        return _narrowed(viewer, query, found)
    except NotFound as error:
        return replace(found, problem=error.message)


def events_matching(viewer: Viewer, wanted: EventFilter) -> QuerySet[UsageEvent]:
    """A customer's events; order them by `-id`, which the primary key serves."""
    assert wanted.customer_id is not None, "whose events these are is known"
    rows = visible(UsageEvent, viewer).filter(
        customer_id=wanted.customer_id, recorded_at__gte=wanted.since, recorded_at__lt=wanted.until
    )
    columns = {
        "billing_entity_id": wanted.payer_id,
        "workspace_id": wanted.workspace_id,
        "api_key_id": wanted.api_key_id,
        "name": wanted.name,
        "user": wanted.user,
        "trace": wanted.trace,
    }
    rows = rows.filter(**{name: value for name, value in columns.items() if value is not None})
    return rows.filter(Q(**{wanted.flag: True})) if wanted.flag in dict(FLAGS) else rows


def everyones_events(viewer: Viewer, wanted: EventFilter) -> Everyone[UsageEvent]:
    """The events of all customers."""
    find = partial(
        latest_events,
        wanted.since,
        wanted.until,
        name=wanted.name,
        user=wanted.user,
        trace=wanted.trace,
        is_unmatched=wanted.flag == "unmatched",
        is_unpriced=wanted.flag == "unpriced",
    )
    return Everyone(viewer, UsageEvent, find)


def describe_events(
    viewer: Viewer, events: Sequence[UsageEvent], units: Mapping[str, Currency]
) -> list[EventRow]:
    """What goes with events of any customers, in at most seven statements.

    Instants are shown on the payer's clock if there is one payer, else in UTC.
    """
    know_costs(events)
    charges = charges_for(viewer, events)
    customers = visible(Customer, viewer).in_bulk({event.customer_id for event in events})
    payers = visible(BillingEntity, viewer).in_bulk({event.billing_entity_id for event in events})
    spaces = visible(Workspace, viewer).in_bulk(
        {event.workspace_id for event in events if event.workspace_id}
    )
    zones = {payer.time_zone for payer in payers.values()}
    zone = zones.pop() if len(zones) == 1 else "UTC"
    rows = []
    for event in sorted(events, key=_moment, reverse=True):
        payer = payers.get(event.billing_entity_id)
        currency = payer.currency if payer else ""
        rows.append(
            EventRow(
                event,
                customers.get(event.customer_id),
                payer,
                spaces.get(event.workspace_id or 0),
                charges.get(event.id),
                units.get(currency, currency),
                zone,
            )
        )
    return rows


def _moment(event: UsageEvent) -> tuple[datetime, int, int]:
    """Ids of one millisecond are in no order; the payer's running numbers are."""
    return event.recorded_at, event.billing_entity_id, event.seq


def _window(query: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    choice = query.get("period", "")
    if choice == spans.CUSTOM:
        start, end = spans.read_span(query, now.astimezone(UTC).date()).bounds(ZoneInfo("UTC"))
        return max(start, end - timedelta(days=DAYS_MAX)), end
    return now - PERIODS.get(choice, PERIODS[""]), now + _AHEAD


def _text(query: Mapping[str, str], name: str) -> str | None:
    return query.get(name, "").replace("\x00", "").strip() or None


def _narrowed(viewer: Viewer, query: Mapping[str, str], found: EventFilter) -> EventFilter:
    """With the rows that references name; raises NotFound for one that names nothing."""
    ids: dict[str, Any] = {}
    customers: set[int] = set()
    if customer := _text(query, "customer"):
        customers.add(_find_customer(viewer, customer).pk)
    for name, model, prefix, column in (
        ("payer", BillingEntity, "be", "payer_id"),
        ("workspace", Workspace, "ws", "workspace_id"),
        ("key", ApiKey, "key", "api_key_id"),
    ):
        if reference := _text(query, name):
            row: Any = find_referenced(visible(model, viewer), prefix, reference)
            ids[column] = row.pk
            customers.add(row.customer_id)
    if len(customers) > 1:
        raise NotFound("not_found", "These do not belong to one customer.")
    return replace(found, **ids, customer_id=next(iter(customers), None))


def _find_customer(viewer: Viewer, text: str) -> Customer:
    """By public id, external id, or a name that only one customer has in it."""
    try:
        return find_referenced(visible(Customer, viewer), "cus", text)
    except NotFound:
        named = list(visible(Customer, viewer).filter(name__icontains=text).order_by("pk")[:2])
    if len(named) == 1:
        return named[0]
    exact = [one for one in named if one.name.casefold() == text.casefold()]
    if exact:
        return exact[0]
    what = "Several customers have" if named else "No customer has"
    raise NotFound("not_found", f"{what} {text[:80]!r} as id or in the name.")
