"""Applying bills: payer by payer, each in a transaction under its lock, so that no charge waits for the
whole.

What was interrupted goes on where it stopped: a share that was applied bears its instant.
"""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction

from accounts.models import BillingEntity
from billing.costs.known import KnownCost
from billing.costs.moving import CostMoves
from billing.ledger import lock_accounts
from billing.models import VendorBill, VendorBillShare
from billing.vendor_bills.allocation import allocate
from billing.vendor_bills.calls import BILL, Call, calls_of
from core import clock
from core.numbers import CONTEXT, ZERO, plain
from core.sql import driver
from metering.costing import load_exchange_table

Status = VendorBill.Status


def apply_bills() -> int:
    """Apply the bills that wait for it or were left unfinished; how many it finished. Safe to run twice."""
    finished = 0
    for bill in VendorBill.objects.filter(status=Status.APPLYING).order_by("pk"):
        shares = bill.shares.filter(applied_at=None).order_by("customer_id", "billing_entity_id")
        for pk in list(shares.values_list("pk", flat=True)):
            apply_share(bill, pk)
        finished += _finish(bill)
    return finished


@transaction.atomic
def apply_share(bill: VendorBill, pk: int) -> bool:
    """Restate the margins of one payer's calls; whether this call has done it. Locks the share, then the
    payer.

    What the calls are and what is booked for them is read again under the lock: the payer's share is spread
    over what is there now, and where nothing is any more it is left unattributed.
    """
    share = VendorBillShare.objects.select_for_update().get(pk=pk)
    if share.applied_at is not None:
        return False
    entity = BillingEntity.objects.get(pk=share.billing_entity_id)
    lock_accounts(driver(), [(entity.customer_id, entity.pk)])
    exchange = load_exchange_table()
    moves = CostMoves(entity, exchange, clock.now())
    calls = list(calls_of(bill, exchange, (entity.customer_id, entity.pk)))
    amounts = _amounts(share.amount, calls)
    for call, amount in zip(calls, amounts, strict=True):
        if amount or call.has_share:
            _restate(moves, bill, call, amount)
        share.spread = CONTEXT.add(share.spread, amount)
    moves.write()
    share.applied_at = moves.now
    share.save()
    return True


def _amounts(share: Decimal, calls: list[Call]) -> list[Decimal]:
    weights = [call.booked or ZERO for call in calls]
    return allocate(share, weights) if any(weights) else [ZERO] * len(calls)


def _restate(moves: CostMoves, bill: VendorBill, call: Call, amount: Decimal) -> None:
    event = call.event
    parts = list(call.costs)
    if amount:
        parts.append(
            {"vendor": bill.vendor, "amount": plain(amount), "currency": bill.currency, "source": BILL}
        )
    before = KnownCost(event.known_costs, event.known_cost)  # type: ignore[attr-defined]
    moves.move(event, before, parts, source=BILL, bill_id=bill.pk, created_by=bill.applied_by)


@transaction.atomic
def _finish(bill: VendorBill) -> bool:
    """Close a bill all of whose shares are applied."""
    bill = VendorBill.objects.select_for_update().get(pk=bill.pk)
    if bill.status != Status.APPLYING or bill.shares.filter(applied_at=None).exists():
        return False
    spread = ZERO
    for amount in bill.shares.values_list("spread", flat=True):
        spread = CONTEXT.add(spread, amount)
    bill.spread, bill.status, bill.applied_at = spread, Status.APPLIED, clock.now()
    bill.save()
    return True
