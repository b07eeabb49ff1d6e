"""Which properties of an event must stay: those on which money depends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from metering.models import CostRate, Meter
from metering.vendor_costs import PROPERTIES as VENDOR_PROPERTIES
from pricing.models import Component
from pricing.pricelist import compile_component

EVERY: Final = "*"
"""Kept of every event, whatever its name."""


class Keeper:
    """Knows, for each event name, which properties stay and why. Reads meters, components and cost rates.

    A property stays when a meter that hears the event measures it, filters or groups by it; when a price
    depends on it; when a cost rate or the vendors' price table reads it. Charges, positions and costs could
    not be recomputed without it. Nothing else stays.
    """

    def __init__(self) -> None:
        self._reasons: dict[str, dict[str, str]] = defaultdict(dict)
        for name in VENDOR_PROPERTIES:
            self._keep(EVERY, name, "a vendor's price depends on it")
        for rate in CostRate.objects.all():
            paths = [rate.property_path, *_filtered(rate.filter)]
            self._keep_all(rate.event, paths, f"a cost rate of {rate.vendor} reads it")
        for meter in Meter.objects.all():
            paths = [meter.property_path, *_filtered(meter.filter), *meter.group_by]
            self._keep_all(meter.event, paths, f"the meter {meter.key} reads it")
        for component in Component.objects.select_related("meter"):
            paths = list(compile_component(component).rating.group_dimensions)
            self._keep_all(component.meter.event, paths, f"the price of {component.key} depends on it")

    def reason(self, event: str, name: str) -> str | None:
        """Why a top-level property of an event stays; None when it may be erased."""
        return self._reasons[event].get(name) or self._reasons[EVERY].get(name)

    def _keep_all(self, event: str, paths: Iterable[str | None], reason: str) -> None:
        for path in paths:
            if path:
                self._keep(event, path, reason)
                self._keep(event, path.split(".")[0], reason)

    def _keep(self, event: str, name: str, reason: str) -> None:
        self._reasons[event].setdefault(name, reason)


def _filtered(conditions: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(condition["property"]) for condition in conditions]
