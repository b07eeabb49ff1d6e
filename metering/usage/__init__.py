"""Usage as time series: what meters counted, per period, from hourly buckets or from events."""

from metering.usage.asking import usage_series
from metering.usage.questions import Scope, UsageQuestion, find_meters, find_scope
from metering.usage.series import UsagePoint, UsageSeries
from metering.usage.windows import Granularity, Window, make_window

__all__ = [
    "Granularity",
    "Scope",
    "UsagePoint",
    "UsageQuestion",
    "UsageSeries",
    "Window",
    "find_meters",
    "find_scope",
    "make_window",
    "usage_series",
]
