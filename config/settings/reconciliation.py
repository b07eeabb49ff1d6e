"""When the nightly reconciliation begins, and of what it tells staff."""

from __future__ import annotations

from decimal import Decimal

from config.environment import env

RECONCILIATION_HOUR: int = env.int("TOLLGATE_RECONCILIATION_HOUR", 2)
RECONCILIATION_ALERT_FROM: Decimal = Decimal(env.str("TOLLGATE_RECONCILIATION_ALERT_FROM", "0"))
"""How large a new discrepancy is, in its own unit, of which staff is told."""
