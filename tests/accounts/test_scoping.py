"""The one tenant filter: nobody sees what belongs to another customer."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser
from django.db.models import Model
from django.test import RequestFactory

from accounts.credentials import authenticate_api_key, authenticate_key
from accounts.integration_keys import issue_integration_key
from accounts.keys import issue_api_key
from accounts.models import (
    ApiKey,
    BillingEntity,
    Currency,
    Customer,
    IntegrationKey,
    Membership,
    Organization,
    PayerAssignment,
    User,
    Workspace,
)
from accounts.payers import create_billing_entity
from accounts.scoping import OPERATOR, Viewer, tenant_column, viewer_of, visible
from accounts.users import add_member, add_to_staff, create_user
from accounts.workspaces import create_workspace
from tests.accounts.conftest import Tenant

TENANTS: list[type[Model]] = [Customer, Organization, Workspace, BillingEntity, PayerAssignment, ApiKey]
SHARED: list[type[Model]] = [Currency, IntegrationKey, User]

pytestmark = pytest.mark.django_db


def view(user: object = None, auth: object = None) -> Viewer:
    request = RequestFactory().get("/")
    request.user = user or AnonymousUser()  # type: ignore[assignment]
    request.auth = auth  # type: ignore[attr-defined]
    return viewer_of(request)


@pytest.fixture(autouse=True)
def _keys(acme: Tenant, stranger: Tenant) -> None:
    for tenant in (acme, stranger):
        issue_api_key(workspace=tenant.workspace, name="x")


def member_of(tenant: Tenant) -> User:
    user = create_user(email="ana@example.com")
    add_member(user, tenant.customer, "member")
    return user


@pytest.mark.parametrize("model", TENANTS)
def test_staff_and_integration_keys_see_all(model: type[Model]) -> None:
    staff = add_to_staff(create_user(email="staff@example.com"), "read_only")
    key = authenticate_key(issue_integration_key(name="x", scopes=["read"]).secret)
    for viewer in (view(staff), view(auth=key), OPERATOR):
        assert visible(model, viewer).count() == 2


@pytest.mark.parametrize("model", TENANTS)
def test_a_member_sees_their_customer_only(model: type[Model], acme: Tenant) -> None:
    rows = visible(model, view(member_of(acme)))
    column = "pk" if model is Customer else "customer_id"
    assert list(rows.values_list(column, flat=True)) == [acme.customer.pk]


def test_a_member_of_two_customers_sees_both(acme: Tenant, stranger: Tenant) -> None:
    user = member_of(acme)
    add_member(user, stranger.customer, "billing")
    assert visible(Workspace, view(user)).count() == 2


@pytest.mark.parametrize("model", [*TENANTS, *SHARED])
def test_nobody_sees_nothing(model: type[Model]) -> None:
    nobody = create_user(email="nobody@example.com")
    gone = add_to_staff(create_user(email="gone@example.com"), "admin")
    gone.is_active = False
    for viewer in (view(), view(nobody), view(gone), Viewer()):
        assert not visible(model, viewer).exists()


@pytest.mark.parametrize("model", SHARED)
def test_what_all_share_is_for_the_operator(model: type[Model], acme: Tenant) -> None:
    assert not visible(model, view(member_of(acme))).exists()
    assert visible(model, OPERATOR).count() == model._default_manager.count()


def test_a_customers_key_sees_its_workspace_and_its_payers(acme: Tenant) -> None:
    create_workspace(customer=acme.customer, name="Other")
    create_billing_entity(customer=acme.customer, name="Other", currency="EUR")
    secret = issue_api_key(workspace=acme.workspace, name="x").secret or ""
    viewer = view(auth=authenticate_api_key(secret))
    assert list(visible(Workspace, viewer)) == [acme.workspace]
    assert list(visible(BillingEntity, viewer)) == [acme.payer]
    assert list(visible(Customer, viewer)) == [acme.customer]
    assert {row.workspace_id for row in visible(PayerAssignment, viewer)} == {acme.workspace.pk}
    assert not visible(Organization, viewer).exists()
    assert not visible(Membership, viewer).exists()


def test_a_queryset_keeps_its_own_filters(acme: Tenant) -> None:
    rows = Workspace.objects.filter(name="nothing like this")
    assert not visible(rows, view(member_of(acme))).exists()


def test_every_table_of_every_app_is_either_a_tenants_or_the_operators_alone(acme: Tenant) -> None:
    """A new model with a customer_id is filtered without a thought; one without is hidden from members."""
    viewer = view(member_of(acme))
    for model in apps.get_models():
        if model._meta.managed and tenant_column(model) is None:
            assert not visible(model, viewer).exists(), model


def test_hot_tables_are_filtered_by_customer_too() -> None:
    for label in ("metering.UsageEvent", "billing.Charge", "metering.UsageBucket"):
        assert tenant_column(apps.get_model(label)) == "customer_id"


@pytest.mark.parametrize("name", ["Discrepancy", "Repair", "ProviderPayment"])
def test_a_member_sees_none_of_the_operators_own_rows_that_name_a_customer(name: str, acme: Tenant) -> None:
    rows = visible(apps.get_model("billing", name), view(member_of(acme)))
    assert rows.query.is_empty()
