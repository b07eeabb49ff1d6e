"""What another process changes, the very next charge here obeys, however warm the caches are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from accounts.models import ApiKey, BillingEntity
from accounts.secrets import API, new_secret
from billing.charging import Charged, Denied, Failed, Mode, Outcome, Recorded, bounding, planning
from billing.limits.verbs import create_limit, owner_of
from billing.margin_floors import set_floor
from core import clock
from core.sql import driver
from metering.models import QuarantinedEvent, UsageEvent
from pricing.models import PlanVersion, Subscription
from tests.billing.world import START, Tenant, balance, charge, make_meter, make_tenant, make_version
from tests.concurrency.callers import Api, call
from tests.lane_client import LaneClient

PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
Change = Callable[..., None]


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version([PER_TOKEN])


@pytest.fixture
def tenant(version: PlanVersion) -> Tenant:
    """A tenant whose configuration this process has in its caches."""
    tenant = make_tenant(version, balance="10", overdraft=Decimal(0))
    for number in range(2):
        assert isinstance(_charge(tenant, f"warm-{number}"), Charged)
    return tenant


@pytest.fixture
def elsewhere() -> Change:
    """Change rows as another process does: on a connection of its own, past all of this process's code."""

    def change(statement: str, *values: Any) -> None:
        with psycopg.connect(driver().info.dsn, autocommit=True) as other:
            assert other.execute(statement.encode(), values).rowcount == 1

    return change


def _charge(tenant: Tenant, key: str, **fields: Any) -> Outcome:
    return charge(tenant, key, properties={"tokens": 1}, **fields)


def test_a_payer_suspended_elsewhere_is_refused(tenant: Tenant, elsewhere: Change) -> None:
    elsewhere("UPDATE accounts_billingentity SET status = 'suspended' WHERE id = %s", tenant.payer.pk)
    refused = _charge(tenant, "a")
    assert isinstance(refused, Denied)
    assert refused.reason == "suspended"
    elsewhere("UPDATE accounts_billingentity SET status = 'active' WHERE id = %s", tenant.payer.pk)
    assert isinstance(_charge(tenant, "a"), Charged)


def test_an_overdraft_granted_elsewhere_is_used(tenant: Tenant, elsewhere: Change) -> None:
    assert isinstance(charge(tenant, "a", properties={"tokens": 2000}), Denied)
    elsewhere("UPDATE accounts_billingentity SET overdraft = 100 WHERE id = %s", tenant.payer.pk)
    assert isinstance(charge(tenant, "a", properties={"tokens": 2000}), Charged)


def test_a_customers_key_revoked_elsewhere_is_refused(tenant: Tenant, elsewhere: Change) -> None:
    key = ApiKey.objects.create(
        customer=tenant.customer,
        workspace=tenant.workspace,
        name="Laptop",
        kind=ApiKey.Kind.ISSUED,
        fingerprint=new_secret(API).fingerprint,
        created_at=START,
    )
    assert isinstance(_charge(tenant, "a", workspace=None, api_key=key.fingerprint), Charged)
    elsewhere("UPDATE accounts_apikey SET revoked_at = %s WHERE id = %s", clock.now(), key.pk)
    refused = _charge(tenant, "b", workspace=None, api_key=key.fingerprint)
    assert isinstance(refused, Failed)
    assert refused.error.code == "key_revoked"


def test_a_workspace_moved_elsewhere_is_paid_for_by_its_new_payer(
    tenant: Tenant, version: PlanVersion, elsewhere: Change
) -> None:
    parent = BillingEntity.objects.create(
        customer=tenant.customer, name="Parent", currency="USD", created_at=START
    )
    Subscription.objects.create(
        customer=tenant.customer,
        billing_entity=parent,
        version=version,
        starts_at=START,
        anchor_at=START,
        created_at=START,
    )
    assert isinstance(_charge(tenant, "a"), Charged)
    before = balance(tenant)
    elsewhere(
        "UPDATE accounts_payerassignment SET billing_entity_id = %s WHERE workspace_id = %s",
        parent.pk,
        tenant.workspace.pk,
    )
    moved = _charge(tenant, "b")
    assert isinstance(moved, Charged)
    assert moved.billing_entity == parent.public_id
    assert balance(tenant) == before


def test_a_subscription_ended_elsewhere_prices_nothing_more(tenant: Tenant, elsewhere: Change) -> None:
    ends_at = clock.now() - timedelta(seconds=1)
    elsewhere("UPDATE pricing_subscription SET ends_at = %s WHERE id = %s", ends_at, tenant.subscription.pk)  # type: ignore[union-attr]
    refused = _charge(tenant, "a")
    assert isinstance(refused, Denied)
    assert refused.reason == "no_subscription"


