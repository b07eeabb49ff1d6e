"""The holds that a batch asks for: those that it captures, and those whose ids reported events bear."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from billing.charging.planning import Planned
from billing.charging.requests import Mode
from billing.holds import HoldId
from billing.ledger import PayerId
from billing.store_authorizations import read_holds
from core.errors import NotFound
from core.ids import hot_row
from core.pipeline import Answer, Pipeline


def send_wanted(
    pipe: Pipeline, items: Sequence[Planned], payers: Sequence[PayerId], now: datetime
) -> Answer | None:
    """Read, with the rest of a batch, what it captures and what fell due; None where nothing is captured."""
    ids = {(one.customer_id, one.id) for item in items if (one := item.request.authorization) is not None}
    ids |= {named for item in items if (named := named_hold(item)) is not None}
    return read_holds(pipe, sorted(ids), payers, now) if ids else None


def named_hold(item: Planned) -> HoldId | None:
    """The hold whose id is the key of an event that is reported."""
    key = item.request.event.idempotency_key
    if item.request.mode is not Mode.REPORT or not key.startswith("auth_"):
        return None
    try:
        return hot_row("auth", key)
    except NotFound:
        return None
