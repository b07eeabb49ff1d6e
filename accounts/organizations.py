"""Organizations: companies and divisions in a customer's tree."""

from __future__ import annotations

from typing import TypedDict, Unpack

from django.db import transaction

from accounts.external_ids import check_external_id
from accounts.followers import moves
from accounts.models import Customer, Organization
from core import clock
from core.database_errors import explain_constraint
from core.errors import Conflict, Unprocessable
from core.texts import clean_text

_CYCLE = ("organization_cycle", "An organization may not stand below itself.", "parent")

explain_constraint("organization_in_tree", Conflict, *_CYCLE)
explain_constraint("organization_not_own_parent", Conflict, *_CYCLE)
for _name in ("parent_inside_customer", "organization_inside_customer"):
    explain_constraint(
        _name,
        Unprocessable,
        "another_customer",
        "The organization belongs to another customer.",
        _name.removesuffix("_inside_customer"),
    )


class OrganizationChanges(TypedDict, total=False):
    """What may change about an organization."""

    name: str
    external_id: str | None
    parent: Organization | None


def create_organization(
    *, customer: Customer, name: str, parent: Organization | None = None, external_id: str | None = None
) -> Organization:
    """A new organization of `customer`, below `parent` or at the top of the tree.

    Raises Unprocessable for a parent of another customer, Conflict when the external id is taken.
    """
    check_inside(customer.pk, parent, "parent")
    with transaction.atomic():
        return Organization.objects.create(
            customer=customer,
            parent=parent,
            name=clean_text(name, "name"),
            external_id=check_external_id(Organization, "org", external_id),
            created_at=clock.now(),
        )


def change_organization(organization: Organization, **changes: Unpack[OrganizationChanges]) -> Organization:
    """Rename it or move it, with all below it, to another place of its tree; returns the row as it is then.

    Locks the customer, so that two moves at once cannot close a circle. Raises Conflict for a circle.
    """
    with moves.around([organization.customer_id] if "parent" in changes else ()):
        Customer.objects.select_for_update().get(pk=organization.customer_id)
        organization = Organization.objects.select_for_update().get(pk=organization.pk)
        if "name" in changes:
            organization.name = clean_text(changes["name"], "name")
        if "external_id" in changes:
            organization.external_id = check_external_id(
                Organization, "org", changes["external_id"], organization
            )
        if "parent" in changes:
            organization.parent = _allowed_parent(organization, changes["parent"])
        organization.save(update_fields=["name", "external_id", "parent"])
        return organization


def check_inside(customer_id: int, organization: Organization | None, param: str) -> None:
    """Raise Unprocessable unless `organization` (if any) belongs to the customer."""
    if organization is not None and organization.customer_id != customer_id:
        raise Unprocessable("another_customer", "The organization belongs to another customer.", param)


def _allowed_parent(organization: Organization, parent: Organization | None) -> Organization | None:
    check_inside(organization.customer_id, parent, "parent")
    rows = Organization.objects.filter(customer_id=organization.customer_id)
    above = dict(rows.values_list("pk", "parent_id"))
    step = parent.pk if parent is not None else None
    while step is not None:
        if step == organization.pk:
            raise Conflict(*_CYCLE)
        step = above[step]
    return parent