def test_a_meter_made_meanwhile_hears_the_next_event(tenant: Tenant) -> None:
    for key, is_heard in (("a", False), ("b", True)):
        if is_heard:
            make_meter("renders", event="render", aggregation="count")
        outcome = charge(tenant, key, Mode.REPORT, event="render")
        assert isinstance(outcome, Recorded)
        assert outcome.unmatched is not is_heard


def test_an_integration_key_revoked_elsewhere_is_refused_at_both_doors(
    tenant: Tenant, api: Api, elsewhere: Change
) -> None:
    assert api.charge(call(tenant, "a")).status_code == 201
    assert api.report([call(tenant, "b")]).status_code == 200
    elsewhere(
        "UPDATE accounts_integrationkey SET revoked_at = %s WHERE id = %s",
        clock.now() - timedelta(seconds=1),
        api.key.pk,
    )
    assert api.charge(call(tenant, "c")).status_code == 401
    assert api.report([call(tenant, "d")]).status_code == 401
    assert not UsageEvent.objects.filter(idempotency_key__in=["c", "d"]).exists()


SCOPES = "UPDATE accounts_integrationkey SET scopes = %s, expires_at = %s WHERE id = %s"


def test_a_scope_taken_elsewhere_is_missing_at_once_and_nothing_is_kept(
    tenant: Tenant, elsewhere: Change
) -> None:
    lane = Api(LaneClient)
    assert lane.charge(call(tenant, "a")).status_code == 201
    assert lane.report([call(tenant, "b")]).status_code == 200
    elsewhere(SCOPES, ["events:write"], None, lane.key.pk)
    refused = lane.charge(call(tenant, "a"))  # not even its first answer
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "missing_scope")
    assert lane.report([call(tenant, "c")]).status_code == 200
    elsewhere(SCOPES, ["charges:write"], None, lane.key.pk)
    refused = lane.report([call(tenant, "d")])
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "missing_scope")
    assert not UsageEvent.objects.filter(idempotency_key="d").exists()
    assert not QuarantinedEvent.objects.exists()


def test_what_is_given_to_an_integration_key_elsewhere_counts_at_once(
    tenant: Tenant, elsewhere: Change
) -> None:
    lane = Api(LaneClient)
    elsewhere(SCOPES, ["events:write"], clock.now() - timedelta(seconds=1), lane.key.pk)
    assert lane.charge(call(tenant, "a")).status_code == 401
    elsewhere(SCOPES, ["events:write"], None, lane.key.pk)
    assert lane.charge(call(tenant, "a")).status_code == 403
    elsewhere(SCOPES, ["charges:write"], None, lane.key.pk)
    assert lane.charge(call(tenant, "a")).status_code == 201
    assert lane.report([call(tenant, "b")]).status_code == 403
    elsewhere(SCOPES, ["events:write"], None, lane.key.pk)
    assert lane.report([call(tenant, "b")]).status_code == 200


MIDST = [
    pytest.param(
        (planning, "attribute"),
        ("UPDATE accounts_billingentity SET status = 'suspended' WHERE id = %s", "payer"),
        "suspended",
        id="payer",
    ),
    pytest.param(
        (planning, "payer_prices"),
        (
            "UPDATE pricing_subscription SET ends_at = created_at + '1 h' WHERE id = %s",
            "subscription",
        ),
        "no_subscription",
        id="prices",
    ),
    pytest.param(
        (bounding, "limit_books"),
        ("UPDATE billing_spendlimit SET amount = 0.001 WHERE workspace_id = %s", "workspace"),
        "spend_limit",
        id="limits",
    ),
    pytest.param(
        (planning, "plan_floors"),
        ("UPDATE billing_payermarginfloor SET action = 'deny' WHERE billing_entity_id = %s", "payer"),
        "margin_floor",
        id="floors",
    ),
]


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(("reading", "change", "reason"), MIDST)
def test_what_changes_as_it_is_read_is_obeyed(
    tenant: Tenant,
    elsewhere: Change,
    monkeypatch: pytest.MonkeyPatch,
    reading: tuple[Any, str],
    change: tuple[str, str],
    reason: str,
    is_before: bool,
) -> None:
    """Between its version and what is kept under it, or between that and the lock."""
    create_limit(owner_of(workspace=tenant.workspace), Decimal(100))
    set_floor(tenant.payer, min_margin=Decimal(1))
    read, waiting = getattr(*reading), [change]

    def meanwhile(*arguments: Any) -> Any:
        if is_before and waiting:
            statement, of = waiting.pop()
            elsewhere(statement, getattr(tenant, of).pk)
        found = read(*arguments)
        if waiting:
            statement, of = waiting.pop()
            elsewhere(statement, getattr(tenant, of).pk)
        return found

    monkeypatch.setattr(*reading, meanwhile)
    refused = _charge(tenant, "a", costs=[{"vendor": "v", "amount": "1", "currency": "USD"}])
    assert isinstance(refused, Denied)
    assert (refused.reason, waiting) == (reason, [])
