"""The quantity that a gateway names: which property of the event it is.

It stands in the event as `quantity`. Where the event's meters measure one other property and nobody says what
that is, it is that property, too: a gateway that counts tokens need not know what the meter calls them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from metering.catalogue import MeterCatalogue

QUANTITY: Final = "quantity"
NO_NUMBER: Final = ("count", "unique")
"""Aggregations that measure no property."""


def with_measured(
    event: str, properties: dict[str, Any], said: Collection[str], meters: MeterCatalogue
) -> dict[str, Any]:
    """The properties with the quantity under the meters' name for it, unless `said` has that name."""
    if QUANTITY not in properties:
        return properties
    name = measured_property(event, meters)
    return properties if name is None or name in said else {**properties, name: properties[QUANTITY]}


def measured_property(event: str, meters: MeterCatalogue) -> str | None:
    """The one property other than `quantity` that an event's meters measure; None for none or several."""
    names = {
        meter.definition.property for meter in meters.meters_for(event) if meter.aggregation not in NO_NUMBER
    }
    if len(names) != 1:
        return None
    (name,) = names
    return None if name is None or name == QUANTITY or "." in name else name
