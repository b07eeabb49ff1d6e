"""Negative lines: value goes back to those who paid for the component in this segment, latest first.

Rare (a volume tier is reached, usage is reversed), so who paid is asked of the stored charges when it
happens, mostly by one statement per line (`billing.store_paid`).
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
from billing.store_paid import read_borne, read_payers
from core.numbers import CONTEXT, ZERO, plain
from core.sql import execute, number_array

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
Paid = Callable[[str, int, Decimal], list[Part]]
"""Who paid for a component in a segment, latest last, as far as it takes to give an amount back."""
Borne = Callable[[str, int], Decimal]
"""What the operator bears of a component in a segment: captures were capped, or late usage absorbed."""


def give_back_lines(
    raw: psycopg.Connection[Any], book: PayerBook, rated: RatedItem, pending: Sequence[Part]
) -> list[Part]:
    """The parts (negative amounts) that an item's negative lines return.

    `pending` are the parts of this transaction, not yet stored.
    """

    def paid(component: str, segment: int, fall: Decimal) -> list[Part]:
        here = parts_of(pending, component, segment)
        return read_payers(raw, book, (component, segment), fall, here).parts

    def borne(component: str, segment: int) -> Decimal:
        here = parts_of(pending, component, segment)
        return add_borne(read_borne(raw, book, (component, segment)), here)

    return give_back_to(raw, book, rated, paid, borne)


def give_back_to(
    raw: psycopg.Connection[Any], book: PayerBook, rated: RatedItem, paid: Paid, borne: Borne
) -> list[Part]:
    """The same, where `paid` and `borne` know who has to get it.

    More can fall than payers paid: what a capped capture used slides down the tiers when other usage goes.
    The rest is the operator's, who bore that capture.
    """
    parts: list[Part] = []
    for at, ((component, amount), segment) in enumerate(zip(rated.amounts, rated.segments, strict=True)):
        if amount >= 0:
            continue
        fall = amount.copy_negate()
        payers = paid(component, segment, fall)
        rest = subtract(fall, sum((max(ZERO, part.amount) for part in payers), ZERO))
        back = min(rest, CONTEXT.add(borne(component, segment), _returned(rated, at))) if rest > 0 else ZERO
        if back > 0:
            parts.append(_return_absorbed(rated, at, back))
            fall = subtract(fall, back)
        if fall:
            parts += give_back(component, fall, payers, segment)
    restore(raw, book, parts)
    return parts


def give_back_absorbed(rated: RatedItem, borne: Borne) -> list[Part]:
    """The parts that a reversal returns to the operator, who bore what a capture cost beyond its hold.

    The lines say how much that was; by now it may be less, or the line has not as much to give.
    """
    parts = []
    for at, line in enumerate(rated.lines):
        if "absorbed" not in line:
            continue
        component, amount = rated.amounts[at]
        back = min(Decimal(line["absorbed"]), amount.copy_negate(), borne(component, rated.segments[at]))
        rated.lines[at] = {name: value for name, value in line.items() if name != "absorbed"}
        if back > 0:
            parts.append(_return_absorbed(rated, at, back))
    return parts


def _return_absorbed(rated: RatedItem, at: int, back: Decimal) -> Part:
    """The part that returns `back` > 0 of a line to the operator; the line notes it."""
    component, amount = rated.amounts[at]
    rated.amounts[at] = (component, CONTEXT.add(amount, back))
    rated.lines[at] = rated.lines[at] | {"absorbed": plain(subtract(_returned(rated, at), back))}
    return Part(component, LEAKAGE, back.copy_negate(), None, rated.segments[at])


def _returned(rated: RatedItem, at: int) -> Decimal:
    """What a line has returned to the operator already: 0 or less."""
    return Decimal(rated.lines[at].get("absorbed", 0))


def parts_of(parts: Sequence[Part], component: str, segment: int) -> list[Part]:
    """Those that moved money for a component in a segment."""
    return [part for part in parts if (part.component, part.segment) == (component, segment)]


def add_borne(stored: Decimal, pending: Sequence[Part]) -> Decimal:
    """What the operator bears after `pending` too."""
    return sum((part.amount for part in pending if part.account == LEAKAGE), stored)


def restore(raw: psycopg.Connection[Any], book: PayerBook, parts: Sequence[Part]) -> None:
    """Make the book ready to take the (negative) parts: the grants that they return to are in it."""
    _bring_grants(raw, book, parts)
    _uncover(raw, book, parts)


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
