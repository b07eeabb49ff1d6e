"""What a provider has and we have not, or not so, is booked: by a top-up or an adjustment that names it."""

from __future__ import annotations

from typing import Any, Final

from accounts.models import BillingEntity
from billing.models import Discrepancy, LedgerAccount, Transfer
from billing.reconciliation.repairs.action import Action, Work
from billing.wallets import adjust, top_up
from core.errors import Conflict
from core.numbers import CONTEXT, ZERO


def book_payment(work: Work) -> None:
    """Book a payment that is missing here as a top-up of the payer that the list names; take a refund out."""
    payer, mark = _payer(work), _mark(work)
    amount, before = work.finding.expected or ZERO, _seq(work)
    if amount > 0:
        top_up(payer, amount, reference=mark, by=work.by)
    else:
        adjust(payer, amount, reason=f"{work.reason} ({mark})", by=work.by)
    _note_posted(work, before)


def adjust_to_payment(work: Work) -> None:
    """Adjust the wallet by what was booked too much or too little for a payment."""
    payer, mark = _payer(work), _mark(work)
    change = CONTEXT.subtract(work.finding.expected or ZERO, work.finding.actual or ZERO)
    before = _seq(work)
    adjust(payer, change, reason=f"{work.reason} ({mark})", by=work.by)
    _note_posted(work, before)


def _payer(work: Work) -> BillingEntity:
    customer_id, payer_id = work.payer
    payer = BillingEntity.objects.get(pk=payer_id, customer_id=customer_id)
    if payer.currency != work.finding.unit:
        says = f"The payer's wallet is in {payer.currency}, the payment in {work.finding.unit}."
        raise Conflict("currency_differs", says)
    return payer


def _mark(work: Work) -> str:
    return f"{work.finding.detail['provider']}:{work.finding.detail['payment']}"


def _seq(work: Work) -> int:
    customer_id, payer_id = work.payer
    rows = LedgerAccount.objects.filter(customer_id=customer_id, billing_entity_id=payer_id, kind="wallet")
    return rows.values_list("seq", flat=True).first() or 0


def _note_posted(work: Work, after: int) -> None:
    """Say which entries were posted since."""
    customer_id, payer_id = work.payer
    rows = Transfer.objects.filter(customer_id=customer_id, billing_entity_id=payer_id, seq__gt=after)
    for row in rows.order_by("seq", "position"):
        work.seq = work.seq or row.seq
        values: dict[str, Any] = {"amount": row.amount, "reason": row.reason}
        work.note("transfer", f"{row.source} to {row.destination}", values)


def _names_a_payer(discrepancy: Discrepancy) -> bool:
    return discrepancy.billing_entity_id is not None


BOOK: Final = Action(
    "book_payment",
    "Book it for the payer that the list names",
    "A payment becomes a top-up, a refund an adjustment; both name the payment. The wallet changes by it.",
    frozenset({("provider_payments", "payment_missing_here")}),
    book_payment,
    posts=True,
    needs_facts=False,
    only_when=_names_a_payer,
)
ADJUST: Final = Action(
    "adjust_to_payment",
    "Adjust the wallet by the difference",
    "An adjustment that names the payment makes what is booked for it what the provider has. The wallet"
    " changes by it; what was booked before stays.",
    frozenset(
        ("provider_payments", kind)
        for kind in ("payment_missing_there", "payment_amount_differs", "payment_booked_twice")
    ),
    adjust_to_payment,
    posts=True,
    needs_facts=False,
    only_when=_names_a_payer,
)
