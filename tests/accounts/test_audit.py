"""The audit trail: who changed what, from where, from which value to which."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from accounts.audit import Change, FieldChange, changes_of, latest_changes, tracked_models
from accounts.currencies import change_currency, create_currency
from accounts.customers import change_customer
from accounts.keys import issue_api_key
from accounts.middleware import AuditMiddleware
from accounts.models import ApiKey, Customer, IntegrationKey, Membership, User, Workspace
from accounts.scoping import OPERATOR, Viewer
from accounts.users import add_member, add_to_staff, create_user, remove_member
from core.audit import Source, audited
from tests.accounts.caller import Caller
from tests.accounts.conftest import Tenant

pytestmark = pytest.mark.django_db


def differences(change: Change) -> dict[str, tuple[object, object]]:
    return {field.field: (field.old, field.new) for field in change.fields}


def test_a_change_through_the_api_names_the_key_and_the_request(admin: Caller, acme: Tenant) -> None:
    answer = admin.patch("/v1/customers/acme", {"name": "Acme AG"})
    changed, created = changes_of(acme.customer)
    key = IntegrationKey.objects.get()
    assert (changed.kind, changed.noun, changed.row_id) == ("changed", "customer", acme.customer.pk)
    assert (changed.source, changed.actor) == ("api", key.public_id)
    assert changed.request_id == answer.headers["X-Request-Id"]
    assert changed.fields == (FieldChange("name", "acme", "Acme AG"),)
    assert created.kind == "created"
    assert differences(created)["name"] == (None, "acme")
    assert created.source == "system"


def test_a_change_that_is_refused_leaves_no_trace(admin: Caller, acme: Tenant, stranger: Tenant) -> None:
    assert admin.patch("/v1/customers/acme", {"name": "x", "external_id": "stranger"}).status == 409
    assert len(changes_of(acme.customer)) == 1


def test_a_change_past_the_verbs_is_seen_too(acme: Tenant) -> None:
    with audited(Source.COMMAND, "manage.py test"):
        Workspace.objects.filter(pk=acme.workspace.pk).update(name="Renamed")
    change = changes_of(acme.workspace)[0]
    assert (change.source, change.actor) == ("command", "manage.py test")
    assert differences(change) == {"name": ("Search", "Renamed")}


def test_a_row_whose_key_is_a_text_has_a_trail(admin: Caller) -> None:
    unit = create_currency(code="CREDITS", name="x", decimals=0, price=Decimal(1), price_currency="USD")
    change_currency(unit, price=Decimal("2.5"))
    change = changes_of(unit)[0]
    assert change.row_id == "CREDITS"
    assert differences(change) == {"price": (Decimal(1), Decimal("2.5"))}


def test_rights_of_people_leave_a_trail_their_passwords_do_not(acme: Tenant) -> None:
    user = create_user(email="ana@example.com", password="correct horse battery")
    membership = add_member(user, acme.customer, "member")
    remove_member(membership)
    add_to_staff(user, "ops")
    user.set_password("another long password")
    user.save()
    kinds = [(change.noun, change.kind) for change in latest_changes(OPERATOR, limit=10)]
    assert ("membership", "created") in kinds
    assert ("membership", "deleted") in kinds
    assert ("group member", "created") in kinds
    assert differences(changes_of(user)[0]) == {"is_staff": (False, True)}
    assert not any("password" in differences(change) for change in changes_of(user))


def test_no_secret_is_in_the_trail(acme: Tenant) -> None:
    issued = issue_api_key(workspace=acme.workspace, name="x")
    assert str(issued.secret) not in str(changes_of(issued.key))


def test_the_use_of_a_key_is_no_change_of_it(admin: Caller, acme: Tenant) -> None:
    admin.get("/v1/customers")
    assert len(changes_of(IntegrationKey.objects.get())) == 1


def test_the_latest_changes_of_all_come_the_latest_first(acme: Tenant) -> None:
    change_customer(acme.customer, name="Acme AG")
    changes = latest_changes(OPERATOR, limit=3)
    assert len(changes) == 3
    assert changes == sorted(changes, key=lambda change: change.at, reverse=True)
    assert {change.noun for change in latest_changes(OPERATOR, models=[Customer])} == {"customer"}
    latest = latest_changes(OPERATOR, models=[Customer], limit=1)[0]
    assert differences(latest) == {"name": ("acme", "Acme AG")}


def test_older_changes_follow_from_where_a_page_ended(acme: Tenant) -> None:
    for number in range(3):
        change_customer(acme.customer, name=f"Acme {number}")
    # One transaction has one instant: the test's changes are all of one moment.
    newest = latest_changes(OPERATOR, models=[Customer], limit=1)[0]
    assert latest_changes(OPERATOR, models=[Customer], before=newest.at) == []


def test_a_member_sees_the_trail_of_their_customer_only(acme: Tenant, stranger: Tenant) -> None:
    viewer = Viewer(customer_ids=frozenset({acme.customer.pk}))
    nouns = {(change.noun, change.row_id) for change in latest_changes(viewer)}
    assert ("workspace", acme.workspace.pk) in nouns
    assert ("workspace", stranger.workspace.pk) not in nouns
    assert not any(noun == "user" for noun, _ in nouns)


def test_the_trail_covers_who_and_what_is_paid() -> None:
    assert {Customer, Workspace, ApiKey, Membership, User} <= set(tracked_models())


@pytest.mark.parametrize(("method", "source"), [("post", "ui"), ("get", "system")])
def test_a_page_that_changes_something_says_who_was_signed_in(acme: Tenant, method: str, source: str) -> None:
    def page(request: HttpRequest) -> HttpResponse:
        change_customer(acme.customer, name=f"Acme by {request.method}")
        return HttpResponse()

    request = getattr(RequestFactory(), method)("/")
    request.user = create_user(email="ana@example.com")
    request.id = "r-1"
    AuditMiddleware(page)(request)
    change = changes_of(acme.customer)[0]
    assert change.source == source
    assert change.actor == ("ana@example.com" if source == "ui" else None)
    assert change.request_id == ("r-1" if source == "ui" else None)
