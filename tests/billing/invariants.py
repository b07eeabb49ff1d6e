"""DESIGN.md section 5: what must hold after whatever happened, as the product's own reconciliation checks it.

Takes a plain connection, so that a test can ask any installation, the one that it has just killed too.
"""

from __future__ import annotations

from typing import Any

import psycopg

from billing.reconciliation.checking import findings_of
from core import clock

BILLS = """
    SELECT b.id, b.spread, coalesce(sum(s.spread), 0)
    FROM billing_vendorbill b LEFT JOIN billing_vendorbillshare s ON s.bill_id = b.id
    WHERE b.status IN ('applied', 'superseded') GROUP BY 1, 2 HAVING b.spread <> coalesce(sum(s.spread), 0)"""


def broken_invariants(connection: psycopg.Connection[Any]) -> list[str]:
    """What does not hold, a line each; empty when all is well."""
    broken = [
        f"{link}: {found.type}: {found.subject}: {found.expected} <> {found.actual} ({found.unit})"
        for link, found in findings_of(connection, clock.now())
    ]
    bills = psycopg.Cursor(connection).execute(BILLS.encode()).fetchall()
    return broken + [f"a bill is spread over its shares: {row}" for row in bills]
