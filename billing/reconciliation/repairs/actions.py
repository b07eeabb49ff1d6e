"""The repairs, in the order in which they are offered."""

from __future__ import annotations

from typing import Final

from billing.reconciliation.repairs import (
    balances,
    buckets,
    counters,
    grants,
    held,
    keys,
    limits,
    messages,
    payments,
    quarantine,
    transfers,
)
from billing.reconciliation.repairs.action import Action

ACTIONS: Final[tuple[Action, ...]] = (
    transfers.ACTION,
    balances.ACTION,
    held.ACTION,
    grants.ACTION,
    counters.ACTION,
    keys.ACTION,
    limits.COUNTER,
    limits.HOLD,
    limits.PLACE,
    buckets.USAGE,
    buckets.MARGIN,
    buckets.PERIOD,
    quarantine.ACTION,
    payments.BOOK,
    payments.ADJUST,
    messages.ACTION,
)
