"""Two at once, on two connections: whatever the order, the rules hold and nobody gets a 500."""

from __future__ import annotations

import pytest

from accounts.integration_keys import issue_integration_key, rotate_integration_key
from accounts.models import Customer, IntegrationKey, Membership, Organization, PayerAssignment
from accounts.organizations import change_organization, create_organization
from accounts.payers import assign_payer, create_billing_entity
from accounts.users import add_member, change_role, create_user
from core import clock
from core.errors import Conflict
from tests.accounts.caller import Answer, Caller, caller_with
from tests.accounts.conftest import make_tenant
from tests.concurrency.crowd import tried_at_once

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("round_", range(5))
def test_two_moves_cannot_close_a_circle(round_: int) -> None:
    tenant = make_tenant("acme")
    left = create_organization(customer=tenant.customer, name="Left")
    right = create_organization(customer=tenant.customer, name="Right")
    results = tried_at_once(
        lambda: change_organization(left, parent=right), lambda: change_organization(right, parent=left)
    )
    assert [type(result) for result in results if isinstance(result, Exception)] == [Conflict]
    assert Organization.objects.filter(parent__isnull=False).count() == 1


def test_two_moves_past_the_verbs_cannot_either() -> None:
    tenant = make_tenant("acme")
    left = create_organization(customer=tenant.customer, name="Left")
    right = create_organization(customer=tenant.customer, name="Right")
    tried_at_once(
        lambda: Organization.objects.filter(pk=left.pk).update(parent=right),
        lambda: Organization.objects.filter(pk=right.pk).update(parent=left),
    )
    assert Organization.objects.filter(parent__isnull=False).count() == 1


def test_one_external_id_asked_for_by_many_is_made_once() -> None:
    secret = caller_with("admin").secret

    def create() -> Answer:
        return Caller(secret).post("/v1/customers", {"name": "Acme", "external_id": "acme"})

    answers = tried_at_once(*[create] * 6)
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409, 409]
    refused = [answer.error for answer in answers if answer.status == 409]
    assert {(error["code"], error["param"]) for error in refused} == {("already_exists", "external_id")}


def test_one_idempotency_key_sent_by_many_makes_one() -> None:
    secret = caller_with("admin").secret

    def create() -> Answer:
        return Caller(secret).post("/v1/customers", {"name": "Acme"}, key="k")

    answers = tried_at_once(*[create] * 6)
    assert [answer.status for answer in answers] == [201] * 6
    assert len({answer.body for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 5
    assert Customer.objects.count() == 1


def test_a_workspace_moved_by_many_has_one_payer_at_a_time() -> None:
    tenant = make_tenant("acme")
    payers = [
        create_billing_entity(customer=tenant.customer, name=f"P{number}", currency="EUR")
        for number in range(5)
    ]
    now = clock.now()
    results = tried_at_once(
        *(lambda payer=payer: assign_payer(tenant.workspace, payer, from_=now) for payer in payers)
    )
    assert not [result for result in results if isinstance(result, Exception)]
    rows = list(PayerAssignment.objects.order_by("starts_at"))
    assert [(row.starts_at, row.ends_at) for row in rows if row.starts_at is None] == [(None, now)]
    assert [(row.starts_at, row.ends_at) for row in rows if row.starts_at is not None] == [(now, None)]


def test_a_key_rotated_by_two_has_one_successor() -> None:
    key = issue_integration_key(name="x", scopes=["read"]).key
    results = tried_at_once(*[lambda: rotate_integration_key(key)] * 2)
    assert [type(result) for result in results if isinstance(result, Exception)] == [Conflict]
    assert IntegrationKey.objects.filter(rotated_from=key).count() == 1


def test_two_owners_cannot_leave_at_once() -> None:
    tenant = make_tenant("acme")
    owners = [
        add_member(create_user(email=f"{name}@example.com"), tenant.customer, "owner") for name in ("a", "b")
    ]
    results = tried_at_once(*(lambda owner=owner: change_role(owner, "member") for owner in owners))
    assert [type(result) for result in results if isinstance(result, Exception)] == [Conflict]
    assert Membership.objects.filter(role="owner").count() == 1


def test_a_key_revoked_in_another_process_is_refused_here_at_once() -> None:
    admin, made = caller_with("admin"), issue_integration_key(name="x", scopes=["read"])
    program = Caller(made.secret)
    assert program.get("/v1/customers").status == 200

    def elsewhere() -> None:
        IntegrationKey.objects.filter(pk=made.key.pk).update(revoked_at=clock.now())

    tried_at_once(elsewhere)
    assert program.get("/v1/customers").status == 401
    assert admin.get("/v1/customers").status == 200
