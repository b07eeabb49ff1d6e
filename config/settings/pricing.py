"""How much notice customers get of a price change, unless a reason is typed."""

from __future__ import annotations

from datetime import timedelta

from config.environment import env

ROLLOUT_NOTICE_MIN: timedelta = timedelta(days=env.int("TOLLGATE_ROLLOUT_NOTICE_DAYS", 30))
