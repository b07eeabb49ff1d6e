"""The holds that a batch has to know: those it captures, those that its keys made, and those of its payers
whose time is over.

A batch in which nothing is captured, whose payers hold nothing and whose keys are new reads nothing here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from billing.book import PayerBook
from billing.charging.planning import Planned
from billing.charging.requests import Mode
from billing.holds import Hold, HoldId
from billing.ledger import PayerId
from billing.store_authorizations import hold_from_row, read_holds
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


def read_standing(
    raw: psycopg.Connection[Any],
    wanted: Answer | None,
    found_keys: Iterable[Sequence[Any]],
    locked: Iterable[Sequence[Any]],
    now: datetime,
) -> dict[HoldId, Hold]:
    """The holds to know, by id: one more statement where keys have counted or an account has something held.

    `found_keys` are rows of `find_keys`, `locked` those of `send_lock`.
    """
    ids = [(row[0], row[3]) for row in found_keys]
    holding = [(row[0], row[1]) for row in locked if row[3]] if wanted is None else []
    rows = wanted.fetchall() if wanted is not None else []
    if ids or holding:
        rows = rows + read_holds(raw, ids, holding, now).fetchall()
    return {(row[0], row[1]): hold_from_row(row) for row in rows}


def expire(books: Mapping[PayerId, PayerBook], holds: Iterable[Hold], now: datetime) -> None:
    """Free what the locked payers' holds reserve whose time is over."""
    of_payer: dict[PayerId, list[Hold]] = defaultdict(list)
    for hold in holds:
        of_payer[hold.payer].append(hold)
    for payer, theirs in of_payer.items():
        if payer in books:
            books[payer].expire(theirs, now)


def named_hold(item: Planned) -> HoldId | None:
    """The hold whose id is the key of an event that is reported."""
    key = item.request.event.idempotency_key
    if item.request.mode is not Mode.REPORT or not key.startswith("auth_"):
        return None
    try:
        return hot_row("auth", key)
    except NotFound:
        return None
