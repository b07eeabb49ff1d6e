"""The gateway's check: how long a call's hold stands, and what is answered when the fault is ours."""

from __future__ import annotations

from datetime import timedelta

from config.environment import env

GATEWAY_FAIL_OPEN: bool = env.str("TOLLGATE_GATEWAY_FAIL", "closed") == "open"
"""Whether a call passes when we cannot decide; `X-Tollgate-Fail: open|closed` says so for one call."""

GATEWAY_HOLD: timedelta = timedelta(seconds=env.int("TOLLGATE_GATEWAY_HOLD_SECONDS", 600))
"""How long a call may take, and its line in the access log may wait, before its hold expires."""
