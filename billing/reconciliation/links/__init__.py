"""The links, one module each, in the order in which a run checks them.

A module has the SQL of its link and how its rows become findings, and ends with `LINK`.
"""

from __future__ import annotations

from typing import Final

from billing.reconciliation.link import Link
from billing.reconciliation.links import (
    balances,
    bills,
    buckets,
    charges,
    counters,
    grants,
    holds,
    keys,
    limits,
    margins,
    numbers,
    periods,
    rating,
    transfers,
)

LINKS: Final[tuple[Link, ...]] = (
    keys.LINK,
    numbers.LINK,
    charges.LINK,
    rating.LINK,
    counters.LINK,
    buckets.LINK,
    margins.LINK,
    transfers.LINK,
    balances.LINK,
    grants.LINK,
    holds.LINK,
    limits.LINK,
    periods.LINK,
    bills.LINK,
)
