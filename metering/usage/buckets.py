"""Series from the hourly buckets: one statement, whose cost does not grow with events."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from django.db.models import Case, F, JSONField, Max, Min, Sum, TextField, Value, When
from django.db.models.expressions import Combinable
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, TruncDay, TruncMonth, TruncWeek

from accounts.scoping import visible
from core.ids import public_id
from core.numbers import CONTEXT, ZERO, round_amount
from metering.models import Meter, UsageBucket
from metering.usage.questions import UsageQuestion
from metering.usage.series import POINTS_MAX, Group, UsagePoint, UsageSeries, refuse_too_many_points
from metering.usage.windows import Granularity, Window

_TRUNCATE: Final = {
    Granularity.DAY: TruncDay,
    Granularity.WEEK: TruncWeek,
    Granularity.MONTH: TruncMonth,
}
_COLUMNS: Final = {"workspace": ("workspace_id", "ws"), "billing_entity": ("billing_entity_id", "be")}


def bucket_series(question: UsageQuestion, meters: Sequence[Meter]) -> dict[tuple[int, Group], UsageSeries]:
    """The series of those of `meters` that keep buckets, by meter id and group; raises TooLarge."""
    by_id = {meter.pk: meter for meter in meters}
    found: dict[tuple[int, Group], UsageSeries] = {}
    sums: dict[tuple[int, Group], list[Any]] = {}
    for meter_id, period, total, largest, smallest, events, *values in _rows(question, meters):
        meter = by_id[meter_id]
        named = zip(question.group_by, values, strict=True)
        group = tuple(_label(name, value, meter) for name, value in named)
        series = found.setdefault((meter_id, group), UsageSeries(meter, group))
        start = max(period, question.window.start)
        value = _value(meter, total, largest, smallest, events)
        series.points.append(UsagePoint(start, question.window.period_end(start), value, events))
        whole = sums.setdefault((meter_id, group), [ZERO, largest, smallest, 0])
        whole[0] = CONTEXT.add(whole[0], total)
        whole[1], whole[2] = max(whole[1], largest), min(whole[2], smallest)
        whole[3] += events
    for key, series in found.items():
        series.total, series.events = _value(series.meter, *sums[key]), sums[key][3]
    return found


def period_column(window: Window) -> Combinable:
    """The start of the local period of column `hour`."""
    if window.granularity is Granularity.HOUR:
        return F("hour")
    return _TRUNCATE[window.granularity]("hour", tzinfo=window.zone)


def _rows(question: UsageQuestion, meters: Sequence[Meter]) -> list[tuple[Any, ...]]:
    scope, window = question.scope, question.window
    rows = visible(UsageBucket, scope.viewer).filter(
        customer_id=scope.customer_id,
        meter_id__in=[meter.pk for meter in meters],
        hour__gte=window.start,
        hour__lt=window.end,
    )
    if scope.payer_id is not None:
        rows = rows.filter(billing_entity_id=scope.payer_id)
    if scope.workspace_id is not None:
        rows = rows.filter(workspace_id=scope.workspace_id)
    labels = {f"label_{n}": _column(name, meters) for n, name in enumerate(question.group_by)}
    counted = (
        rows.annotate(period=period_column(window), **labels)
        .values("meter_id", "period", *labels)
        .annotate(
            total=Sum("quantity"), largest=Max("quantity"), smallest=Min("quantity"), counted=Sum("events")
        )
        .order_by("meter_id", "period")
        .values_list("meter_id", "period", "total", "largest", "smallest", "counted", *labels)
    )
    page = list(counted[: POINTS_MAX + 1])
    if len(page) > POINTS_MAX:
        refuse_too_many_points()
    return page


def _column(name: str, meters: Sequence[Meter]) -> Combinable:
    """What to divide by: a column, or the place of a dimension in each meter's own list."""
    if name in _COLUMNS:
        return F(_COLUMNS[name][0])
    places: dict[int, list[int]] = {}
    for meter in meters:
        if name in meter.group_by:
            places.setdefault(meter.group_by.index(name), []).append(meter.pk)
    array = Cast("dimensions", JSONField())
    return Case(
        *(When(meter_id__in=ids, then=KeyTextTransform(place, array)) for place, ids in places.items()),
        default=Value(None),
        output_field=TextField(),
    )


def _label(name: str, value: Any, meter: Meter) -> str | None:
    if name == "event":
        return meter.event
    if name in _COLUMNS:
        return public_id(_COLUMNS[name][1], value) if value else None
    return None if value is None else str(value)


def _value(meter: Meter, total: Decimal, largest: Decimal, smallest: Decimal, events: int) -> Decimal | None:
    if meter.aggregation == "max":
        return largest
    if meter.aggregation == "min":
        return smallest
    if meter.aggregation == "avg":
        return round_amount(CONTEXT.divide(total, Decimal(events))) if events else None
    return total


__all__ = ["bucket_series", "period_column"]
