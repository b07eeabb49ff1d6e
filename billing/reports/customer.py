"""One customer: who it is, and how its days went, from hourly buckets on its payer's clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from accounts.models import ApiKey, BillingEntity, Customer, Workspace
from accounts.scoping import Viewer, visible
from billing.margins import Margin, MarginQuestion, MarginSeries, margin_series
from billing.models import CreditGrant
from billing.reports.spans import Span
from core.api.references import find_referenced
from metering.models import Meter
from metering.usage import Granularity, Scope, UsageQuestion, UsageSeries, Window, make_window, usage_series
from metering.usage.asking import WITHOUT_BUCKETS

NAMES_SHOWN: Final = 5
OTHER: Final = "other"


@dataclass(frozen=True, slots=True)
class CustomerFrame:
    """What every page of a customer shows around its own: the customer, its payers, how much there is."""

    customer: Customer
    payers: Sequence[BillingEntity]
    workspaces: int
    api_keys: int
    open_grants: int

    def payer(self, payer_id: int) -> BillingEntity | None:
        """One of its payers."""
        return next((payer for payer in self.payers if payer.pk == payer_id), None)

    @property
    def alike(self) -> bool:
        """Whether all payers have one currency and one clock, so that their days can be shown together."""
        return len({(payer.currency, payer.time_zone) for payer in self.payers}) == 1


def find_customer(viewer: Viewer, reference: str) -> Customer:
    """The customer of a public or external id; raises NotFound."""
    return find_referenced(visible(Customer, viewer), "cus", reference)


def find_frame(viewer: Viewer, reference: str) -> CustomerFrame:
    """The frame of the customer that `reference` names, in two statements; raises NotFound."""
    counted = visible(Customer, viewer).annotate(
        workspace_count=_count(visible(Workspace, viewer)),
        key_count=_count(visible(ApiKey, viewer)),
        grant_count=_count(visible(CreditGrant, viewer).filter(remaining__gt=0, voided_at=None)),
    )
    customer: Any = find_referenced(counted, "cus", reference)
    payers = visible(BillingEntity, viewer).filter(customer=customer).order_by("pk")
    return CustomerFrame(
        customer, list(payers), customer.workspace_count, customer.key_count, customer.grant_count
    )


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one local day: by event name, and together."""

    start: datetime
    by_event: Mapping[str, Margin]
    total: Margin


@dataclass(frozen=True, slots=True)
class Course:
    """The days of a span with their figures; `names` are the event names that matter most, then `other`.

    `before` are the figures of the span it is compared with. `open_from`: the index of the day that is not
    over yet.
    """

    days: Sequence[Day]
    names: Sequence[str]
    total: Margin
    before: Margin
    by_event: Mapping[str, Margin]
    open_from: int | None


def customer_course(
    viewer: Viewer, frame: CustomerFrame, payer: BillingEntity | None, span: Span, now: datetime
) -> Course:
    """The days of one payer, or (None) of all, which then have one currency and clock. Two statements."""
    clock_of = payer or frame.payers[0]
    zone = ZoneInfo(clock_of.time_zone)
    start, end = span.bounds(zone)
    earlier = span.before().bounds(zone)
    window = make_window(earlier[0], end, Granularity.DAY, zone, now)
    scope = _scope(viewer, frame, payer)
    found = margin_series(MarginQuestion(scope, window, group_by=("event",)))
    by_event = {str(series.group[0]): series for series in found}
    names = _names(by_event, start)
    days = list(_days(window, start, by_event, names))
    return Course(
        days=days,
        names=names,
        total=_sum(day.total for day in days),
        before=_sum(point.margin for series in found for point in series.points if point.start < earlier[1]),
        by_event={name: _sum(day.by_event.get(name, Margin()) for day in days) for name in names},
        open_from=next((n for n, day in enumerate(days) if now < window.period_end(day.start)), None),
    )


def meter_courses(
    viewer: Viewer, frame: CustomerFrame, payer: BillingEntity | None, span: Span, now: datetime
) -> list[tuple[UsageSeries, list[Decimal]]]:
    """The meters that counted something in the span, each with its quantity of every day. Two statements.

    Meters that keep no buckets (latest, weighted_sum) are left out: they would read every event.
    """
    zone = ZoneInfo((payer or frame.payers[0]).time_zone)
    window = make_window(*span.bounds(zone), Granularity.DAY, zone, now)
    meters = tuple(Meter.objects.exclude(aggregation__in=WITHOUT_BUCKETS).order_by("key"))
    series = usage_series(UsageQuestion(_scope(viewer, frame, payer), window, meters))
    starts = [start for start, _ in window.periods()]
    counted = [one for one in series if one.events]
    return [(one, _daily(one, starts)) for one in counted]


def _daily(series: UsageSeries, starts: Iterable[datetime]) -> list[Decimal]:
    values = {point.start: point.value or Decimal(0) for point in series.points}
    return [values.get(start, Decimal(0)) for start in starts]


def _scope(viewer: Viewer, frame: CustomerFrame, payer: BillingEntity | None) -> Scope:
    zone = ZoneInfo((payer or frame.payers[0]).time_zone)
    return Scope(viewer, frame.customer.pk, zone, payer_id=None if payer is None else payer.pk)


def _names(by_event: Mapping[str, MarginSeries], start: datetime) -> list[str]:
    """The names with the most revenue, then events; what is left is `other`."""

    def weight(name: str) -> tuple[Decimal, int, str]:
        margin = _sum(point.margin for point in by_event[name].points if point.start >= start)
        return -margin.revenue, -margin.events, name

    names = sorted(by_event, key=weight)
    return names if len(names) <= NAMES_SHOWN else [*names[:NAMES_SHOWN], OTHER]


def _days(
    window: Window, start: datetime, by_event: Mapping[str, MarginSeries], names: Sequence[str]
) -> Iterable[Day]:
    figures: dict[datetime, dict[str, Margin]] = {}
    for event, series in by_event.items():
        name = event if event in names else OTHER
        for point in series.points:
            day = figures.setdefault(point.start, {})
            day[name] = day.get(name, Margin()) + point.margin
    for day_start, _ in window.periods():
        if day_start >= start:
            found = figures.get(day_start, {})
            yield Day(day_start, found, _sum(found.values()))


def _sum(margins: Iterable[Margin]) -> Margin:
    total = Margin()
    for margin in margins:
        total += margin
    return total


def _count(rows: QuerySet[Any]) -> Any:
    own = rows.filter(customer_id=OuterRef("pk")).order_by().values("customer_id")
    return Coalesce(Subquery(own.annotate(number=Count(F("pk"))).values("number")), 0)
