"""The aggregations by name, one file each."""

from __future__ import annotations

from typing import Final

from metering.aggregation.avg import Avg
from metering.aggregation.base import Aggregation
from metering.aggregation.count import Count
from metering.aggregation.latest import Latest
from metering.aggregation.max import Max
from metering.aggregation.min import Min
from metering.aggregation.sum import Sum
from metering.aggregation.unique import Unique
from metering.aggregation.weighted_sum import WeightedSum

AGGREGATIONS: Final[dict[str, type[Aggregation]]] = {
    "count": Count,
    "sum": Sum,
    "min": Min,
    "max": Max,
    "avg": Avg,
    "latest": Latest,
    "unique": Unique,
    "weighted_sum": WeightedSum,
}
