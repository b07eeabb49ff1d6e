"""The cast: an operator's program with all rights, one that only reads, two customers who are strangers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from accounts.credentials import integration_keys
from accounts.customers import create_customer
from accounts.models import BillingEntity, Customer, Organization, Workspace
from accounts.organizations import create_organization
from accounts.payers import create_billing_entity
from accounts.workspaces import create_workspace
from core import clock
from tests.accounts.caller import Caller, caller_with


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 3, 10, 12, tzinfo=UTC)

    def forward(self, **step: float) -> datetime:
        self.instant += timedelta(**step)
        return self.instant


@pytest.fixture
def at() -> Iterator[Clock]:
    hand = Clock()
    clock.use(lambda: hand.instant)
    yield hand
    clock.use(None)


@contextmanager
def at_once() -> Iterator[None]:
    """A transaction whose deferred constraints are checked at its end, although the test's goes on."""
    with transaction.atomic():
        yield
        connection.check_constraints()


@pytest.fixture(autouse=True)
def _forgotten_keys() -> None:
    integration_keys.forget()


@dataclass
class Tenant:
    """A customer with a division, a payer and a workspace."""

    customer: Customer
    organization: Organization
    payer: BillingEntity
    workspace: Workspace


def make_tenant(name: str) -> Tenant:
    customer = create_customer(name=name, external_id=name)
    organization = create_organization(customer=customer, name=f"{name} Europe", external_id=f"{name}-eu")
    payer = create_billing_entity(
        customer=customer, name=f"{name} GmbH", currency="EUR", external_id=f"{name}-gmbh"
    )
    workspace = create_workspace(
        customer=customer, name="Search", external_id=f"{name}-search", billing_entity=payer
    )
    return Tenant(customer, organization, payer, workspace)


@pytest.fixture
def acme(db: None) -> Tenant:
    return make_tenant("acme")


@pytest.fixture
def stranger(db: None) -> Tenant:
    return make_tenant("stranger")


@pytest.fixture
def admin(db: None) -> Caller:
    return caller_with("admin")


@pytest.fixture
def reader(db: None) -> Caller:
    return caller_with("read")
