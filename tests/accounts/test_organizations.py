"""Organizations: a tree inside one customer."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from accounts.models import Customer, Organization, Workspace
from accounts.organizations import change_organization, create_organization
from core.errors import Conflict, Unprocessable
from tests.accounts.caller import Caller
from tests.accounts.conftest import Tenant, at_once

PATH = "/v1/organizations"


def test_organizations_form_a_tree(admin: Caller, acme: Tenant) -> None:
    group = admin.made(PATH, {"customer": "acme", "name": "Acme Group", "external_id": "group"})
    company = admin.made(PATH, {"customer": acme.customer.public_id, "name": "Acme AG", "parent": "group"})
    assert group["parent"] is None
    assert company["parent"] == group["id"]
    assert company["customer"] == acme.customer.public_id
    assert [row["id"] for row in admin.get(PATH, parent="group").json["data"]] == [company["id"]]


def test_an_organization_moves_with_all_below_it(acme: Tenant) -> None:
    group = create_organization(customer=acme.customer, name="Group")
    division = create_organization(customer=acme.customer, name="Division", parent=acme.organization)
    change_organization(acme.organization, parent=group)
    division.refresh_from_db()
    assert division.parent is not None
    assert division.parent.parent == group
    assert change_organization(acme.organization, parent=None).parent is None


def test_an_organization_never_stands_below_itself(admin: Caller, acme: Tenant) -> None:
    middle = create_organization(customer=acme.customer, name="Middle", parent=acme.organization)
    leaf = create_organization(customer=acme.customer, name="Leaf", parent=middle)
    for parent in (acme.organization, middle, leaf):
        answer = admin.patch(f"{PATH}/acme-eu", {"parent": parent.public_id})
        assert (answer.status, answer.error["code"], answer.error["param"]) == (
            409,
            "organization_cycle",
            "parent",
        )
    acme.organization.refresh_from_db()
    assert acme.organization.parent is None


def test_the_database_too_refuses_a_circle(acme: Tenant) -> None:
    middle = create_organization(customer=acme.customer, name="Middle", parent=acme.organization)
    leaf = create_organization(customer=acme.customer, name="Leaf", parent=middle)
    for parent in (acme.organization, middle, leaf):
        with pytest.raises(IntegrityError), transaction.atomic():
            Organization.objects.filter(pk=acme.organization.pk).update(parent=parent)


def test_an_organization_stays_inside_its_customer(admin: Caller, acme: Tenant, stranger: Tenant) -> None:
    with pytest.raises(Unprocessable):
        create_organization(customer=acme.customer, name="Spy", parent=stranger.organization)
    with pytest.raises(Unprocessable):
        change_organization(acme.organization, parent=stranger.organization)
    answer = admin.post(PATH, {"customer": "acme", "name": "Spy", "parent": "stranger-eu"})
    assert (answer.status, answer.error["code"], answer.error["param"]) == (422, "another_customer", "parent")
    answer = admin.post("/v1/workspaces", {"customer": "acme", "name": "Spy", "organization": "stranger-eu"})
    assert (answer.status, answer.error["param"]) == (422, "organization")


def test_the_database_too_keeps_references_inside_one_customer(acme: Tenant, stranger: Tenant) -> None:
    with pytest.raises(IntegrityError), at_once():
        Organization.objects.filter(pk=acme.organization.pk).update(parent=stranger.organization)
    with pytest.raises(IntegrityError), at_once():
        Workspace.objects.filter(pk=acme.workspace.pk).update(organization=stranger.organization)


def test_the_customer_of_a_row_is_fixed(acme: Tenant, stranger: Tenant, admin: Caller) -> None:
    with pytest.raises(Exception, match="fixed for life"), transaction.atomic():
        Organization.objects.filter(pk=acme.organization.pk).update(customer=stranger.customer)
    answer = admin.patch(f"{PATH}/acme-eu", {"customer": "stranger"})
    assert (answer.status, answer.error["code"]) == (400, "unknown_field")


def test_a_reference_to_nothing_is_named(admin: Caller, acme: Tenant) -> None:
    answer = admin.post(PATH, {"customer": "nobody", "name": "x"})
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "not_found", "customer")
    answer = admin.post(PATH, {"customer": "acme", "name": "x", "parent": 7})
    assert (answer.status, answer.error["param"]) == (400, "parent")
    answer = admin.get(PATH, customer="nobody")
    assert (answer.status, answer.error["param"]) == (404, "customer")
    assert admin.post(PATH, {"name": "x"}).error["param"] == "customer"


def test_every_change_of_the_tree_raises_the_customers_config_version(acme: Tenant) -> None:
    def version() -> int:
        return Customer.objects.values_list("config_version", flat=True).get(pk=acme.customer.pk)

    before = version()
    create_organization(customer=acme.customer, name="Group")
    between = version()
    change_organization(acme.organization, name="Acme EU")
    assert before < between < version()


def test_external_ids_are_one_namespace_per_noun(acme: Tenant, stranger: Tenant) -> None:
    with pytest.raises(Conflict):
        create_organization(customer=acme.customer, name="x", external_id="stranger-eu")
    assert create_organization(customer=acme.customer, name="x", external_id="acme").external_id == "acme"
