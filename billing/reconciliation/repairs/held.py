"""What a wallet reserves is written anew as the sum of the open holds."""

from __future__ import annotations

from typing import Final

from billing.models import LedgerAccount
from billing.reconciliation.repairs.action import Action, Work
from core.ids import public_id
from core.numbers import ZERO


def rebuild_held(work: Work) -> None:
    """Set what is reserved to what open holds and leases reserve. No hold changes."""
    customer_id, payer_id = work.payer
    kind = work.finding.subject.removeprefix("account ")
    accounts = LedgerAccount.objects.filter(customer_id=customer_id, billing_entity_id=payer_id, kind=kind)
    work.set(accounts, f"{kind} of {public_id('be', payer_id)}", held=work.finding.expected or ZERO)


ACTION: Final = Action(
    "rebuild_held",
    "Write what is reserved anew from the open holds",
    "The wallet reserves what its open holds and leases reserve. No hold is made, captured or voided.",
    frozenset({("holds", "held")}),
    rebuild_held,
)
