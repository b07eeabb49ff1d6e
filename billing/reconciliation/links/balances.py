"""Transfers <-> balances: an account's balance is what came in less what went out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from billing.reconciliation.comparing import compare
from billing.reconciliation.link import Checked, Finding, Link, Scope, SumKey
from core.ids import hot_id
from core.numbers import ZERO

NAME: Final = "balances"
BALANCE: Final = "balance"
TOLD: Final = "balance_told"
WALLET: Final = "wallet"
ENTRIES: Final = """
    SELECT span.customer_id, span.payer_id, side.kind, sum(side.amount), count(*)
    FROM span
    JOIN billing_transfer t ON t.customer_id = span.customer_id AND t.billing_entity_id = span.payer_id
        AND t.seq > span.after
    CROSS JOIN LATERAL (VALUES (t.source, -t.amount), (t.destination, t.amount)) AS side(kind, amount)
    GROUP BY 1, 2, 3"""
BALANCES: Final = """
    SELECT span.customer_id, span.payer_id, a.kind, a.balance
    FROM span JOIN billing_ledgeraccount a
        ON a.customer_id = span.customer_id AND a.billing_entity_id = span.payer_id"""

# What a charge was answered with is the wallet at its number: what was proven before, and what moved since.
TOLD_WRONG: Final = """
    WITH moved AS (
        SELECT span.payer_id, t.seq,
               sum(CASE WHEN t.destination = 'wallet' THEN t.amount WHEN t.source = 'wallet' THEN -t.amount
                        ELSE 0 END) AS amount
        FROM span JOIN billing_transfer t ON t.customer_id = span.customer_id
            AND t.billing_entity_id = span.payer_id AND t.seq > span.after
        GROUP BY 1, 2),
    charged AS (
        SELECT span.payer_id, c.seq, c.id, c.settled_after
        FROM span JOIN billing_charge c ON c.customer_id = span.customer_id
            AND c.billing_entity_id = span.payer_id AND c.seq > span.after),
    told AS (
        SELECT payer_id, seq, charged.id, charged.settled_after,
               sum(coalesce(moved.amount, 0)) OVER (PARTITION BY payer_id ORDER BY seq) AS wallet
        FROM moved FULL JOIN charged USING (payer_id, seq))
    SELECT span.customer_id, span.payer_id, told.id, base.amount + told.wallet, told.settled_after
    FROM told JOIN span USING (payer_id)
    JOIN unnest(%(payers)s::bigint[], %(base)s::numeric[]) AS base(payer_id, amount) USING (payer_id)
    WHERE told.settled_after <> base.amount + told.wallet
    ORDER BY span.customer_id, span.payer_id, told.seq"""
TOLD_MAX: Final = 100
"""So many of one payer: one wrong transfer makes all answers after it wrong."""


def check(scope: Scope) -> Checked:
    """Every account of every payer, and the balances that charges were answered with."""

    def difference(place: SumKey, expected: Decimal, actual: Decimal) -> Finding:
        customer_id, payer_id, kind = place
        return Finding(
            BALANCE,
            f"account {kind}",
            scope.currency(payer_id),
            expected,
            actual,
            customer_id,
            payer_id,
            cause="The balance was changed without a transfer, or a transfer without the balance.",
            detail={"account": kind},
        )

    checked = compare(scope, NAME, scope.rows(ENTRIES), scope.rows(BALANCES), difference)
    checked.findings += _told(scope)
    return checked


def _told(scope: Scope) -> Iterator[Finding]:
    proven = scope.proven.get(NAME, {})
    base = [proven.get((span.customer_id, span.payer_id, WALLET), ZERO) for span in scope.spans]
    found: Counter[int] = Counter()
    for customer_id, payer_id, uuid, expected, actual in scope.rows(TOLD_WRONG, base=base):
        found[payer_id] += 1
        if found[payer_id] > TOLD_MAX:
            continue
        charge = hot_id("ch", customer_id, uuid)
        yield Finding(
            TOLD,
            f"charge {charge}",
            scope.currency(payer_id),
            expected,
            actual,
            customer_id,
            payer_id,
            cause="The charge says another balance than the wallet had after it.",
            detail={"charge": charge},
        )


LINK: Final = Link(
    NAME,
    "transfers",
    "balances",
    {
        BALANCE: "A balance is not the sum of its account's entries.",
        TOLD: "A charge was answered with another balance than the wallet had then.",
    },
    check,
)
