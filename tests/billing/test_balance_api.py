"""`GET /v1/balance` and `/v1/wallets`: what a payer has, and whether it can spend."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.keys import issue_api_key, revoke_api_key
from accounts.models import BillingEntity, PayerAssignment, Workspace
from billing.models import LedgerAccount
from billing.wallets import grant_credit, top_up
from core import clock
from tests.api_client import Api
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
DAY = timedelta(days=1)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
_january = standing_at(NOW)


@pytest.fixture
def api() -> Api:
    return Api("read")


def own(tenant: Tenant) -> tuple[Api, Any]:
    """A caller with a key of the tenant's own, and the key."""
    issued, caller = issue_api_key(workspace=tenant.workspace, name="Own"), Api("read")
    caller.secret = str(issued.secret)
    return caller, issued.key


def read(api: Api, **params: str) -> dict[str, Any]:
    answer = api.get("/v1/balance", **params)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def of(api: Api, tenant: Tenant) -> dict[str, Any]:
    return read(api, billing_entity=tenant.payer.public_id)


def refused(answer: Any) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def money(found: dict[str, Any]) -> tuple[str, str, str, str]:
    return found["available"], found["settled"], found["held"], found["owed"]


def test_a_balance_shows_all_that_counts(api: Api) -> None:
    tenant = make_tenant(None, balance="12.50", overdraft=Decimal(5))
    assert of(api, tenant) == {
        "billing_entity": tenant.payer.public_id,
        "currency": "USD",
        "status": "active",
        "settlement": "wallet_only",
        "can_spend": True,
        "available": "17.5",
        "is_unbounded": False,
        "settled": "12.5",
        "held": "0",
        "owed": "0",
    }


def test_a_payer_and_its_workspace_are_named_by_either_id(api: Api) -> None:
    tenant, _ = make_tenant(None, balance="3"), make_tenant(None, balance="4")
    for params in (
        {"billing_entity": tenant.payer.public_id},
        {"billing_entity": str(tenant.payer.external_id)},
        {"workspace": tenant.workspace.public_id},
        {"workspace": str(tenant.workspace.external_id)},
    ):
        found = read(api, **params)
        assert (found["billing_entity"], found["settled"]) == (tenant.payer.public_id, "3")


def test_who_never_called_has_nothing(api: Api) -> None:
    found = of(api, make_tenant(None, overdraft=Decimal(0)))
    assert money(found) == ("0", "0", "0", "0")
    assert not found["can_spend"]


def test_a_wallet_without_bound_can_spend_below_zero(api: Api) -> None:
    make_meter()
    tenant = make_tenant(make_version([PER_TOKEN]), balance="1")
    charge(tenant, "a", properties={"tokens": 300})
    found = of(api, tenant)
    assert (found["is_unbounded"], found["can_spend"]) == (True, True)
    assert money(found) == ("-2", "-2", "0", "0")


@pytest.mark.parametrize(
    ("overdraft", "available", "can_spend"), [("0", "-2", False), ("2", "0", False), ("2.01", "0.01", True)]
)
def test_an_overdraft_is_spendable_to_its_end(
    api: Api, overdraft: str, available: str, can_spend: bool
) -> None:
    make_meter()
    tenant = make_tenant(make_version([PER_TOKEN]), balance="1")
    charge(tenant, "a", properties={"tokens": 300})
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(overdraft=Decimal(overdraft))
    found = of(api, tenant)
    assert (found["available"], found["can_spend"], found["is_unbounded"]) == (available, can_spend, False)


def test_what_is_held_is_not_available(api: Api) -> None:
    tenant = make_tenant(None, balance="10", overdraft=Decimal(0))
    LedgerAccount.objects.filter(billing_entity_id=tenant.payer.pk, kind="wallet").update(held=Decimal("9.5"))
    assert money(of(api, tenant)) == ("0.5", "10", "9.5", "0")
    LedgerAccount.objects.filter(billing_entity_id=tenant.payer.pk, kind="wallet").update(held=10)
    assert not of(api, tenant)["can_spend"]


