"""When the nightly reconciliation begins."""

from __future__ import annotations

from config.environment import env

RECONCILIATION_HOUR: int = env.int("TOLLGATE_RECONCILIATION_HOUR", 2)
