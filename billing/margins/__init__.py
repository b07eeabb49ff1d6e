"""Revenue, cost and margin as time series, from hourly buckets or, for a user, a key or a trace, from events.

Every margin carries its cost coverage, because an unknown cost is no cost of 0.
"""

from billing.margins.asking import MarginQuestion, margin_series
from billing.margins.figures import Margin, MarginPoint, MarginSeries

__all__ = ["Margin", "MarginPoint", "MarginQuestion", "MarginSeries", "margin_series"]
