"""Customers: the roots of organization trees."""

from __future__ import annotations

from typing import TypedDict, Unpack

from django.db import transaction
from django.db.models import Func, Value

from accounts.external_ids import check_external_id
from accounts.models import Customer
from core import clock
from core.texts import clean_text


class CustomerChanges(TypedDict, total=False):
    """What may change about a customer."""

    name: str
    external_id: str | None


def create_customer(*, name: str, external_id: str | None = None) -> Customer:
    """A new customer. Raises Conflict when the external id is taken."""
    with transaction.atomic():
        return Customer.objects.create(
            name=clean_text(name, "name"),
            external_id=check_external_id(Customer, "cus", external_id),
            created_at=clock.now(),
        )


def change_customer(customer: Customer, **changes: Unpack[CustomerChanges]) -> Customer:
    """Change its name or external id; returns the row as it is then."""
    with transaction.atomic():
        customer = Customer.objects.select_for_update().get(pk=customer.pk)
        if "name" in changes:
            customer.name = clean_text(changes["name"], "name")
        if "external_id" in changes:
            customer.external_id = check_external_id(Customer, "cus", changes["external_id"], customer)
        customer.save(update_fields=["name", "external_id"])
        return customer


def outdate_customer(customer_id: int) -> None:
    """Let every process read anew what it keeps of a customer, as after a change of its configuration."""
    version = Func(Value("core_config_version_seq"), function="nextval")
    Customer.objects.filter(pk=customer_id).update(config_version=version)
