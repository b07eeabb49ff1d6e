"""Meters beside what customers cost: for choosing the value metric, and for setting a price. From buckets.

A customer here is a payer: it has one currency. Quantities are of meters whose buckets add up (count, sum,
unique); costs are what is known of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.conf import settings
from django.db.models import QuerySet, Sum, TextField
from django.db.models.functions import Cast

from accounts.models import BillingEntity
from billing.costs import with_known_cost
from billing.margins import Margin
from billing.models import MarginBucket
from core.jsonio import decode_json
from core.numbers import CONTEXT, ZERO
from metering.catalogue import CompiledMeter, compile_meter
from metering.models import Meter, UsageBucket, UsageEvent
from pricing.cycles import Period
from pricing.simulation.metrics import MetricFit, Point, fit_metric, rank
from pricing.simulation.unit_costs import UnitCosts, unit_costs

ADDITIVE: Final = ("count", "sum", "unique")
UNIT_COST_DAYS: Final = 30
ROWS_AT_ONCE: Final = 5000


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """The meters of one currency, best value metric first, and the figures of its customers in all."""

    currency: str
    customers: int
    total: Margin
    fits: tuple[tuple[Meter, MetricFit], ...]


def compare_metrics(window: Period, currency: str | None = None) -> list[MetricComparison]:
    """Every tracked meter that was used in the window's hours, by currency (None: all); five statements."""
    payers = (
        BillingEntity.objects.all() if currency is None else BillingEntity.objects.filter(currency=currency)
    )
    currencies = dict(payers.values_list("pk", "currency"))
    margins = _margins(window, currencies)
    meters = {meter.pk: meter for meter in Meter.objects.filter(aggregation__in=ADDITIVE)}
    quantities = _quantities(window, meters)
    by_currency: dict[str, dict[int, Margin]] = {}
    for payer_id, margin in margins.items():
        by_currency.setdefault(currencies[payer_id], {})[payer_id] = margin
    return [_comparison(code, theirs, meters, quantities) for code, theirs in sorted(by_currency.items())]


def unit_costs_of(keys: Collection[str], currency: str, now: datetime) -> dict[str, UnitCosts]:
    """The unit costs over the last 30 days of the meters with these keys, of payers in `currency`.

    A meter's cost is that of the events that it counts: if several meters count an event, each bears its
    whole cost. Reads buckets; events only of meters with a filter.
    """
    window = Period(now - timedelta(days=UNIT_COST_DAYS), now)
    meters = {meter.pk: meter for meter in Meter.objects.filter(key__in=list(keys), aggregation__in=ADDITIVE)}
    payers = BillingEntity.objects.filter(currency=currency)
    quantities = _quantities(window, meters, payers)
    costs = _costs(window, list(meters.values()), payers)
    return {
        meter.key: unit_costs(
            Point(quantity, costs.get((pk, payer_id), ZERO)) for payer_id, quantity in quantities[pk].items()
        )
        for pk, meter in meters.items()
    }


def _comparison(
    currency: str,
    margins: Mapping[int, Margin],
    meters: Mapping[int, Meter],
    quantities: Mapping[int, Mapping[int, Decimal]],
) -> MetricComparison:
    total = Margin()
    for margin in margins.values():
        total += margin
    fits = {}
    for pk, used in quantities.items():
        if used.keys() & margins.keys():
            points = [Point(used.get(payer, ZERO), margin.known_cost) for payer, margin in margins.items()]
            fits[meters[pk].key] = fit_metric(points, total.revenue)
    by_key = {meter.key: meter for meter in meters.values()}
    ranked = tuple((by_key[key], fits[key]) for key in rank(fits))
    return MetricComparison(currency, len(margins), total, ranked)


def _margins(window: Period, payer_ids: Collection[int]) -> dict[int, Margin]:
    rows = MarginBucket.objects.filter(hour__gte=window.start, hour__lt=window.end)
    summed = rows.values("billing_entity_id").annotate(
        count=Sum("events"), known_of=Sum("costed"), earned=Sum("revenue"), known=Sum("cost")
    )
    return {
        row["billing_entity_id"]: Margin(
            events=row["count"], costed=row["known_of"], revenue=row["earned"], known_cost=row["known"]
        )
        for row in summed.iterator(ROWS_AT_ONCE)
        if row["billing_entity_id"] in payer_ids
    }


def _quantities(
    window: Period, meters: Mapping[int, Meter], payers: QuerySet[BillingEntity] | None = None
) -> dict[int, dict[int, Decimal]]:
    """By meter and payer."""
    rows = UsageBucket.objects.filter(meter_id__in=list(meters), hour__gte=window.start, hour__lt=window.end)
    if payers is not None:
        rows = rows.filter(billing_entity_id__in=payers.values("pk"))
    summed = rows.values_list("meter_id", "billing_entity_id").annotate(total=Sum("quantity"))
    found: dict[int, dict[int, Decimal]] = {pk: {} for pk in meters}
    for meter_id, payer_id, total in summed.iterator(ROWS_AT_ONCE):
        found[meter_id][payer_id] = total
    return found


def _costs(
    window: Period, meters: Iterable[Meter], payers: QuerySet[BillingEntity]
) -> dict[tuple[int, int], Decimal]:
    """By meter and payer: what the events that it counts cost."""
    whole = [meter for meter in meters if not meter.filter]
    filtered = [compile_meter(meter) for meter in meters if meter.filter]
    rows = MarginBucket.objects.filter(
        hour__gte=window.start,
        hour__lt=window.end,
        event__in={meter.event for meter in whole},
        billing_entity_id__in=payers.values("pk"),
    )
    found: dict[tuple[int, int], Decimal] = {}
    for event, payer_id, cost in rows.values_list("event", "billing_entity_id").annotate(known=Sum("cost")):
        for meter in whole:
            if meter.event == event:
                found[meter.pk, payer_id] = cost
    return found | (_costs_of_events(window, filtered, payers) if filtered else {})


def _costs_of_events(
    window: Period, meters: Iterable[CompiledMeter], payers: QuerySet[BillingEntity]
) -> dict[tuple[int, int], Decimal]:
    hearing: defaultdict[str, list[CompiledMeter]] = defaultdict(list)
    for meter in meters:
        hearing[meter.definition.event].append(meter)
    rows = UsageEvent.objects.filter(
        name__in=list(hearing),
        occurred_at__gte=window.start,
        occurred_at__lt=window.end,
        recorded_at__gte=window.start - settings.EVENT_AHEAD_MAX,
        billing_entity_id__in=payers.values("pk"),
    )
    found: defaultdict[tuple[int, int], Decimal] = defaultdict(lambda: ZERO)
    known = with_known_cost(rows).filter(known_cost__isnull=False)  # type: ignore[misc]
    read = known.annotate(text=Cast("properties", TextField())).values_list(
        "name", "billing_entity_id", "text", "known_cost"
    )
    for name, payer_id, text, cost in read.iterator(ROWS_AT_ONCE):
        properties = decode_json(text.encode())
        for meter in hearing[name]:
            if meter.matches(properties):
                found[meter.id, payer_id] = CONTEXT.add(found[meter.id, payer_id], cost or ZERO)
    return dict(found)
