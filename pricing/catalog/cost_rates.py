"""Cost rates in plan files: what vendors take per unit of an event's property, from an instant on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from core.currencies import ISO_DECIMALS
from core.errors import InvalidRequest
from core.instants import parse_instant
from metering.aggregation import parse_filter
from metering.aggregation.filters import Condition
from pricing.rating.fields import Fields

_VENDOR_LENGTH_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class CostRateSpec:
    """What one vendor takes for one property of an event in `[starts_at, ends_at)`; null = per event."""

    vendor: str
    event: str
    property_path: str | None
    filter: tuple[dict[str, Any], ...]
    conditions: tuple[Condition, ...]
    unit_cost: Decimal
    currency: str
    starts_at: datetime
    ends_at: datetime | None

    @property
    def series(self) -> tuple[Any, ...]:
        """What it is the rate of, and from when: there is one rate for each."""
        return (self.vendor, self.event, self.property_path, self.conditions, self.starts_at)


def read_cost_rate(raw: object, path: str) -> CostRateSpec:
    """An entry of the section `cost_rates`; raises InvalidRequest."""
    fields = Fields(raw, path)
    vendor, event = fields.name("vendor"), fields.name("event")
    if len(vendor) > _VENDOR_LENGTH_MAX:
        raise fields.error("vendor", "invalid_value", f"may have at most {_VENDOR_LENGTH_MAX} characters")
    measured = None if fields.value("property") is None else fields.name("property")
    if measured is not None and not all(measured.split(".")):
        raise fields.error("property", "invalid_value", "must be a path such as usage.tokens")
    conditions = parse_filter(fields.value("filter"), fields.path_to("filter"))
    currency = fields.name("currency")
    if currency not in ISO_DECIMALS:
        raise fields.error(
            "currency", "unknown_currency", "must be an ISO 4217 code in capitals, such as USD"
        )
    starts_at = parse_instant(fields.required("starts_at"), fields.path_to("starts_at"))
    ends = fields.value("ends_at")
    ends_at = None if ends is None else parse_instant(ends, fields.path_to("ends_at"))
    if ends_at is not None and ends_at <= starts_at:
        raise InvalidRequest(
            "invalid_period",
            f"{fields.path_to('ends_at')} must be after starts_at.",
            fields.path_to("ends_at"),
        )
    unit_cost = fields.price("unit_cost")
    written = tuple(fields.value("filter") or ())
    fields.finish()
    return CostRateSpec(vendor, event, measured, written, conditions, unit_cost, currency, starts_at, ends_at)
