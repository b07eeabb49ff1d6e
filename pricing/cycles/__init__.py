"""Billing periods as pure calculation: where cycles begin and end, and parts of an amount. No Django."""

from pricing.cycles.cycle import Anchor, Cycle, Interval, Period
from pricing.cycles.midnight import local_midnight
from pricing.cycles.proration import Proration, prorate

__all__ = ["Anchor", "Cycle", "Interval", "Period", "Proration", "local_midnight", "prorate"]
