"""Balances that alert: what a payer has left, its wallet less what is held, fell below an amount of its own.

Looked at where a payer's book is written, so whatever took it there counts: a charge, a hold, a capture, an
adjustment, a fee, a close, a grant that expired. docs/algorithms/limits.md says how often one fires.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from billing.book import PayerBook
from billing.store_alerts import LowBalance, fire_low_balances
from core.ids import public_id
from core.sql import Session


def tell_low_balances(
    raw: Session, books: Iterable[PayerBook], now: datetime, *, reminds: bool = False
) -> None:
    """Fire the alerts of books that are being written; one statement, and none where nothing fell.

    `reminds`: also those of a balance that was low before and has not risen, so that each period tells anew.
    """
    rows = [row for book in books if book.low_balance for row in fallen(book, reminds=reminds)]
    fire_low_balances(raw, rows, now)


def fallen(book: PayerBook, *, reminds: bool = False) -> list[LowBalance]:
    """The amounts that a book's balance fell below (or, with `reminds`, is below and has not risen)."""
    before, now = book.left_before, book.left
    if now > before:
        return []
    name = public_id("be", book.payer[1])
    return [
        LowBalance(*book.payer, name, threshold, now, before < threshold)
        for threshold in book.low_balance
        if now < threshold and (reminds or before >= threshold)
    ]
