"""Vendors' bills <-> their shares: what a bill spread is what its payers' shares were given.

A bill is nobody's among customers, so this is looked at once, at the end of a run over all of them.
"""

from __future__ import annotations

from typing import Final

from billing.reconciliation.link import Checked, Finding, Link, Scope
from core.ids import public_id

NAME: Final = "bills"
SPREAD: Final = "bill_spread"
SHARES: Final = """
    SELECT b.id, b.currency, b.spread, coalesce(sum(s.spread), 0)
    FROM billing_vendorbill b LEFT JOIN billing_vendorbillshare s ON s.bill_id = b.id
    WHERE b.status IN ('applied', 'superseded') GROUP BY 1, 2, 3 ORDER BY 1"""


def check(scope: Scope) -> Checked:
    """Every bill that was applied."""
    checked = Checked()
    for pk, currency, actual, expected in scope.rows(SHARES):
        checked.rows += 1
        if actual != expected:
            bill = public_id("vb", pk)
            finding = Finding(SPREAD, f"bill {bill}", currency, expected, actual, detail={"bill": bill})
            checked.findings.append(finding)
    return checked


LINK: Final = Link(
    NAME,
    "shares of vendors' bills",
    "vendors' bills",
    {SPREAD: "What a bill says it spread is not the sum of its shares."},
    check,
    is_outside=True,
)
