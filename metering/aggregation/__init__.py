"""Meters as pure calculation: definitions, filters, aggregations. No Django, no clock, no database."""

from metering.aggregation.definition import Dimensions, MeterDefinition
from metering.aggregation.fold import Aggregated, aggregate_events
from metering.aggregation.parsing import parse_filter, parse_meter

__all__ = ["Aggregated", "Dimensions", "MeterDefinition", "aggregate_events", "parse_filter", "parse_meter"]
