"""`/v1/coupons`: made, listed, redeemed."""

from __future__ import annotations

from typing import Any

import pytest

from billing.subscriptions import start_subscription
from pricing.models import Coupon, CouponRedemption
from pricing.plans import apply_plan
from pricing.versions import publish_version
from tests.api_client import Api
from tests.billing.world import make_tenant
from tests.pricing.documents import plan_document
from tests.pricing.test_plan_documents_api import error

pytestmark = pytest.mark.django_db

LAUNCH: dict[str, Any] = {
    "key": "launch",
    "percent": "20.00",
    "periods": 3,
    "max_redemptions": 1,
    "redeem_before": "2999-01-01T00:00:00Z",
    "components": ["calls"],
}


@pytest.fixture
def api() -> Api:
    return Api("admin")


@pytest.fixture
def subscription() -> str:
    version = publish_version(apply_plan(plan_document()))
    return start_subscription(make_tenant().payer, version).public_id


def test_a_coupon_is_made_and_read_by_id_or_key(api: Api) -> None:
    made = api.make("/v1/coupons", **LAUNCH)
    assert {name: made[name] for name in ("key", "name", "percent", "amount", "currency", "periods")} == {
        "key": "launch",
        "name": "launch",
        "percent": "20",
        "amount": None,
        "currency": "",
        "periods": 3,
    }
    assert (made["redemptions"], made["components"], made["plans"]) == (0, ["calls"], [])
    assert made["redeem_before"] == "2999-01-01T00:00:00Z"
    reader = Api("read")
    assert reader.get(f"/v1/coupons/{made['id']}").json() == reader.get("/v1/coupons/launch").json() == made
    api.make("/v1/coupons", key="voucher", amount="50", currency="USD")
    assert [coupon["key"] for coupon in reader.get("/v1/coupons").json()["data"]] == ["voucher", "launch"]
    assert [one["id"] for one in reader.get("/v1/coupons", key="launch").json()["data"]] == [made["id"]]
    assert error(reader.get("/v1/coupons/nope"))[:2] == (404, "not_found")


def test_a_repeated_request_gets_the_first_answer(api: Api) -> None:
    first, second = (api.post("/v1/coupons", LAUNCH, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json() == second.json()
    assert error(api.post("/v1/coupons", LAUNCH)) == (409, "coupon_exists", "key")


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"percent": None}, "required", "percent"),
        ({"percent": 20}, "invalid_type", "percent"),
        ({"percent": "120"}, "invalid_value", "percent"),
        ({"amount": "5"}, "not_applicable", "amount"),
        ({"periods": 0}, "number_out_of_range", "periods"),
        ({"colour": "red"}, "unknown_key", "colour"),
    ],
)
def test_what_a_coupon_cannot_be_is_said(api: Api, change: dict[str, Any], code: str, param: str) -> None:
    assert error(api.post("/v1/coupons", LAUNCH | change)) == (400, code, param)
    assert not Coupon.objects.exists()


def test_a_subscription_redeems_it(api: Api, subscription: str) -> None:
    coupon = api.make("/v1/coupons", **LAUNCH)
    made = api.post("/v1/coupons/launch/redeem", {"subscription": subscription})
    assert made.status_code == 201
    redemption = CouponRedemption.objects.get()
    assert made.json() == {
        "id": redemption.public_id,
        "coupon": coupon["id"],
        "customer": f"cus_{redemption.customer.public_id.removeprefix('cus_')}",
        "subscription": subscription,
        "redeemed_at": made.json()["redeemed_at"],
    }
    assert api.get("/v1/coupons/launch").json()["redemptions"] == 1
    again = api.post("/v1/coupons/launch/redeem", {"subscription": subscription})
    assert error(again) == (409, "coupon_redeemed", "coupon")


def test_it_is_redeemed_as_often_as_it_may_be(api: Api, subscription: str) -> None:
    api.make("/v1/coupons", **LAUNCH)
    api.make("/v1/coupons/launch/redeem", subscription=subscription)
    other = start_subscription(make_tenant().payer, publish_version(apply_plan(plan_document("b")))).public_id
    refused = api.post("/v1/coupons/launch/redeem", {"subscription": other})
    assert error(refused) == (409, "coupon_used_up", "coupon")
    assert error(api.post("/v1/coupons/nope/redeem", {"subscription": other}))[:2] == (404, "not_found")
    missing = api.post("/v1/coupons/launch/redeem", {"subscription": "sub_00000000"})
    assert error(missing)[1:] == ("not_found", "subscription")


def test_reading_needs_read_and_writing_needs_admin(subscription: str) -> None:
    reader = Api("read")
    assert error(reader.post("/v1/coupons", LAUNCH))[:2] == (403, "missing_scope")
    refused = reader.post("/v1/coupons/launch/redeem", {"subscription": subscription})
    assert error(refused)[:2] == (403, "missing_scope")
    assert error(Api("charges:write").get("/v1/coupons"))[:2] == (403, "missing_scope")
