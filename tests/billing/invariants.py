"""DESIGN.md section 5: what must hold after whatever happened, as the product's own reconciliation checks it.

Takes a plain connection, so that a test can ask any installation, the one that it has just killed too.
"""

from __future__ import annotations

from typing import Any

import psycopg

from billing.reconciliation.checking import findings_of
from billing.reconciliation.links import bills
from billing.reconciliation.scope import Scope
from core import clock


def broken_invariants(connection: psycopg.Connection[Any]) -> list[str]:
    """What does not hold, a line each; empty when all is well."""
    now = clock.now()
    shares = bills.LINK.check(Scope(connection, (), now)).findings
    found = [*findings_of(connection, now), *((bills.NAME, finding) for finding in shares)]
    return [
        f"{link}: {one.type}: {one.subject}: {one.expected} <> {one.actual} ({one.unit})"
        for link, one in found
    ]
