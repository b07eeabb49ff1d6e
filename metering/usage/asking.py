"""From a question to its series: buckets where they can tell, events where only they can."""

from __future__ import annotations

from typing import Final

from metering.models import Meter
from metering.usage.buckets import bucket_series
from metering.usage.narrow import EventFilter, all_events, event_series
from metering.usage.questions import UsageQuestion
from metering.usage.series import UsageSeries, empty_series, sorted_series

WITHOUT_BUCKETS: Final = frozenset({Meter.Aggregation.LATEST, Meter.Aggregation.WEIGHTED_SUM})


def usage_series(question: UsageQuestion, counting: EventFilter = all_events) -> list[UsageSeries]:
    """The series of a question, by meter key and group. At most four statements.

    `counting`: which events count where events are read; buckets are without those that do not.
    A meter that was asked for by name and counted nothing has an empty series, unless the question divides.
    Raises TooLarge when the answer, or the events to read for it, would be too many.
    """
    meters = list(Meter.objects.order_by("key")) if question.meters is None else list(question.meters)
    by_event = [meter for meter in meters if question.scope.is_narrow or meter.aggregation in WITHOUT_BUCKETS]
    by_bucket = [meter for meter in meters if meter not in by_event]
    found = bucket_series(question, by_bucket) if by_bucket else {}
    if by_event:
        found |= event_series(question, by_event, counting)
    series = list(found.values())
    if question.meters is not None and not question.group_by:
        counted = {one.meter.pk for one in series}
        series += [empty_series(meter) for meter in meters if meter.pk not in counted]
    return sorted_series(series)
