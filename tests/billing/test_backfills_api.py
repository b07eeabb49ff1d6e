"""`POST /v1/backfills`: stored events that nothing priced are charged by choice, and once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.charging import Mode
from billing.models import Charge
from core import clock
from core.sql import driver
from pricing.models import Subscription
from tests.api_client import Api
from tests.billing.invariants import broken_invariants
from tests.billing.world import START, Tenant, balance, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}


@pytest.fixture(autouse=True)
def _january() -> Iterator[None]:
    clock.use(lambda: NOW)
    yield
    clock.use(None)
    assert broken_invariants(driver()) == []


@pytest.fixture
def api() -> Api:
    return Api("admin")


@pytest.fixture
def tenant() -> Tenant:
    """Three events of 100 tokens, of the 10th, 12th and 14th, that nothing priced; and then a price."""
    make_meter(), make_meter("renders", event="render", property_path="tokens")
    tenant = make_tenant(None, balance="10")
    for key, day, event in (("a", 10, "completion"), ("b", 12, "render"), ("c", 14, "completion")):
        at = datetime(2026, 1, day, tzinfo=UTC).isoformat()
        charge(tenant, key, Mode.REPORT, event=event, occurred_at=at, properties={"tokens": 100})
    subscribe(tenant)
    return tenant


def subscribe(tenant: Tenant) -> None:
    version = make_version([PER_TOKEN, {**PER_TOKEN, "key": "ren", "meter": "renders", "unit_price": "0.02"}])
    Subscription.objects.create(
        customer=tenant.customer,
        billing_entity=tenant.payer,
        version=version,
        starts_at=START,
        anchor_at=START,
        created_at=NOW,
    )


def fill(api: Api, tenant: Tenant, **fields: Any) -> dict[str, Any]:
    return dict(api.make("/v1/backfills", billing_entity=tenant.payer.external_id, **fields))


def did(looked_at: int, charged: int, amount: str) -> dict[str, Any]:
    return {"looked_at": looked_at, "charged": charged, "amount": amount}


def test_all_that_nothing_priced_is_charged_once(api: Api, tenant: Tenant) -> None:
    assert fill(api, tenant) == did(3, 3, "4")
    assert balance(tenant) == 6
    assert fill(api, tenant) == did(0, 0, "0")
    assert balance(tenant) == 6
    assert [row.amount for row in Charge.objects.order_by("seq")] == [1, 2, 1]


def test_only_one_events_name(api: Api, tenant: Tenant) -> None:
    assert fill(api, tenant, event="render") == did(1, 1, "2")
    assert fill(api, tenant, event="misspelt") == did(0, 0, "0")
    assert balance(tenant) == 8


def test_only_what_occurred_from_and_before(api: Api, tenant: Tenant) -> None:
    between = {"from": "2026-01-10T00:00:00Z", "to": "2026-01-12T00:00:00Z"}
    assert fill(api, tenant, **between) == did(1, 1, "1")
    assert fill(api, tenant, **{"from": "2026-01-14T01:00:00+01:00"}) == did(1, 1, "1")
    assert fill(api, tenant, **{"from": "2026-01-12T00:00:01Z"}) == did(0, 0, "0")
    assert fill(api, tenant, to="2026-01-12T00:00:01Z") == did(1, 1, "2")


def test_what_nothing_prices_still_is_looked_at_and_left(api: Api) -> None:
    make_meter()
    tenant = make_tenant(None, balance="10")
    charge(tenant, "a", Mode.REPORT, properties={"tokens": 100})
    assert fill(api, tenant) == did(1, 0, "0")
    assert balance(tenant) == 10
    make_meter("renders", event="render", property_path="tokens")
    subscribe(tenant)
    assert fill(api, tenant) == did(1, 1, "1")


def test_another_payers_events_stay_as_they_are(api: Api, tenant: Tenant) -> None:
    assert fill(api, make_tenant(None)) == did(0, 0, "0")
    assert not Charge.objects.exists()


def test_the_same_key_again_gets_the_first_answer(api: Api, tenant: Tenant) -> None:
    body = {"billing_entity": tenant.payer.public_id, "event": "render"}
    first, again = (api.post("/v1/backfills", body, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json() == again.json() == did(1, 1, "2")
    other = api.post("/v1/backfills", {**body, "event": "completion"}, **{"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["error"]["param"]) == (409, "event")


def test_a_backfill_charges_below_zero_what_has_happened(api: Api, tenant: Tenant) -> None:
    tenant.payer.overdraft = Decimal(0)
    tenant.payer.save()
    charge(tenant, "d", properties={"tokens": 900})
    assert fill(api, tenant) == did(3, 3, "4")
    assert balance(tenant) == -3


def test_a_backfill_is_recorded_now(api: Api, tenant: Tenant) -> None:
    clock.use(lambda: NOW + timedelta(days=1))
    fill(api, tenant)
    assert set(Charge.objects.values_list("recorded_at", flat=True)) == {NOW + timedelta(days=1)}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"billing_entity": "be_nobody"}, "billing_entity"),
        ({"billing_entity": None}, "billing_entity"),
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-01-12T00:00:00"}, "to"),
        ({"to": 5}, "to"),
        ({"event": ""}, "event"),
        ({"event": "a\x00"}, "event"),
        ({"since": "2026-01-12T00:00:00Z"}, "since"),
    ],
)
def test_a_field_that_makes_no_sense_is_refused(
    api: Api, tenant: Tenant, fields: dict[str, Any], param: str
) -> None:
    answer = api.post("/v1/backfills", {"billing_entity": tenant.payer.public_id} | fields)
    assert answer.status_code in (400, 404, 422)
    assert answer.json()["error"]["param"] == param
    assert not Charge.objects.exists()


def test_a_backfill_is_admins(tenant: Tenant) -> None:
    for scope in ("read", "events:write", "charges:write"):
        answer = Api(scope).post("/v1/backfills", {"billing_entity": tenant.payer.public_id})
        assert answer.status_code == 403
    assert not Charge.objects.exists()
