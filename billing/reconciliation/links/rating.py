"""Charges <-> what they come to when they are rated again, from stored events and published versions."""

from __future__ import annotations

from typing import Final

from billing.reconciliation.link import Checked, Link, Scope

NAME: Final = "rating"
AMOUNT: Final = "charge_amount"
LINES: Final = "charge_lines"
UNPROVABLE: Final = "charge_unprovable"
REPLAY: Final = "not_its_history"


def check(scope: Scope) -> Checked:
    """Every charge of the payers that are looked at from their first number."""
    return Checked(scope.usage.charges_read, list(scope.usage.rated))


LINK: Final = Link(
    NAME,
    "events and versions",
    "charges",
    {
        AMOUNT: "A charge is not what its event comes to at its version and position.",
        LINES: "A charge's lines say another quantity or position than its event comes to.",
        UNPROVABLE: "A charge cannot be rated again from what is stored of it.",
        REPLAY: "What was booked for a component is not what the payer's history comes to.",
    },
    check,
)
