"""A customer's days as charts: usage, revenue, cost, margin."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date

from accounts.models import Currency
from billing.margins import Margin
from billing.reports.customer import OTHER, Course
from core.display.charts import Chart, Series

Figure = Callable[[Margin], Decimal | None]


def course_charts(course: Course, unit: str | Currency, zone: str, locale: Locale) -> list[Chart]:
    """Four charts with the same days; amounts are in `unit`."""
    place = ZoneInfo(zone)
    labels = [format_date(day.start.astimezone(place), "d MMM", locale=locale) for day in course.days]

    def chart(key: str, title: str, series: list[Series], note: str = "", **options: str) -> Chart:
        return Chart(
            key=key,
            title=title,
            labels=labels,
            series=series,
            is_stacked=len(series) > 1,
            open_from=course.open_from,
            note=note,
            unit=options.get("unit", unit),
            measure="quantity" if "unit" in options else "money",
        )

    coverage = course.total.cost_coverage
    is_partial = coverage is not None and coverage < 1
    return [
        chart("usage", "Usage", _by_event(course, lambda margin: Decimal(margin.events)), unit="events"),
        chart("revenue", "Revenue", _by_event(course, lambda margin: margin.revenue)),
        chart(
            "cost",
            "Cost",
            _by_event(course, lambda margin: margin.cost),
            note="What is known of it" if is_partial else "",
        ),
        chart(
            "margin",
            "Margin",
            _margins(course),
            note="Revenue less known cost" if is_partial else "",
        ),
    ]


def _margins(course: Course) -> list[Series]:
    """One series, or two where some days lie below cost: a loss has a colour and a name of its own."""
    values = [day.total.margin for day in course.days]
    gains = [None if value is not None and value < 0 else value for value in values]
    losses = [value if value is not None and value < 0 else None for value in values]
    shown = [Series(label="Margin", values=gains, colour=3)]
    return [*shown, Series(label="Below cost", values=losses, colour=5)] if any(losses) else shown


def _by_event(course: Course, figure: Figure) -> list[Series]:
    """A series for each event name of which there is anything to show; one of nothing if there is none."""
    found = []
    for place, name in enumerate(course.names, start=1):
        values = [figure(day.by_event[name]) if name in day.by_event else None for day in course.days]
        if any(values):
            found.append(Series(label=event_label(name), values=values, colour=6 if name == OTHER else place))
    return found or [Series(label="Nothing", values=[None] * len(course.days))]


def event_label(name: str) -> str:
    """The name of an event as pages write it; base fees are no event of anybody's."""
    return "base fees" if name == "base_fee" else name
