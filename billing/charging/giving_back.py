"""Negative lines: value goes back to those who paid for the component in this segment, latest first.

Rare (a volume tier is reached, usage is reversed), so who paid is asked of the stored charges when it
happens, one statement per line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import psycopg

from billing.book import PayerBook, grant_from_row
from billing.charging.deciding import RatedItem
from billing.funding import Part, give_back
from billing.ledger import LEAKAGE, WALLET
from core.numbers import CONTEXT, ZERO, plain
from core.sql import execute, number_array

# All that moved money for a line: usage, what its close and late usage settled, what coupons gave back of it.
PAID: Final = """
    WITH line AS (
        SELECT %s::bigint AS customer_id, %s::bigint AS billing_entity_id, %s AS key, id, period_id
        FROM pricing_segment WHERE id = %s)
    SELECT f->>'account', (f->>'grant')::bigint, sum((f->>'amount')::numeric),
           max(ARRAY[seq, n]) FILTER (WHERE (f->>'amount')::numeric > 0)
    FROM (
        SELECT c.seq, f, n
        FROM line JOIN billing_charge c USING (customer_id, billing_entity_id),
            jsonb_array_elements(c.funding) WITH ORDINALITY AS t(f, n)
        WHERE f->>'component' = line.key AND (f->>'segment')::bigint = line.id
        UNION ALL
        SELECT c.seq, f, n
        FROM line JOIN billing_closingline c ON c.period_id = line.period_id AND c.segment_id = line.id
                AND c.key = line.key,
            jsonb_array_elements(c.funding) WITH ORDINALITY AS t(f, n)
        UNION ALL
        SELECT c.seq, f, n
        FROM line JOIN billing_couponcredit c ON c.period_id = line.period_id AND c.segment_id = line.id
                AND c.key = line.key,
            jsonb_array_elements(c.funding) WITH ORDINALITY AS t(f, n)) AS part
    WHERE f->>'account' <> 'leakage'
    GROUP BY 1, 2 ORDER BY 4"""
GRANTS: Final = """
    SELECT customer_id, billing_entity_id, id, kind, priority, effective_at, expires_at, components,
           remaining, true
    FROM billing_creditgrant WHERE id = ANY(%s::bigint[])"""
COVERING: Final = """
    SELECT customer_id, billing_entity_id, id, kind, priority, effective_at, expires_at, components,
           remaining, true, covered
    FROM billing_creditgrant
    WHERE customer_id = %s AND billing_entity_id = %s AND (covered > 0 OR id = ANY(%s::bigint[]))
    ORDER BY booked_at DESC, id DESC"""
subtract = CONTEXT.subtract


def give_back_lines(
    raw: psycopg.Connection[Any], book: PayerBook, rated: RatedItem, pending: Sequence[Part]
) -> list[Part]:
    """The parts (negative amounts) that an item's negative lines return.

    `pending` are the parts of this transaction, not yet stored.
    """

    def paid(component: str, segment: int) -> list[Part]:
        here = [part for part in pending if (part.component, part.segment) == (component, segment)]
        return merge_paid(read_paid(raw, book, component, segment), here)

    return give_back_to(raw, book, rated, paid)


def give_back_to(
    raw: psycopg.Connection[Any],
    book: PayerBook,
    rated: RatedItem,
    paid: Callable[[str, int], list[Part]],
) -> list[Part]:
    """The same, where `paid` knows who paid for a component in a segment, latest last."""
    parts: list[Part] = []
    for (component, amount), segment in zip(rated.amounts, rated.segments, strict=True):
        if amount < 0:
            parts += give_back(component, amount.copy_negate(), paid(component, segment), segment)
    restore(raw, book, parts)
    return parts


def give_back_absorbed(rated: RatedItem) -> list[Part]:
    """The parts that a reversal returns to the operator, who bore what a capture cost beyond its hold."""
    parts = []
    for at, line in enumerate(rated.lines):
        component, amount = rated.amounts[at]
        back = min(Decimal(line.get("absorbed", 0)), amount.copy_negate())
        if back > 0:
            rated.amounts[at] = (component, CONTEXT.add(amount, back))
            rated.lines[at] = line | {"absorbed": plain(back.copy_negate())}
            parts.append(Part(component, LEAKAGE, back.copy_negate(), None, rated.segments[at]))
    return parts


def restore(raw: psycopg.Connection[Any], book: PayerBook, parts: Sequence[Part]) -> None:
    """Make the book ready to take the (negative) parts: the grants that they return to are in it."""
    _bring_grants(raw, book, parts)
    _uncover(raw, book, parts)


def read_paid(raw: psycopg.Connection[Any], book: PayerBook, component: str, segment: int) -> list[Part]:
    """Who paid for a component in a segment by what is stored, latest last; nothing absorbed is among it.

    That is its usage, what its close booked and what coupons gave back of both, so nobody gets back more than
    it paid. One to whom more returned than it paid has an amount below 0.
    """
    found = execute(raw, PAID, (*book.payer, component, segment))
    return [Part(component, account, amount, grant_id, segment) for account, grant_id, amount, _ in found]


def merge_paid(stored: Sequence[Part], pending: Sequence[Part]) -> list[Part]:
    """Who paid after `pending` too; the operator, who absorbs, is no payer."""
    merged = {(part.account, part.grant_id): part for part in stored}
    for part in pending:
        if part.account == LEAKAGE:
            continue
        key = (part.account, part.grant_id)
        known = merged.get(key, part._replace(amount=ZERO))
        if part.amount > 0:
            merged.pop(key, None)  # it is the latest now
        merged[key] = part._replace(amount=CONTEXT.add(known.amount, part.amount))
    return list(merged.values())


def _bring_grants(raw: psycopg.Connection[Any], book: PayerBook, parts: Sequence[Part]) -> None:
    """Bring the grants that get value back into the book: used-up ones were not read."""
    known = {grant.id for grant in book.funds.grants}
    missing = {part.grant_id for part in parts if part.grant_id is not None} - known
    for row in execute(raw, GRANTS, (number_array(missing),)) if missing else ():
        book.bring_back(grant_from_row(row))


def _uncover(raw: psycopg.Connection[Any], book: PayerBook, parts: Sequence[Part]) -> None:
    """What returns to an overdraft that grants have covered since returns to those grants, latest first."""
    excess = subtract(ZERO, book.funds.overdrawn)
    for part in parts:
        if part.account == WALLET and part.grant_id is None:
            excess = subtract(excess, part.amount)
    if excess <= 0:
        return
    for row in execute(raw, COVERING, (*book.payer, number_array(book.changed_grants))):
        grant, change = book.bring_back(grant_from_row(row)), book.changed_grants.get(row[2])
        covered = CONTEXT.add(row[10], change.covered if change else ZERO)
        book.uncover(grant, min(covered, excess))
        excess = subtract(excess, min(covered, excess))
        if not excess:
            return