def test_a_credit_limit_is_spendable_beside_the_wallet_and_what_is_owed_is_told(api: Api) -> None:
    make_meter()
    tenant = make_tenant(
        make_version([PER_TOKEN]), balance="1", settlement="wallet_then_invoice", credit_limit=Decimal(5)
    )
    assert money(of(api, tenant)) == ("6", "1", "0", "0")
    charge(tenant, "a", properties={"tokens": 300})
    found = of(api, tenant)
    assert (money(found), found["can_spend"]) == (("3", "0", "0", "2"), True)
    charge(tenant, "b", properties={"tokens": 300})
    found = of(api, tenant)
    assert (money(found), found["can_spend"]) == (("0", "0", "0", "5"), False)


def test_an_invoiced_payer_without_limit_is_unbounded(api: Api) -> None:
    make_meter()
    tenant = make_tenant(make_version([PER_TOKEN]), settlement="invoice_only", overdraft=Decimal(0))
    charge(tenant, "a", properties={"tokens": 300})
    found = of(api, tenant)
    assert (found["is_unbounded"], found["can_spend"], found["owed"]) == (True, True, "3")


@pytest.mark.parametrize(
    ("status", "can_spend"), [("active", True), ("past_due", True), ("suspended", False), ("closed", False)]
)
def test_money_alone_does_not_let_a_suspended_payer_spend(api: Api, status: str, can_spend: bool) -> None:
    tenant = make_tenant(None, balance="10")
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(status=status)
    found = of(api, tenant)
    assert (found["status"], found["can_spend"], found["settled"]) == (status, can_spend, "10")


def test_grants_that_fell_due_since_the_last_call_count_as_the_next_charge_will_count_them(api: Api) -> None:
    make_meter()
    tenant = make_tenant(make_version([PER_TOKEN]), balance="1", overdraft=Decimal(0))
    grant_credit(tenant.payer, Decimal(20), effective_at=NOW + DAY)
    grant_credit(tenant.payer, Decimal(300), expires_at=NOW + DAY)
    grant_credit(tenant.payer, Decimal(4000), effective_at=NOW + DAY / 2, expires_at=NOW + DAY)
    for at, settled in (
        (timedelta(0), "301"),
        (DAY / 2, "4301"),
        (DAY - timedelta(microseconds=1), "4301"),
        (DAY, "21"),
    ):
        clock.use(lambda at=at: NOW + at)  # type: ignore[misc]
        assert money(of(api, tenant)) == (settled, settled, "0", "0")
    outcome = charge(tenant, "a", properties={"tokens": 100})
    assert outcome.settled == 20  # type: ignore[union-attr]
    assert of(api, tenant)["settled"] == "20"


def test_a_workspaces_balance_is_that_of_who_pays_now(api: Api) -> None:
    tenant = make_tenant(None, balance="1")
    later = BillingEntity.objects.create(
        customer=tenant.customer, name="Later", currency="EUR", created_at=START
    )
    top_up(later, Decimal(7))
    PayerAssignment.objects.filter(workspace=tenant.workspace).update(ends_at=NOW + DAY)
    PayerAssignment.objects.create(
        customer=tenant.customer,
        workspace=tenant.workspace,
        billing_entity=later,
        starts_at=NOW + DAY,
        ends_at=NOW + 2 * DAY,
        created_at=NOW,
    )
    name = tenant.workspace.public_id
    assert read(api, workspace=name)["settled"] == "1"
    clock.use(lambda: NOW + DAY)
    assert (read(api, workspace=name)["settled"], read(api, workspace=name)["currency"]) == ("7", "EUR")
    clock.use(lambda: NOW + 2 * DAY)
    assert refused(api.get("/v1/balance", workspace=name)) == (422, "no_payer", "workspace")


def test_a_customers_own_key_needs_to_name_nothing(api: Api) -> None:
    tenant, _ = make_tenant(None, balance="3"), make_tenant(None, balance="4")
    caller, key = own(tenant)
    for params in ({}, {"workspace": tenant.workspace.public_id}, {"billing_entity": tenant.payer.public_id}):
        assert read(caller, **params)["billing_entity"] == tenant.payer.public_id
    revoke_api_key(key)
    assert caller.get("/v1/balance").status_code == 401


