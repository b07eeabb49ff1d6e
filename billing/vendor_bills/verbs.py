"""Loading a vendor's bill, with its preview; letting it be applied; throwing a preview away."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from django.db import transaction

from billing.models import VendorBill, VendorBillShare
from billing.vendor_bills.allocation import allocate, split_bill
from billing.vendor_bills.calls import Booked, read_booked
from core import clock
from core.currencies import ISO_DECIMALS
from core.database_errors import explain_constraint
from core.errors import Conflict, InvalidRequest, Unprocessable
from core.numbers import CONTEXT, ZERO, plain
from core.texts import clean_text
from metering.costing import load_exchange_table
from metering.event_values import VENDOR_LENGTH_MAX, check_text

Status = VendorBill.Status
STANDING = (Status.APPLYING, Status.APPLIED)

explain_constraint(
    "one_standing_bill", Conflict, "bill_exists", "Another bill of this vendor and month was just applied."
)


@transaction.atomic
def load_bill(
    *,
    vendor: str,
    month: date,
    currency: str,
    total: Decimal | None,
    model: str = "",
    not_usage: Decimal = ZERO,
    max_uplift: Decimal | None = None,
    reference: str = "",
    by: str = "",
) -> VendorBill:
    """Load what `vendor` asked for a month (any day of it) and work out its preview; no margin moves yet.

    `total` None: nothing is known of that bill any more; applied, it takes back the one before it. Of the
    total
    `not_usage` belongs to no customer's call, and at most `max_uplift` of what was booked is spread. Reads
    the month's events. Raises InvalidRequest, Unprocessable `nothing_to_take_back`.
    """
    check_text(vendor, "vendor", VENDOR_LENGTH_MAX)
    if currency not in ISO_DECIMALS:
        raise InvalidRequest("unknown_currency", "currency must be an ISO 4217 code such as USD.", "currency")
    if total is not None and not _fits(total, currency):
        says = f"A bill in {currency} has at most {ISO_DECIMALS[currency]} decimals."
        raise InvalidRequest("invalid_value", says, "total")
    for name, amount in (("total", total), ("not_usage", not_usage), ("max_uplift", max_uplift)):
        if amount is not None and amount < 0:
            raise InvalidRequest("invalid_value", f"{name} may not be below zero.", name)
    if not_usage > (total or ZERO):
        raise InvalidRequest("invalid_value", "not_usage is a part of the total.", "not_usage")
    bill = VendorBill(
        vendor=vendor,
        month=month.replace(day=1),
        model=model and clean_text(model, "model"),
        currency=currency,
        total=total,
        not_usage=not_usage,
        max_uplift=max_uplift,
        reference=reference,
        created_at=clock.now(),
        created_by=by,
    )
    if total is None and standing_bill(bill) is None:
        says = "No bill of this vendor, month and model has been applied."
        raise Unprocessable("nothing_to_take_back", says, "total")
    bill.save()
    preview(bill)
    return bill


@transaction.atomic
def begin_bill(bill: VendorBill, *, by: str = "") -> VendorBill:
    """Let a previewed bill be applied, once: its shares are worked out anew and wait for `apply_bills`.

    The bill that stood for the same vendor, month and model is superseded: its shares go as the new ones
    come. Raises Conflict: `bill_applied` for one that is no preview any more, `bill_applying` while another
    one is at work, `other_bills_stand` where bills of single models stand beside one of the whole vendor.
    """
    same = VendorBill.objects.filter(vendor=bill.vendor, month=bill.month).order_by("pk")
    rows = {row.pk: row for row in same.select_for_update()}  # one at a time begins of a vendor's month
    bill = rows[bill.pk]
    if bill.status != Status.PREVIEWED:
        raise Conflict("bill_applied", f"This bill is {bill.get_status_display().lower()} already.")
    standing = [row for row in rows.values() if row.status in STANDING and row.total is not None]
    others = [row for row in standing if row.model != bill.model]
    if bill.total is not None and any(not row.model or not bill.model for row in others):
        says = "A vendor's month has bills by model or one of the whole: take the others back first."
        raise Conflict("other_bills_stand", says, "model")
    if any(row.status == Status.APPLYING for row in rows.values()):
        raise Conflict("bill_applying", "Another bill of this vendor and month is still being applied.")
    before = next((row for row in standing if row.model == bill.model), None)
    if before is None and bill.total is None:
        raise Conflict("nothing_to_take_back", "The bill was taken back already.")
    if before is not None:
        before.status = Status.SUPERSEDED
        before.save(update_fields=["status"])
    preview(bill)
    bill.supersedes = before
    bill.status, bill.applied_by = Status.APPLYING, by
    bill.save()
    return bill


@transaction.atomic
def discard_bill(bill: VendorBill) -> None:
    """Throw a preview away. Raises Conflict `bill_applied` when it is not one any more."""
    bill = VendorBill.objects.select_for_update().get(pk=bill.pk)
    if bill.status != Status.PREVIEWED:
        raise Conflict("bill_applied", "What was applied is kept: a new bill takes its place.")
    bill.delete()


def preview(bill: VendorBill) -> None:
    """Work out a bill's figures and the payers' shares anew, from what is booked now."""
    booked = read_booked(bill, load_exchange_table())
    bill.shares.all().delete()
    VendorBillShare.objects.bulk_create(_shares(bill, booked))
    bill.booked = booked.total
    bill.calls = sum(each.calls for each in booked.payers.values())
    bill.left_out = sum(each.left_out for each in booked.payers.values())
    bill.spread = ZERO if bill.total is None else _split_of(bill, booked.total)
    bill.save()


def standing_bill(bill: VendorBill) -> VendorBill | None:
    """The applied bill whose place another one of the same vendor, month and model takes."""
    return VendorBill.objects.filter(
        vendor=bill.vendor, month=bill.month, model=bill.model, status__in=STANDING, total__isnull=False
    ).first()


def unattributed(bill: VendorBill) -> Decimal | None:
    """What of a bill no call explains; None for one that takes another back."""
    if bill.total is None:
        return None
    return CONTEXT.subtract(CONTEXT.subtract(bill.total, bill.booked), bill.spread)


def _shares(bill: VendorBill, booked: Booked) -> list[VendorBillShare]:
    payers = sorted(booked.payers.items())
    spread = ZERO if bill.total is None else _split_of(bill, booked.total)
    amounts = allocate(spread, [each.booked for _, each in payers])
    return [
        VendorBillShare(
            bill=bill,
            customer_id=each.customer_id,
            billing_entity_id=payer_id,
            calls=each.calls,
            booked=each.booked,
            amount=amount,
        )
        for (payer_id, each), amount in zip(payers, amounts, strict=True)
        if amount or each.has_share or each.calls
    ]


def _split_of(bill: VendorBill, booked: Decimal) -> Decimal:
    assert bill.total is not None
    split = split_bill(bill.total, booked, not_usage=bill.not_usage, max_uplift=bill.max_uplift)
    return split.spread


def _fits(total: Decimal, currency: str) -> bool:
    return len(plain(total).partition(".")[2]) <= ISO_DECIMALS[currency]
