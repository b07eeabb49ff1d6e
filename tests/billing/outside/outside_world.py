"""A small world whose outside is told by tests: a key, its calls, and a provider's list."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from accounts.models import ApiKey
from billing.reconciliation.finding import Checked, Finding
from billing.reconciliation.link import Link
from billing.reconciliation.scope import Scope
from core import clock
from core.sql import driver
from tests.accounts.caller import Caller

Told = tuple[str, str, str, str]
"""(type, expected, actual, amount)"""


def check_outside(link: Link) -> Checked:
    """What the link finds now."""
    return link.check(Scope(driver(), [], clock.now()))


def told(findings: Sequence[Finding]) -> list[Told]:
    """The findings in short, - where a side has nothing."""
    return [(one.type, _text(one.expected), _text(one.actual), _text(one.difference)) for one in findings]


def call_by_key(caller: Caller, key: ApiKey, number: str, at: datetime, **fields: Any) -> None:
    """A call of a key, sent by a program."""
    event = {
        "idempotency_key": number,
        "event": "completion",
        "api_key": key.public_id,
        "occurred_at": at.isoformat(),
        "properties": {"tokens": 1},
    }
    report = caller.post("/v1/events", {"events": [event | fields]}).json
    assert report["rejected"] == 0, report


def count(caller: Caller, key: ApiKey, hour: datetime, calls: int, **fields: Any) -> None:
    """What a gateway counted."""
    row = {"api_key": key.public_id, "hour": hour.isoformat(), "calls": calls}
    row |= {name: fields.pop(name) for name in ("event",) if name in fields}
    caller.made("/v1/gateway-counts", {"counts": [row]} | fields)


def listed(caller: Caller, *payments: dict[str, Any], until: datetime | None = None) -> None:
    """A list of the provider `stripe`, that covers the last thirty days."""
    now = until or clock.now()
    covers = {
        "covers_from": (now - timedelta(days=30)).isoformat(),
        "covers_until": now.isoformat(),
    }
    rows = [{"currency": "USD", "at": (now - timedelta(days=2)).isoformat()} | row for row in payments]
    caller.made("/v1/payment-statements", {"provider": "stripe", "payments": rows} | covers)


def _text(value: Any) -> str:
    return "-" if value is None else f"{value.normalize():f}"
