"""Negative lines: value goes back to those who paid for the component in this segment, latest first.

Rare (a volume tier is reached, usage is reversed), so who paid is asked of the stored charges when it
happens, one statement per line.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import psycopg

from billing.book import PayerBook, grant_from_row
from billing.charging.planning import Planned
from billing.funding import Part, give_back
from core.numbers import CONTEXT
from core.sql import execute, number_array

PAID: Final = """
    SELECT f->>'account', (f->>'grant')::bigint, sum((f->>'amount')::numeric), max(seq)
    FROM billing_charge, jsonb_array_elements(funding) AS f
    WHERE customer_id = %s AND billing_entity_id = %s
        AND f->>'component' = %s AND (f->>'segment')::bigint = %s
    GROUP BY 1, 2 ORDER BY 4"""
GRANTS: Final = """
    SELECT customer_id, billing_entity_id, id, kind, priority, effective_at, expires_at, components,
           remaining, true
    FROM billing_creditgrant WHERE id = ANY(%s::bigint[])"""


def give_back_lines(
    raw: psycopg.Connection[Any],
    item: Planned,
    book: PayerBook,
    amounts: Sequence[tuple[str, Decimal]],
    pending: Sequence[tuple[str, int, Part]],
) -> list[Part]:
    """The parts (negative amounts) that the item's negative lines return.

    `pending` are (component, segment, part) of this transaction, not yet stored.
    """
    parts: list[Part] = []
    for line, (component, amount) in zip(item.lines, amounts, strict=True):
        if amount < 0:
            paid = _paid(raw, book, component, line.segment.id)
            paid = _merge(
                paid,
                [part for name, segment, part in pending if (name, segment) == (component, line.segment.id)],
            )
            returned = give_back(component, -amount, paid)
            _load_grants(raw, book, returned)
            parts += returned
    return parts


def _paid(raw: psycopg.Connection[Any], book: PayerBook, component: str, segment_id: int) -> list[Part]:
    found = execute(raw, PAID, (*book.payer, component, segment_id))
    return [
        Part(component, account, amount, grant_id) for account, grant_id, amount, _ in found if amount > 0
    ]


def _merge(stored: list[Part], pending: Sequence[Part]) -> list[Part]:
    merged = {(part.account, part.grant_id): part for part in stored}
    for part in pending:
        known = merged.pop((part.account, part.grant_id), part._replace(amount=Decimal(0)))
        merged[part.account, part.grant_id] = part._replace(amount=CONTEXT.add(known.amount, part.amount))
    return list(merged.values())


def _load_grants(raw: psycopg.Connection[Any], book: PayerBook, parts: Sequence[Part]) -> None:
    """Bring the grants that get value back into the book: used-up ones were not read."""
    known = {grant.id for grant in book.funds.grants}
    missing = [part.grant_id for part in parts if part.grant_id is not None and part.grant_id not in known]
    for row in execute(raw, GRANTS, (number_array(missing),)) if missing else ():
        book.funds.grants.append(grant_from_row(row))
    if missing:
        book.funds.grants.sort(key=lambda grant: grant.burn_order())
