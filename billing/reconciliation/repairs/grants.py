"""What remains of a grant is written anew from its transfers."""

from __future__ import annotations

from typing import Final

from billing.models import CreditGrant
from billing.reconciliation.repairs.action import Action, Work
from core.errors import Conflict
from core.ids import row_id
from core.numbers import ZERO


def rebuild_grant(work: Work) -> None:
    """Set what remains to what the grant's transfers left of it; Conflict when they took more than it had."""
    name, remaining = str(work.finding.detail["grant"]), work.finding.expected or ZERO
    grants = CreditGrant.objects.filter(pk=row_id("grt", name), customer_id=work.payer[0])
    amount = grants.values_list("amount", flat=True).first()
    if remaining < 0 or amount is None or remaining > amount:
        says = "Its transfers took or gave more than the grant is of: correct the transfers first."
        raise Conflict("transfers_wrong", says)
    work.set(grants, name, remaining=remaining, is_open=remaining > 0)


ACTION: Final = Action(
    "rebuild_grant",
    "Write what remains anew from the grant's transfers",
    "The grant has left what its transfers left of it. No transfer changes, and none is added.",
    frozenset({("grants", "grant_remaining")}),
    rebuild_grant,
)
