"""Transfers <-> grants: a block of credit has left what its transfers left, and the wallet holds no more."""

from __future__ import annotations

from typing import Final

from billing.reconciliation.link import Checked, Finding, Link, Scope
from core.ids import public_id

NAME: Final = "grants"
REMAINING: Final = "grant_remaining"
WALLET: Final = "wallet_over_grants"
# By the index on a transfer's grant. Of a grant that is not in the wallet yet, all remains.
LEFT: Final = """
    SELECT g.customer_id, g.billing_entity_id, g.id, g.remaining,
           CASE WHEN g.booked_at IS NULL THEN g.amount ELSE coalesce(t.amount, 0) - g.covered END,
           g.amount, g.covered
    FROM span
    JOIN billing_creditgrant g ON g.customer_id = span.customer_id AND g.billing_entity_id = span.payer_id
    CROSS JOIN LATERAL (
        SELECT sum(CASE WHEN destination = 'wallet' THEN amount ELSE -amount END) AS amount
        FROM billing_transfer WHERE customer_id = g.customer_id AND grant_id = g.id) AS t"""
OVER: Final = """
    SELECT a.customer_id, a.billing_entity_id, a.balance, coalesce(g.remaining, 0)
    FROM span
    JOIN billing_ledgeraccount a ON a.customer_id = span.customer_id AND a.billing_entity_id = span.payer_id
        AND a.kind = 'wallet'
    LEFT JOIN LATERAL (
        SELECT sum(remaining) AS remaining FROM billing_creditgrant
        WHERE customer_id = a.customer_id AND billing_entity_id = a.billing_entity_id
            AND booked_at IS NOT NULL) AS g ON true
    WHERE a.balance > coalesce(g.remaining, 0)"""


def check(scope: Scope) -> Checked:
    """Every grant of every payer, whichever numbers are looked at: a payer has few."""
    checked = Checked()
    for customer_id, payer_id, pk, actual, expected, amount, covered in scope.rows(LEFT):
        checked.rows += 1
        if actual == expected:
            continue
        grant = public_id("grt", pk)
        checked.findings.append(
            Finding(
                REMAINING,
                f"grant {grant}",
                scope.currency(payer_id),
                expected,
                actual,
                customer_id,
                payer_id,
                cause="More was taken of the grant than it had."
                if expected < 0
                else "What remains was changed without a transfer.",
                detail={"grant": grant, "amount": str(amount), "covered": str(covered)},
            )
        )
    for customer_id, payer_id, balance, remaining in scope.rows(OVER):
        checked.findings.append(
            Finding(
                WALLET,
                "account wallet",
                scope.currency(payer_id),
                remaining,
                balance,
                customer_id,
                payer_id,
                cause="There is value in the wallet that no grant has.",
            )
        )
    return checked


LINK: Final = Link(
    NAME,
    "transfers",
    "grants",
    {
        REMAINING: "What remains of a grant is not what its transfers left.",
        WALLET: "A wallet holds more than its grants have left.",
    },
    check,
)
