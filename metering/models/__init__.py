"""How much: meters, events, buckets, costs, quarantine."""

from metering.models.costs import CostRate, ExchangeRate
from metering.models.events import IdempotencyKey, UsageEvent
from metering.models.meters import Meter
from metering.models.quarantine import QuarantinedEvent
from metering.models.usage import UniqueValue, UsageBucket

__all__ = [
    "CostRate",
    "ExchangeRate",
    "IdempotencyKey",
    "Meter",
    "QuarantinedEvent",
    "UniqueValue",
    "UsageBucket",
    "UsageEvent",
]
