"""SQL of `manage.py verify`: what of one payer's numbers and balances does not come out again."""

from __future__ import annotations

from typing import Any, Final

import psycopg

from billing.ledger import PayerId
from core.sql import execute

GAPS: Final = """
    WITH numbers AS (
        SELECT seq FROM metering_usageevent WHERE customer_id = %s AND billing_entity_id = %s
        UNION SELECT seq FROM billing_charge WHERE customer_id = %s AND billing_entity_id = %s
        UNION SELECT seq FROM billing_transfer WHERE customer_id = %s AND billing_entity_id = %s
        UNION SELECT 0
        UNION SELECT seq + 1 FROM billing_ledgeraccount
              WHERE customer_id = %s AND billing_entity_id = %s AND kind = 'wallet'),
    pairs AS (SELECT seq, lead(seq) OVER (ORDER BY seq) AS following FROM numbers)
    SELECT seq + 1, following - 1 FROM pairs WHERE following > seq + 1 ORDER BY 1"""
BALANCES: Final = """
    WITH kept AS (SELECT kind, balance FROM billing_ledgeraccount
                  WHERE customer_id = %s AND billing_entity_id = %s),
    moved AS (SELECT kind, sum(amount) AS amount FROM billing_ledgerentry
              WHERE customer_id = %s AND billing_entity_id = %s GROUP BY kind)
    SELECT kind, kept.balance, moved.amount, COALESCE(kept.balance, 0) <> COALESCE(moved.amount, 0)
    FROM kept FULL JOIN moved USING (kind) ORDER BY kind"""
TOLD: Final = """
    WITH moved AS (
        SELECT seq, sum(CASE kind WHEN 'wallet' THEN amount ELSE 0 END) AS amount
        FROM billing_ledgerentry WHERE customer_id = %s AND billing_entity_id = %s GROUP BY seq),
    wallet AS (SELECT seq, sum(amount) OVER (ORDER BY seq) AS amount FROM moved)
    SELECT c.id, c.seq, c.settled_after, wallet.amount
    FROM billing_charge c JOIN wallet USING (seq)
    WHERE c.customer_id = %s AND c.billing_entity_id = %s AND c.settled_after <> wallet.amount
    ORDER BY c.seq"""


def find_gaps(raw: psycopg.Connection[Any], payer: PayerId) -> list[tuple[int, int]]:
    """The ranges of numbers, up to the payer's last one, that have no row at all."""
    return [(row[0], row[1]) for row in execute(raw, GAPS, payer * 4)]


def compare_balances(raw: psycopg.Connection[Any], payer: PayerId) -> list[tuple[str, Any, Any, bool]]:
    """The payer's accounts: (kind, kept balance, sum of its entries, whether they differ); None = neither."""
    return [(row[0], row[1], row[2], row[3]) for row in execute(raw, BALANCES, payer * 2)]


def find_wrong_balances_told(raw: psycopg.Connection[Any], payer: PayerId) -> list[tuple[Any, int, Any, Any]]:
    """Charges that told another balance than their transfers come to: (id, number, told, sum)."""
    return [(row[0], row[1], row[2], row[3]) for row in execute(raw, TOLD, payer * 2)]
