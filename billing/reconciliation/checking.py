"""Checking payers: all links over batches of them, in snapshots that the caller opens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import psycopg

from billing.reconciliation.link import Checked, Finding, Scope, Span
from billing.reconciliation.links import LINKS
from billing.store_reconciliation import fetch

# A payer without a wallet row has nothing, or its row is gone: then its numbers are beyond.
SPANS: Final = """
    SELECT b.customer_id, b.id, 0, coalesce(a.seq, 0), b.currency, b.time_zone
    FROM accounts_billingentity b
    LEFT JOIN billing_ledgeraccount a
        ON a.customer_id = b.customer_id AND a.billing_entity_id = b.id AND a.kind = 'wallet'
    WHERE %(ids)s::bigint[] IS NULL OR b.customer_id = ANY(%(ids)s::bigint[])
    ORDER BY b.customer_id, b.id"""


def spans_of(raw: psycopg.Connection[Any], customer_ids: Sequence[int] | None = None) -> list[Span]:
    """The payers of these customers (None: of all), to be looked at as a whole."""
    ids = None if customer_ids is None else list(customer_ids)
    return [Span(*row) for row in fetch(raw, SPANS, {"ids": ids, **_NONE})]


_NONE: Final = {"customers": "{}", "payers": "{}", "after": "{}", "upto": "{}"}


def check_links(scope: Scope) -> dict[str, Checked]:
    """What each link of the inside comes to in a scope, by its name."""
    return {link.name: link.check(scope) for link in LINKS if not link.is_outside}


def findings_of(raw: psycopg.Connection[Any], now: datetime) -> Iterator[tuple[str, Finding]]:
    """Everything that disagrees in an installation, checked from the first number on, with its link's name.

    In one piece: for tests and small installations. `raw` may be any connection.
    """
    with raw.transaction():
        scope = Scope(raw, spans_of(raw), now)
        for name, checked in check_links(scope).items():
            for finding in checked.findings:
                yield name, finding
