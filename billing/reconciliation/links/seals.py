"""Seals <-> rows: what was sealed is what it was, and the seals are one chain per payer."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any, Final

from billing.reconciliation.finding import FINDINGS_MAX, ROWS
from billing.reconciliation.link import Checked, Finding, Link, Scope
from billing.seals.verifying import SAYS, Cause, Misfit, Verification
from core.numbers import ONE, ZERO

NAME: Final = "seals"
TYPES: Final = {
    Cause.CHANGED: "row_changed",
    Cause.MISSING: "row_missing",
    Cause.ADDED: "row_added",
    Cause.BROKEN: "seal_broken",
    Cause.UNCHAINED: "seal_unchained",
}
SIDES: Final = {Cause.ADDED: (ZERO, ONE)}
"""(sealed, there) of one row; else one that was sealed is not there as it was."""


def check(scope: Scope) -> Checked:
    """Every seal over numbers that are looked at, and every row under one."""
    run = Verification(scope.raw, [span[:3] for span in scope.spans])
    told: Counter[tuple[int, Cause]] = Counter()
    findings = []
    for misfit in run.misfits():
        told[misfit.payer[1], misfit.cause] += 1
        if told[misfit.payer[1], misfit.cause] <= FINDINGS_MAX:
            findings.append(_finding(misfit))
    return Checked(run.rows, findings)


def _finding(misfit: Misfit) -> Finding:
    expected, actual = SIDES.get(misfit.cause, (ONE, ZERO))
    detail: dict[str, Any] = {"seal": {"from": misfit.from_seq, "to": misfit.to_seq}}
    if misfit.place is not None:
        detail |= {"row": misfit.place.kind, "number": misfit.place.seq, "position": misfit.place.position}
    return Finding(
        TYPES[misfit.cause],
        misfit.subject,
        ROWS,
        Decimal(expected),
        Decimal(actual),
        *misfit.payer,
        cause=SAYS[misfit.cause],
        detail=detail,
    )


LINK: Final = Link(
    NAME,
    "seals",
    "sealed rows",
    {TYPES[cause]: says for cause, says in SAYS.items()},
    check,
)
