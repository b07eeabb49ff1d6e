"""A balance is written anew as the sum of its account's entries."""

from __future__ import annotations

from typing import Final

from billing.models import LedgerAccount
from billing.reconciliation.repairs.action import Action, Work
from core.ids import public_id
from core.numbers import ZERO


def rebuild_balance(work: Work) -> None:
    """Set the balance to what came in less what went out. The entries stay as they are."""
    (customer_id, payer_id), kind = work.payer, str(work.finding.detail["account"])
    expected = work.finding.expected or ZERO
    own = {"customer_id": customer_id, "billing_entity_id": payer_id, "kind": kind}
    row = f"{kind} of {public_id('be', payer_id)}"
    accounts = LedgerAccount.objects.filter(**own)
    if accounts.exists():
        work.set(accounts, row, balance=expected)
    else:
        work.insert(LedgerAccount(**own, balance=expected), row, "balance")


ACTION: Final = Action(
    "rebuild_balance",
    "Write the balance anew from its entries",
    "The balance becomes the sum of the account's entries. No entry changes, and none is added.",
    frozenset({("balances", "balance")}),
    rebuild_balance,
)
