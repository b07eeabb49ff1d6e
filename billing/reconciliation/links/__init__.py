"""The links, one module each, in the order in which a run checks them.

A module has the SQL of its link and how its rows become findings, and ends with `LINK`.
"""

from __future__ import annotations

from typing import Final

from billing.reconciliation.link import Link
from billing.reconciliation.links import balances, gateway_counts, provider_payments

LINKS: Final[tuple[Link, ...]] = (balances.LINK, gateway_counts.LINK, provider_payments.LINK)
