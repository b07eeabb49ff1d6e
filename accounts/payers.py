"""Payers (billing entities) and who pays for which workspace from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Final, TypedDict, Unpack
from zoneinfo import available_timezones

from django.db import transaction

from accounts.currencies import check_currency
from accounts.external_ids import check_external_id
from accounts.followers import closings, moves
from accounts.models import BillingEntity, Customer, Organization, PayerAssignment, Workspace
from accounts.organizations import check_inside
from core import clock
from core.database_errors import explain_constraint
from core.errors import Conflict, InvalidRequest, Unprocessable
from core.texts import clean_text

Status = BillingEntity.Status
Settlement = BillingEntity.Settlement

_NOT_PLACES: Final = {"localtime", "posixrules", "Factory"}
_OTHER_CUSTOMER: Final = "The payer and the workspace belong to different customers."

explain_constraint(
    "one_payer_at_a_time",
    Conflict,
    "overlapping_assignment",
    "A workspace has one payer at a time.",
    "starts_at",
)
for _name in ("billing_entity_inside_customer", "workspace_inside_customer"):
    explain_constraint(
        _name, Unprocessable, "another_customer", _OTHER_CUSTOMER, _name.removesuffix("_inside_customer")
    )


class BillingEntityChanges(TypedDict, total=False):
    """What may change about a payer. Currency and time zone may not: past amounts and days hang on them."""

    name: str
    external_id: str | None
    organization: Organization | None
    status: str
    status_reason: str
    suspends_at: datetime | None
    settlement: str
    overdraft: Decimal | None
    credit_limit: Decimal | None
    low_balance: Sequence[Decimal]


def create_billing_entity(
    *,
    customer: Customer,
    name: str,
    currency: str,
    time_zone: str = "UTC",
    organization: Organization | None = None,
    external_id: str | None = None,
    settlement: str = Settlement.WALLET_ONLY,
    overdraft: Decimal | None = None,
    credit_limit: Decimal | None = None,
    low_balance: Sequence[Decimal] = (),
) -> BillingEntity:
    """A new payer of `customer`, its own or that of one of its organizations.

    `overdraft`: how far below zero its wallet may go (None = no bound); `credit_limit`: how much an invoiced
    payer may owe (None = no bound); `low_balance`: the balances that alert when the wallet falls below them.
    Raises InvalidRequest for an unknown currency, time zone or settlement.
    """
    check_inside(customer.pk, organization, "organization")
    with transaction.atomic():
        return BillingEntity.objects.create(
            customer=customer,
            organization=organization,
            name=clean_text(name, "name"),
            external_id=check_external_id(BillingEntity, "be", external_id),
            currency=check_currency(currency),
            time_zone=check_time_zone(time_zone),
            settlement=check_settlement(settlement),
            overdraft=check_bound(overdraft, "overdraft"),
            credit_limit=check_bound(credit_limit, "credit_limit"),
            low_balance=sorted(set(low_balance), reverse=True),
            created_at=clock.now(),
        )


def change_billing_entity(entity: BillingEntity, **changes: Unpack[BillingEntityChanges]) -> BillingEntity:
    """Change what may change; returns the row as it is then. The next call obeys it, in every process.

    Another `status` without a `status_reason` takes the old reason away; `suspends_at` is when a payer past
    due counts as suspended. The subscriptions of a payer end when it is closed. Raises Conflict for another
    state of a closed one.
    """
    places = [entity.customer_id] if "organization" in changes else []
    closed = [entity.pk] if changes.get("status") == Status.CLOSED else []
    with moves.around(places), closings.around(closed):
        entity = BillingEntity.objects.select_for_update().get(pk=entity.pk)
        if "name" in changes:
            entity.name = clean_text(changes["name"], "name")
        if "external_id" in changes:
            entity.external_id = check_external_id(BillingEntity, "be", changes["external_id"], entity)
        if "organization" in changes:
            check_inside(entity.customer_id, changes["organization"], "organization")
            entity.organization = changes["organization"]
        if "status" in changes or "suspends_at" in changes or "status_reason" in changes:
            _change_state(entity, changes)
        if "settlement" in changes:
            entity.settlement = check_settlement(changes["settlement"])
        if "overdraft" in changes:
            entity.overdraft = check_bound(changes["overdraft"], "overdraft")
        if "credit_limit" in changes:
            entity.credit_limit = check_bound(changes["credit_limit"], "credit_limit")
        if "low_balance" in changes:
            entity.low_balance = sorted(set(changes["low_balance"]), reverse=True)
        entity.save(update_fields=list(BillingEntityChanges.__annotations__))
        return entity


def assign_payer(
    workspace: Workspace, billing_entity: BillingEntity, *, from_: datetime | None
) -> PayerAssignment:
    """Let `billing_entity` pay for the workspace's calls from `from_` on (None = since ever).

    Whoever paid at `from_` pays until then; a payer who was planned to begin later still begins then. Locks
    the workspace. Raises Unprocessable for another customer's payer, Conflict for a closed one.
    """
    if billing_entity.customer_id != workspace.customer_id:
        raise Unprocessable("another_customer", _OTHER_CUSTOMER, "billing_entity")
    with transaction.atomic():
        Workspace.objects.select_for_update().get(pk=workspace.pk)
        billing_entity.refresh_from_db(fields=["status"])
        if billing_entity.status == Status.CLOSED:
            raise Conflict("closed", "A closed payer pays for nothing more.", "billing_entity")
        assignments = PayerAssignment.objects.filter(workspace=workspace)
        present = next((each for each in assignments if _covers(each, from_)), None)
        if present is not None and present.billing_entity_id == billing_entity.pk:
            return present
        if present is not None and present.starts_at == from_:
            present.billing_entity = billing_entity
            present.save(update_fields=["billing_entity"])
            return present
        if present is not None:
            present.ends_at = from_
            present.save(update_fields=["ends_at"])
        starts = [each.starts_at for each in assignments if each.starts_at is not None]
        return PayerAssignment.objects.create(
            customer_id=workspace.customer_id,
            workspace=workspace,
            billing_entity=billing_entity,
            starts_at=from_,
            ends_at=min((start for start in starts if from_ is None or start > from_), default=None),
            created_at=clock.now(),
        )


def end_assignment(assignment: PayerAssignment, *, at: datetime) -> PayerAssignment:
    """Let nobody pay from `at` to the assignment's former end; returns the row as it is then.

    Raises InvalidRequest for an instant at or before its start, Conflict for one after its present end.
    """
    with transaction.atomic():
        Workspace.objects.select_for_update().get(pk=assignment.workspace_id)
        assignment = PayerAssignment.objects.select_for_update().get(pk=assignment.pk)
        if assignment.starts_at is not None and at <= assignment.starts_at:
            raise InvalidRequest("out_of_range", "An assignment ends after it starts.", "ends_at")
        if assignment.ends_at is not None and at > assignment.ends_at:
            raise Conflict("already_ended", "This assignment ends earlier already.", "ends_at")
        assignment.ends_at = at
        assignment.save(update_fields=["ends_at"])
        return assignment


def check_time_zone(name: str) -> str:
    """`name` if it is an IANA time zone such as Europe/Berlin; raises InvalidRequest `unknown_time_zone`."""
    if name not in _time_zones():
        raise InvalidRequest(
            "unknown_time_zone", "time_zone must be an IANA name such as Europe/Berlin.", "time_zone"
        )
    return name


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones() - _NOT_PLACES)


def _covers(assignment: PayerAssignment, instant: datetime | None) -> bool:
    starts_at, ends_at = assignment.starts_at, assignment.ends_at
    if instant is None:
        return starts_at is None
    return (starts_at is None or starts_at <= instant) and (ends_at is None or instant < ends_at)


def check_settlement(settlement: str) -> str:
    """`settlement` if it is one of the ways of settling; raises InvalidRequest otherwise."""
    if settlement not in Settlement.values:
        raise InvalidRequest(
            "invalid_choice", f"settlement must be one of {', '.join(Settlement.values)}.", "settlement"
        )
    return settlement


def check_bound(amount: Decimal | None, param: str) -> Decimal | None:
    """`amount` unless it is below zero; raises InvalidRequest otherwise."""
    if amount is not None and amount < 0:
        raise InvalidRequest("out_of_range", f"{param} may not be below zero.", param)
    return amount


def _change_state(entity: BillingEntity, changes: BillingEntityChanges) -> None:
    status = _next_status(entity, changes.get("status", entity.status))
    suspends_at = changes.get("suspends_at", entity.suspends_at if status == entity.status else None)
    if suspends_at is not None and status != Status.PAST_DUE:
        says = "Only a payer that is past due is suspended later."
        raise InvalidRequest("invalid_value", says, "suspends_at")
    if status != entity.status or "status_reason" in changes:
        entity.status_reason = changes.get("status_reason", "")
    entity.status, entity.suspends_at = status, suspends_at


def suspend_overdue(now: datetime) -> int:
    """Write down that payers past due are suspended whose time has come; how many. Nobody waits for it."""
    due = BillingEntity.objects.filter(status=Status.PAST_DUE, suspends_at__lte=now)
    count = 0
    for pk in due.values_list("pk", flat=True):
        with transaction.atomic():
            entity = BillingEntity.objects.select_for_update().get(pk=pk)
            if entity.state_at(now) == Status.SUSPENDED and entity.status == Status.PAST_DUE:
                entity.status, entity.suspends_at = Status.SUSPENDED, None
                entity.save(update_fields=["status", "suspends_at"])
                count += 1
    return count


def _next_status(entity: BillingEntity, status: str) -> str:
    if status not in Status.values:
        raise InvalidRequest("invalid_choice", f"status must be one of {', '.join(Status.values)}.", "status")
    if entity.status == Status.CLOSED and status != Status.CLOSED:
        raise Conflict("closed", "A closed payer stays closed.", "status")
    return status
