"""The holds that a transaction has to know: those it asks for, and those of its payers whose time is over.

Where no payer has something held and nothing is asked for, nothing is read here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg

from billing.book import PayerBook
from billing.holds import Hold, HoldId
from billing.ledger import PayerId
from billing.store_authorizations import hold_from_row, read_holds, read_reserved
from core.pipeline import Answer


@dataclass(slots=True)
class Standing:
    """The holds to know, by id, and what open holds count on of limited grants, by payer and grant."""

    holds: dict[HoldId, Hold]
    reserved: dict[PayerId, dict[int, Decimal]]

    def settle(self, books: Mapping[PayerId, PayerBook], now: datetime) -> None:
        """Let the books know what holds count on, and free what those reserve whose time is over."""
        for payer, reserved in self.reserved.items():
            books[payer].funds.reserved = reserved
        of_payer: dict[PayerId, list[Hold]] = defaultdict(list)
        for hold in self.holds.values():
            of_payer[hold.payer].append(hold)
        for payer, theirs in of_payer.items():
            if payer in books:
                books[payer].expire(theirs, now)


def read_standing(
    raw: psycopg.Connection[Any],
    wanted: Answer | None,
    found_keys: Iterable[Sequence[Any]],
    locked: Sequence[Sequence[Any]],
    grants: Iterable[Sequence[Any]],
    now: datetime,
) -> Standing:
    """What there is to know: one more statement where keys have counted or an account has something held, one
    more where it has and a grant of its is limited to components.

    `found_keys` are rows of `find_keys`, `locked` those of `send_lock`, `grants` those of `read_grants`.
    """
    ids = [(row[0], row[3]) for row in found_keys]
    holding = [(row[0], row[1]) for row in locked if row[3]] if wanted is None else []
    rows = wanted.fetchall() if wanted is not None else []
    if ids or holding:
        rows = rows + read_holds(raw, ids, holding, now).fetchall()
    return Standing(
        {(row[0], row[1]): hold_from_row(row) for row in rows}, _read_reserved(raw, locked, grants)
    )


def _read_reserved(
    raw: psycopg.Connection[Any], locked: Sequence[Sequence[Any]], grants: Iterable[Sequence[Any]]
) -> dict[PayerId, dict[int, Decimal]]:
    holding = {(row[0], row[1]) for row in locked if row[3]}
    limited = {(row[0], row[1]) for row in grants if row[7]} if holding else set()
    return read_reserved(raw, sorted(holding & limited)) if holding & limited else {}
