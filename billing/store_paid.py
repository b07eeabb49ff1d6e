"""SQL of who paid for a component in a segment, and what the operator bears of it.

A payer's lock is held while this reads, so it reads no more than the question needs. Nothing of a segment was
recorded before it started, less what a caller's clock may be ahead; late usage and reversals may come at any
time after. Mostly the latest payer alone gets the value back, and what it paid lately is enough to know that.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg
from django.conf import settings
from msgspec.structs import replace

from billing.book import PayerBook
from billing.funding import Part
from billing.ledger import LEAKAGE, RECEIVABLE
from core.numbers import CONTEXT, ZERO
from core.sql import execute

RECENT: Final = 1000
"""How many of a payer's running numbers are looked at before all that may concern a segment is."""

# All that moved money for a line: usage, what its close and late usage settled, what coupons gave back of it.
# The scalar subqueries are known before the scan, so partitions of months before them are not opened. In the
# first that is, ids (which begin with the millisecond they were made in, cut from a float: hence less 1) tell
# what to pass over.
_MOVED: Final = """
    WITH line AS (
        SELECT %s::bigint AS customer_id, %s::bigint AS billing_entity_id, %s AS key, %s::bigint AS after,
            segment.id, period_id, since,
            (lpad(to_hex(floor(extract(epoch FROM since) * 1000)::bigint - 1), 12, '0')
             || repeat('0', 20))::uuid AS first_id
        FROM pricing_segment segment, LATERAL (SELECT starts_at - %s::interval AS since) AS bound
        WHERE segment.id = %s),
    part AS (
        SELECT c.seq, f, n
        FROM billing_charge c, jsonb_array_elements(c.funding) WITH ORDINALITY AS t(f, n)
        WHERE c.customer_id = (SELECT customer_id FROM line)
            AND c.billing_entity_id = (SELECT billing_entity_id FROM line)
            AND c.recorded_at >= (SELECT since FROM line) AND {which}
            AND f->>'component' = (SELECT key FROM line) AND (f->>'segment')::bigint = (SELECT id FROM line)
        UNION ALL
        SELECT c.seq, f, n
        FROM line JOIN billing_closingline c ON c.period_id = line.period_id AND c.segment_id = line.id
                AND c.key = line.key AND c.seq > line.after,
            jsonb_array_elements(c.funding) WITH ORDINALITY AS t(f, n)
        UNION ALL
        SELECT c.seq, f, n
        FROM line JOIN billing_couponcredit c ON c.period_id = line.period_id AND c.segment_id = line.id
                AND c.key = line.key AND c.seq > line.after,
            jsonb_array_elements(c.funding) WITH ORDINALITY AS t(f, n))"""
_BY_PAYER: Final = """
    SELECT f->>'account', (f->>'grant')::bigint, sum((f->>'amount')::numeric),
           max(ARRAY[seq, n]) FILTER (WHERE (f->>'amount')::numeric > 0)
    FROM part WHERE f->>'account' <> 'leakage'
    GROUP BY 1, 2 ORDER BY 4 NULLS FIRST"""
# Few payers have a leakage account: of the others no charge is read.
_BY_OPERATOR: Final = """
    SELECT COALESCE(sum((f->>'amount')::numeric), 0) FROM part
    WHERE f->>'account' = 'leakage' AND (SELECT EXISTS (
        SELECT FROM line JOIN billing_ledgeraccount a USING (customer_id, billing_entity_id)
        WHERE a.kind = 'leakage'))"""
_LATELY: Final = _MOVED.replace("{which}", "c.seq > (SELECT after FROM line)")
_WHOLE: Final = _MOVED.replace("{which}", "c.id >= (SELECT first_id FROM line)")
PAID_LATELY: Final = _LATELY + _BY_PAYER
PAID: Final = _WHOLE + _BY_PAYER
BORNE: Final = _WHOLE + _BY_OPERATOR


class Payers(NamedTuple):
    """Who paid for a component in a segment, the latest last; nothing absorbed is among it.

    One to whom more returned than it paid has an amount below 0. Unless `is_whole`, it is what they have paid
    lately: the last one has paid as much, or more.
    """

    parts: list[Part]
    is_whole: bool

    def suffices(self, fall: Decimal) -> bool:
        """Whether it shows to whom `fall` > 0 goes back: always, or to the latest payer alone.

        Nobody gets back more than it paid, so what was paid before counts for its payer, or not at all. Only
        the bare wallet may have got more: it gets what nobody is known to have paid.
        """
        if self.is_whole:
            return True
        last = self.parts[-1] if self.parts else None
        if last is None or (last.grant_id is None and last.account != RECEIVABLE):
            return False
        return last.amount >= fall

    def after(self, pending: Sequence[Part]) -> Payers:
        """Who paid after `pending` too, which is not stored yet."""
        return Payers(merge_paid(self.parts, pending), self.is_whole)


def read_payers(
    raw: psycopg.Connection[Any],
    book: PayerBook,
    place: tuple[str, int],
    fall: Decimal,
    pending: Sequence[Part] = (),
) -> Payers:
    """Who paid for a component in a segment (`place`), as far as it takes to give `fall` > 0 back.

    That is by what is stored (usage, what its close booked and what coupons gave back of both), and by
    `pending`, parts of the place that are not stored yet.
    """
    after = book.seq_read - RECENT
    lately = Payers(_read(raw, book, place, after), after <= 0).after(pending)
    return lately if lately.suffices(fall) else Payers(_read(raw, book, place), True).after(pending)


def _read(
    raw: psycopg.Connection[Any], book: PayerBook, place: tuple[str, int], after: int | None = None
) -> list[Part]:
    found = execute(raw, PAID if after is None else PAID_LATELY, _params(book, place, after or 0))
    return [Part(place[0], account, amount, grant_id, place[1]) for account, grant_id, amount, _ in found]


def read_borne(raw: psycopg.Connection[Any], book: PayerBook, place: tuple[str, int]) -> Decimal:
    """What the operator bears of a component in a segment by what is stored."""
    ((borne,),) = execute(raw, BORNE, _params(book, place, 0))
    return Decimal(borne)


def _params(book: PayerBook, place: tuple[str, int], after: int) -> tuple[Any, ...]:
    key, segment_id = place
    return (*book.payer, key, after, settings.EVENT_AHEAD_MAX, segment_id)


def merge_paid(stored: Sequence[Part], pending: Sequence[Part]) -> list[Part]:
    """Who paid after `pending` too; the operator, who absorbs, is no payer."""
    merged = {(part.account, part.grant_id): part for part in stored}
    for part in pending:
        if part.account == LEAKAGE:
            continue
        key = (part.account, part.grant_id)
        known = merged.get(key, replace(part, amount=ZERO))
        if part.amount > 0:
            merged.pop(key, None)  # it is the latest now
        merged[key] = replace(part, amount=CONTEXT.add(known.amount, part.amount))
    return list(merged.values())
