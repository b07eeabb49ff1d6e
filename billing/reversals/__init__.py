"""Taking back what was charged, by new entries: an event that is to count for nothing, and charges that
are made again at what covers their events now. docs/algorithms/reversals.md says what the numbers mean."""

from __future__ import annotations

from billing.reversals.verbs import ReChargedUsage, rerate_charges, rerate_usage, reverse_event

__all__ = ["ReChargedUsage", "rerate_charges", "rerate_usage", "reverse_event"]
