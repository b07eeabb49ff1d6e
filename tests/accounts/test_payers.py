"""Payers, and who pays for which workspace when."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from accounts.currencies import create_currency
from accounts.models import BillingEntity, PayerAssignment, Workspace
from accounts.payers import (
    assign_payer,
    change_billing_entity,
    create_billing_entity,
    end_assignment,
)
from accounts.workspaces import create_workspace
from core.errors import Conflict, InvalidRequest, Unprocessable
from tests.accounts.caller import Caller
from tests.accounts.conftest import Clock, Tenant, at_once

PATH = "/v1/billing-entities"
ASSIGNMENTS = "/v1/payer-assignments"
MARCH, APRIL, MAY, JUNE = (datetime(2026, month, 1, tzinfo=UTC) for month in (3, 4, 5, 6))

Span = tuple[datetime | None, datetime | None, BillingEntity]


def spans(workspace: Workspace) -> list[Span]:
    rows = PayerAssignment.objects.filter(workspace=workspace).select_related("billing_entity")
    beginning = datetime.min.replace(tzinfo=UTC)
    return sorted(
        ((row.starts_at, row.ends_at, row.billing_entity) for row in rows),
        key=lambda span: span[0] or beginning,
    )


def payer_of(tenant: Tenant, name: str) -> BillingEntity:
    return create_billing_entity(customer=tenant.customer, name=name, currency="EUR", external_id=name)


def test_a_payer_has_currency_time_zone_and_a_way_of_settling(admin: Caller, acme: Tenant) -> None:
    made = admin.made(
        PATH,
        {
            "customer": "acme",
            "name": "Acme SA",
            "currency": "CHF",
            "time_zone": "Europe/Zurich",
            "organization": "acme-eu",
            "settlement": "wallet_then_invoice",
            "overdraft": "0",
            "credit_limit": "1000.50",
        },
    )
    assert made["currency"] == "CHF"
    assert made["time_zone"] == "Europe/Zurich"
    assert made["organization"] == acme.organization.public_id
    assert (made["status"], made["settlement"]) == ("active", "wallet_then_invoice")
    assert (made["overdraft"], made["credit_limit"]) == ("0", "1000.5")
    stored = BillingEntity.objects.get(name="Acme SA")
    assert (stored.overdraft, stored.credit_limit) == (Decimal(0), Decimal("1000.50"))


def test_a_payer_is_by_default_prepaid_in_utc_and_may_run_negative(admin: Caller, acme: Tenant) -> None:
    made = admin.made(PATH, {"customer": "acme", "name": "x", "currency": "USD"})
    assert (made["time_zone"], made["settlement"]) == ("UTC", "wallet_only")
    assert made["overdraft"] is None
    assert made["credit_limit"] is None


def test_a_payer_may_use_the_operators_own_unit(admin: Caller, acme: Tenant) -> None:
    payload = {"customer": "acme", "name": "x", "currency": "CREDITS"}
    assert admin.post(PATH, payload).error["code"] == "unknown_currency"
    create_currency(code="CREDITS", name="Credits", decimals=0, price=Decimal("0.01"), price_currency="USD")
    assert admin.made(PATH, payload)["currency"] == "CREDITS"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("currency", "usd"),
        ("currency", "XYZ"),
        ("currency", "EURO"),
        ("currency", 5),
        ("currency", ""),
        ("time_zone", "Berlin"),
        ("time_zone", "localtime"),
        ("time_zone", "../../etc/passwd"),
        ("time_zone", None),
        ("settlement", "barter"),
        ("settlement", ["wallet_only"]),
        ("overdraft", "-0.01"),
        ("overdraft", 10),
        ("overdraft", "NaN"),
        ("overdraft", "1e3"),
        ("credit_limit", "Infinity"),
        ("credit_limit", "100000000000000000000"),
        ("credit_limit", "0.0000000000000000001"),
        ("credit_limit", True),
        ("status", "active"),
    ],
)
def test_a_wrong_value_of_a_payer_is_named(admin: Caller, acme: Tenant, field: str, value: object) -> None:
    payload = {"customer": "acme", "name": "x", "currency": "USD", field: value}
    answer = admin.post(PATH, payload)
    assert (answer.status, answer.error["param"]) == (400, field)
    assert BillingEntity.objects.count() == 1


def test_the_database_too_refuses_bounds_below_zero(acme: Tenant) -> None:
    for field in ("overdraft", "credit_limit"):
        with pytest.raises(IntegrityError), transaction.atomic():
            BillingEntity.objects.filter(pk=acme.payer.pk).update(**{field: Decimal(-1)})


def test_a_payer_changes_what_may_change(admin: Caller, acme: Tenant) -> None:
    answer = admin.patch(f"{PATH}/acme-gmbh", {"status": "suspended", "overdraft": "25", "name": "Acme KG"})
    assert answer.status == 200
    assert (answer.json["status"], answer.json["overdraft"], answer.json["name"]) == (
        "suspended",
        "25",
        "Acme KG",
    )
    for field, value in (("currency", "USD"), ("time_zone", "Asia/Tokyo"), ("customer", "acme")):
        assert admin.patch(f"{PATH}/acme-gmbh", {field: value}).error["code"] == "unknown_field"


def test_a_closed_payer_stays_closed(admin: Caller, acme: Tenant) -> None:
    change_billing_entity(acme.payer, status="closed")
    with pytest.raises(Conflict):
        change_billing_entity(acme.payer, status="active")
    assert admin.patch(f"{PATH}/acme-gmbh", {"status": "active"}).status == 409
    assert change_billing_entity(acme.payer, name="Former").status == "closed"
    other = create_workspace(customer=acme.customer, name="Other")
    with pytest.raises(Conflict):
        assign_payer(other, acme.payer, from_=None)


# Who pays when.


def test_a_workspace_gets_its_payer_when_it_is_made(admin: Caller, acme: Tenant) -> None:
    made = admin.made("/v1/workspaces", {"customer": "acme", "name": "Ads", "billing_entity": "acme-gmbh"})
    assert made["billing_entity"] == acme.payer.public_id
    assert spans(acme.workspace) == [(None, None, acme.payer)]


def test_a_new_payer_ends_the_present_one(acme: Tenant, at: Clock) -> None:
    parent = payer_of(acme, "parent")
    assign_payer(acme.workspace, parent, from_=APRIL)
    assert spans(acme.workspace) == [(None, APRIL, acme.payer), (APRIL, None, parent)]


def test_a_move_in_mid_month_through_the_api(admin: Caller, acme: Tenant, at: Clock) -> None:
    parent = payer_of(acme, "parent")
    moved = admin.made(ASSIGNMENTS, {"workspace": "acme-search", "billing_entity": "parent"})
    assert moved["starts_at"] == "2026-03-10T12:00:00Z"
    assert moved["ends_at"] is None
    assert spans(acme.workspace) == [(None, at.instant, acme.payer), (at.instant, None, parent)]
    assert admin.get("/v1/workspaces/acme-search").json["billing_entity"] == parent.public_id
    rows = admin.get("/v1/workspaces", billing_entity="parent").json["data"]
    assert [row["external_id"] for row in rows] == ["acme-search"]
    assert admin.get("/v1/workspaces", billing_entity="acme-gmbh").json["data"] == []


def test_the_first_payer_of_a_workspace_pays_since_ever(admin: Caller, acme: Tenant) -> None:
    admin.made("/v1/workspaces", {"customer": "acme", "external_id": "ads"})
    made = admin.made(ASSIGNMENTS, {"workspace": "ads", "billing_entity": "acme-gmbh"})
    assert (made["starts_at"], made["ends_at"]) == (None, None)


def test_a_payer_planned_for_later_still_begins_then(acme: Tenant) -> None:
    later, sooner = payer_of(acme, "later"), payer_of(acme, "sooner")
    assign_payer(acme.workspace, later, from_=JUNE)
    assign_payer(acme.workspace, sooner, from_=APRIL)
    assert spans(acme.workspace) == [
        (None, APRIL, acme.payer),
        (APRIL, JUNE, sooner),
        (JUNE, None, later),
    ]


def test_assigning_the_same_payer_again_changes_nothing(acme: Tenant) -> None:
    before = PayerAssignment.objects.get()
    assert assign_payer(acme.workspace, acme.payer, from_=APRIL) == before
    assert spans(acme.workspace) == [(None, None, acme.payer)]


def test_a_payer_from_the_same_instant_on_takes_the_others_place(acme: Tenant) -> None:
    first, second = payer_of(acme, "first"), payer_of(acme, "second")
    assign_payer(acme.workspace, first, from_=APRIL)
    assign_payer(acme.workspace, second, from_=APRIL)
    assert spans(acme.workspace) == [(None, APRIL, acme.payer), (APRIL, None, second)]


def test_a_payer_since_ever_pays_until_the_first_that_is_known(acme: Tenant) -> None:
    workspace = create_workspace(customer=acme.customer, name="Ads")
    assign_payer(workspace, acme.payer, from_=MAY)
    early = payer_of(acme, "early")
    assign_payer(workspace, early, from_=None)
    assert spans(workspace) == [(None, MAY, early), (MAY, None, acme.payer)]


def test_an_assignment_ends_and_leaves_nobody(admin: Caller, acme: Tenant) -> None:
    row = PayerAssignment.objects.get()
    answer = admin.patch(f"{ASSIGNMENTS}/{row.public_id}", {"ends_at": "2026-05-01T00:00:00+00:00"})
    assert (answer.status, answer.json["ends_at"]) == (200, "2026-05-01T00:00:00Z")
    assert spans(acme.workspace) == [(None, MAY, acme.payer)]
    with pytest.raises(Conflict):
        end_assignment(row, at=JUNE)
    assert end_assignment(row, at=APRIL).ends_at == APRIL


def test_an_assignment_ends_after_it_starts(acme: Tenant) -> None:
    moved = assign_payer(acme.workspace, payer_of(acme, "parent"), from_=APRIL)
    for instant in (APRIL, MARCH):
        with pytest.raises(InvalidRequest):
            end_assignment(moved, at=instant)
    with pytest.raises(IntegrityError), transaction.atomic():
        PayerAssignment.objects.filter(pk=moved.pk).update(ends_at=APRIL)


def test_the_database_too_allows_one_payer_at_a_time(acme: Tenant) -> None:
    parent = payer_of(acme, "parent")
    for starts_at, ends_at in ((None, None), (APRIL, None), (None, APRIL), (APRIL, MAY)):
        with pytest.raises(IntegrityError), transaction.atomic():
            PayerAssignment.objects.create(
                customer=acme.customer,
                workspace=acme.workspace,
                billing_entity=parent,
                starts_at=starts_at,
                ends_at=ends_at,
                created_at=MARCH,
            )


def test_only_a_payer_of_the_same_customer_pays(admin: Caller, acme: Tenant, stranger: Tenant) -> None:
    with pytest.raises(Unprocessable):
        assign_payer(acme.workspace, stranger.payer, from_=APRIL)
    answer = admin.post(ASSIGNMENTS, {"workspace": "acme-search", "billing_entity": "stranger-gmbh"})
    assert (answer.status, answer.error["code"]) == (422, "another_customer")
    payload = {"customer": "acme", "name": "x", "billing_entity": "stranger-gmbh"}
    assert admin.post("/v1/workspaces", payload).status == 422
    assert not Workspace.objects.filter(name="x").exists()
    for column in ("billing_entity", "workspace"):
        other = getattr(stranger, "payer" if column == "billing_entity" else "workspace")
        with pytest.raises(IntegrityError), at_once():
            PayerAssignment.objects.filter(workspace=acme.workspace).update(**{column: other, "ends_at": MAY})


@pytest.mark.parametrize(
    "starts_at", ["yesterday", "2026-03-10T12:00:00", 5, True, "", "9999-99-99T00:00:00Z"]
)
def test_an_instant_has_an_offset(admin: Caller, acme: Tenant, starts_at: object) -> None:
    payload = {"workspace": "acme-search", "billing_entity": "acme-gmbh", "starts_at": starts_at}
    answer = admin.post(ASSIGNMENTS, payload)
    assert (answer.status, answer.error["param"]) == (400, "starts_at")


@pytest.mark.parametrize("starts_at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_the_first_and_the_last_instant_are_instants(admin: Caller, acme: Tenant, starts_at: str) -> None:
    payer_of(acme, "parent")
    payload = {"workspace": "acme-search", "billing_entity": "parent", "starts_at": starts_at}
    made = admin.made(ASSIGNMENTS, payload)
    assert made["starts_at"] == starts_at


def test_a_repeated_move_under_one_key_moves_once(admin: Caller, acme: Tenant, at: Clock) -> None:
    payer_of(acme, "parent")
    payload = {"workspace": "acme-search", "billing_entity": "parent"}
    first = admin.post(ASSIGNMENTS, payload, key="move")
    at.forward(hours=1)
    assert admin.post(ASSIGNMENTS, payload, key="move").body == first.body
    assert PayerAssignment.objects.filter(workspace=acme.workspace).count() == 2


def test_amounts_under_one_key_compare_by_value(admin: Caller, acme: Tenant) -> None:
    payload = {"customer": "acme", "name": "x", "currency": "USD", "overdraft": "10"}
    first = admin.post(PATH, payload, key="k")
    assert admin.post(PATH, payload | {"overdraft": "10.00"}, key="k").body == first.body
    answer = admin.post(PATH, payload | {"overdraft": "10.01"}, key="k")
    assert (answer.status, answer.error["param"]) == (409, "overdraft")