def test_a_customers_own_key_learns_nothing_of_another_customer(api: Api) -> None:
    tenant, other = make_tenant(None, balance="3"), make_tenant(None, balance="4")
    caller, _ = own(tenant)
    for param, theirs, nobody in (
        ("billing_entity", other.payer.public_id, "be_00000zzz"),
        ("billing_entity", str(other.payer.external_id), "be_nobody"),
        ("workspace", other.workspace.public_id, "ws_00000zzz"),
        ("workspace", str(other.workspace.external_id), "ws_nobody"),
    ):
        told, unknown = (caller.get("/v1/balance", **{param: name}) for name in (theirs, nobody))
        assert refused(told) == refused(unknown) == (404, "not_found", param)
        messages = [answer.json()["error"]["message"] for answer in (told, unknown)]
        assert messages[0].replace(theirs, "") == messages[1].replace(nobody, "")


def test_a_customers_own_key_sees_its_workspace_alone(api: Api) -> None:
    tenant = make_tenant(None, balance="3")
    sister = Workspace.objects.create(customer=tenant.customer, name="Sister", created_at=START)
    payer = BillingEntity.objects.create(
        customer=tenant.customer, name="Sister's", currency="USD", created_at=START
    )
    PayerAssignment.objects.create(
        customer=tenant.customer, workspace=sister, billing_entity=payer, created_at=START
    )
    caller, _ = own(tenant)
    assert caller.get("/v1/balance", workspace=sister.public_id).status_code == 404
    assert caller.get("/v1/balance", billing_entity=payer.public_id).status_code == 404


def test_who_may_ask() -> None:
    tenant = make_tenant(None)
    name = tenant.payer.public_id
    assert Api("charges:write").get("/v1/balance", billing_entity=name).status_code == 403
    assert Api("admin").get("/v1/balance", billing_entity=name).status_code == 200
    nobody = Api("read")
    nobody.secret = "tg_nonsense"
    assert nobody.get("/v1/balance", billing_entity=name).status_code == 401
    assert nobody.get("/v1/wallets").status_code == 401
    assert Api("events:write").get("/v1/wallets").status_code == 403
    caller, _ = own(tenant)
    assert caller.get("/v1/wallets").status_code == 401


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, (400, "required", "workspace")),
        ({"workspace": ""}, (400, "blank", "workspace")),
        ({"workspace": "ws_nobody"}, (404, "not_found", "workspace")),
        ({"workspace": "a\x00b"}, None),
        ({"billing_entity": "be_nobody"}, (404, "not_found", "billing_entity")),
        ({"billing_entity": "x" * 900}, (404, "not_found", "billing_entity")),
        ({"payer": "x"}, (400, "unknown_parameter", "payer")),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    api: Api, params: dict[str, str], expected: tuple[int, str, str] | None
) -> None:
    answer = api.get("/v1/balance", **params)
    assert answer.status_code in (400, 404)
    if expected is not None:
        assert refused(answer) == expected


def test_a_wallet_is_the_balance_under_its_payers_name(api: Api) -> None:
    tenant = make_tenant(None, balance="3")
    for name in (tenant.payer.public_id, str(tenant.payer.external_id)):
        assert api.get(f"/v1/wallets/{name}").json() == of(api, tenant)
    assert api.get("/v1/wallets/be_nobody").status_code == 404


def test_wallets_are_listed_each_with_its_own_balance(
    api: Api, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    make_meter()
    version = make_version([PER_TOKEN])
    rich, poor, owing = (
        make_tenant(version, balance="100"),
        make_tenant(version, overdraft=Decimal(0)),
        make_tenant(version, settlement="invoice_only"),
    )
    charge(owing, "a", properties={"tokens": 50})
    grant_credit(poor.payer, Decimal(2), effective_at=NOW + DAY)
    clock.use(lambda: NOW + DAY)
    api.get("/v1/wallets")  # the key's last use is noted once a minute
    with django_assert_max_num_queries(4):  # the key's version, the page, its accounts, what fell due
        found = api.get("/v1/wallets").json()["data"]
    assert [row["billing_entity"] for row in found] == [
        tenant.payer.public_id for tenant in (owing, poor, rich)
    ]
    assert [money(row) for row in found] == [
        ("0", "0", "0", "0.5"),
        ("2", "2", "0", "0"),
        ("100", "100", "0", "0"),
    ]
    assert found == [of(api, tenant) for tenant in (owing, poor, rich)]
