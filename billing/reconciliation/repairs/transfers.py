"""Entries that are not what was booked are corrected by new entries. The balances were right and stay.

What was changed behind the system's back is a transfer; balances and grants still stand as the true one left
them. The correction is a transfer under a number of its own, whose reference names the corrected number, and
every link reads the two together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from django.db.models import F

from billing.ledger import REVENUE
from billing.models import (
    BookedFee,
    Charge,
    ClosingLine,
    CouponCredit,
    LedgerAccount,
    Transfer,
)
from billing.reconciliation.repairs.action import Action, Work
from core.errors import Conflict
from core.ids import public_id
from core.numbers import CONTEXT, ZERO
from core.partitions import ensure_month

Place = tuple[str, int | None]
"""(account that paid, grant)"""
CORRECTION: Final = Transfer.Reason.CORRECTION.value
_REASONS: Final[Mapping[str, tuple[str, ...]]] = {
    "usage_not_moved": ("usage", "reversal"),
    "fee_not_moved": ("base_fee", "coupon"),
    "close_not_moved": ("close",),
    "moved_elsewhere": ("usage",),
}


def correct_entries(work: Work) -> None:
    """Post what makes the entries of a number what was booked under it, and leave all balances as they are.

    Raises Conflict `balances_follow` when the balances agree with the entries as they stand: then what was
    booked is wrong, or the balances have been rebuilt, and nobody can tell here which side is.
    """
    (customer_id, payer_id), seq = work.payer, int(work.finding.detail["number"])
    own = {"customer_id": customer_id, "billing_entity_id": payer_id}
    moved = _moved(own, seq)
    booked = _booked(own, seq)
    missing = {
        place: CONTEXT.subtract(booked.get(place, ZERO), moved.get(place, ZERO))
        for place in sorted(booked.keys() | moved.keys(), key=str)
    }
    missing = {place: amount for place, amount in missing.items() if amount}
    _check_balances(own, missing)
    reason = Transfer.objects.filter(**own, seq=seq).values_list("reason", flat=True).first()
    if reason is None:
        reason = _REASONS[work.finding.type][0]
    wallet = LedgerAccount.objects.get(**own, kind="wallet")
    work.seq = wallet.seq + 1
    if not work.is_read_only:
        ensure_month(work.now)
        LedgerAccount.objects.filter(**own, kind="wallet").update(seq=F("seq") + 1)
    for position, ((account, grant_id), amount) in enumerate(missing.items()):
        source, destination = (account, REVENUE) if amount > 0 else (REVENUE, account)
        if not work.is_read_only:
            Transfer.objects.create(
                **own,
                seq=work.seq,
                position=position,
                recorded_at=work.now,
                reason=CORRECTION,
                reference=f"{reason}:{seq}",
                source=source,
                destination=destination,
                amount=abs(amount),
                grant_id=grant_id,
            )
        grant = f" of {public_id('grt', grant_id)}" if grant_id is not None else ""
        after = {"amount": abs(amount), "reason": CORRECTION, "corrects": f"number {seq}"}
        work.note("transfer", f"{source} to {destination}{grant}", after)


def _moved(own: dict[str, int], seq: int) -> dict[Place, Decimal]:
    """What each account and grant paid by the entries of a number, corrections of it included."""
    rows = list(Transfer.objects.filter(**own, seq=seq))
    rows += Transfer.objects.filter(**own, reason=CORRECTION, reference__endswith=f":{seq}", seq__gt=seq)
    sums: dict[Place, Decimal] = {}
    for row in rows:
        if REVENUE not in (row.source, row.destination):
            raise Conflict("moved_elsewhere", "One of its entries does not touch revenue at all.")
        is_back = row.source == REVENUE
        place = (row.destination if is_back else row.source, row.grant_id)
        amount = row.amount.copy_negate() if is_back else row.amount
        sums[place] = CONTEXT.add(sums.get(place, ZERO), amount)
    return sums


def _booked(own: dict[str, int], seq: int) -> dict[Place, Decimal]:
    """What each account and grant was booked to pay under a number."""
    fundings: list[Iterable[Mapping[str, Any]]] = []
    for model in (Charge, BookedFee, CouponCredit, ClosingLine):
        fundings += model.objects.filter(**own, seq=seq).values_list("funding", flat=True)
    sums: dict[Place, Decimal] = {}
    for part in (part for funding in fundings for part in funding):
        place = (str(part["account"]), part.get("grant"))
        sums[place] = CONTEXT.add(sums.get(place, ZERO), Decimal(part["amount"]))
    if not fundings:
        raise Conflict("nothing_booked", "Nothing is booked under this number any more.")
    return sums


def _check_balances(own: dict[str, int], missing: Mapping[Place, Decimal]) -> None:
    """Whether every account's balance differs from its entries by just what is to be corrected."""
    by_account: dict[str, Decimal] = {}
    for (account, _), amount in missing.items():
        by_account[account] = CONTEXT.subtract(by_account.get(account, ZERO), amount)
        by_account[REVENUE] = CONTEXT.add(by_account.get(REVENUE, ZERO), amount)
    for kind, change in by_account.items():
        found = LedgerAccount.objects.filter(**own, kind=kind).first()
        balance = ZERO if found is None else found.balance
        entries = ZERO
        for source, destination, amount in Transfer.objects.filter(**own).values_list(
            "source", "destination", "amount"
        ):
            if kind == destination:
                entries = CONTEXT.add(entries, amount)
            if kind == source:
                entries = CONTEXT.subtract(entries, amount)
        if CONTEXT.add(entries, change) != balance:
            says = f"The balance of {kind} would still not agree with its entries: another thing is wrong."
            raise Conflict("balances_follow", says)


ACTION: Final = Action(
    "correct_entries",
    "Correct the entries by new ones",
    "Entries are posted that make up for what was changed, each with the reason correction and the number it"
    " corrects. Balances are right already and stay; the changed entries stay visible.",
    frozenset(("transfers", kind) for kind in _REASONS),
    correct_entries,
    posts=True,
    needs_facts=False,
)
