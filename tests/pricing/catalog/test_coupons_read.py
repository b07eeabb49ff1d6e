"""The section `coupons`, and one-off fees: read, checked, in one canonical form."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from core.errors import InvalidRequest
from pricing.catalog import read_plan
from pricing.catalog.coupons import CouponSpec, read_coupon
from tests.pricing.documents import catalog_of, catalog_of_text

LAUNCH: dict[str, Any] = {
    "key": "launch",
    "name": "Launch",
    "percent": "20.0",
    "periods": 3,
    "max_redemptions": "100",
    "redeem_before": "2027-01-01T00:00:00Z",
    "components": ["tok"],
    "plans": ["pro"],
}
VOUCHER: dict[str, Any] = {"key": "voucher", "amount": "50.00", "currency": "USD"}


def test_a_coupon_takes_a_percent_of_some_lines_for_some_periods() -> None:
    assert read_coupon(LAUNCH) == CouponSpec(
        key="launch",
        name="Launch",
        percent=Decimal(20),
        amount=None,
        currency="",
        periods=3,
        max_redemptions=100,
        redeem_before=datetime(2027, 1, 1, tzinfo=UTC),
        components=("tok",),
        plans=("pro",),
    )


def test_or_an_amount_of_all_lines_for_ever() -> None:
    spec = read_coupon(VOUCHER)
    assert (spec.amount, spec.currency, spec.name) == (Decimal(50), "USD", "voucher")
    assert (spec.percent, spec.periods, spec.max_redemptions, spec.components) == (None, None, None, ())


@pytest.mark.parametrize("document", [LAUNCH, VOUCHER])
def test_the_canonical_form_reads_back(document: dict[str, Any]) -> None:
    spec = read_coupon(document)
    assert read_coupon(spec.content()) == spec


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"percent": None}, "required", "percent"),
        ({"percent": "0"}, "invalid_value", "percent"),
        ({"percent": "100.01"}, "invalid_value", "percent"),
        ({"percent": 20}, "invalid_type", "percent"),
        ({"amount": "5"}, "not_applicable", "amount"),
        ({"currency": "USD"}, "not_applicable", "currency"),
        ({"percent": None, "amount": "0", "currency": "USD"}, "invalid_value", "amount"),
        ({"percent": None, "amount": "5"}, "required", "currency"),
        ({"periods": 0}, "number_out_of_range", "periods"),
        ({"periods": 32768}, "number_out_of_range", "periods"),
        ({"max_redemptions": 0}, "number_out_of_range", "max_redemptions"),
        ({"max_redemptions": 2**31}, "number_out_of_range", "max_redemptions"),
        ({"redeem_before": "tomorrow"}, "invalid_instant", "redeem_before"),
        ({"components": ["tok", "tok"]}, "duplicate", "components[1]"),
        ({"key": "no spaces"}, "invalid_value", "key"),
        ({"code": "x"}, "unknown_key", "code"),
    ],
)
def test_what_a_coupon_cannot_be_is_said(change: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_coupon(LAUNCH | change)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_coupons_stand_in_plan_files_beside_plans_and_meters() -> None:
    catalog = catalog_of_text('plan: pro\ncurrency: USD\ncoupons:\n  - {key: launch, percent: "20"}\n')
    assert (list(catalog.plans), list(catalog.coupons)) == (["pro"], ["launch"])
    with pytest.raises(InvalidRequest, match="'launch' is defined in") as caught:
        catalog_of({"coupons": [LAUNCH, LAUNCH]})
    assert caught.value.param == "coupons[1]"


def test_a_one_off_fee_is_due_at_the_start_or_after_the_trial() -> None:
    fees = [{"key": "setup", "amount": "500.0"}, {"key": "move", "amount": "100", "due": "trial_end"}]
    terms = read_plan({"plan": "p", "currency": "USD", "one_off_fees": fees})
    assert [(fee.key, fee.amount, fee.due) for fee in terms.one_off_fees] == [
        ("setup", Decimal(500), "start"),
        ("move", Decimal(100), "trial_end"),
    ]
    assert terms.content()["one_off_fees"][0] == {"key": "setup", "amount": "500", "due": "start"}
    assert read_plan(terms.content()) == terms


@pytest.mark.parametrize(
    ("fees", "code", "param"),
    [
        ([{"key": "a"}], "required", "one_off_fees[0].amount"),
        ([{"key": "a", "amount": 5}], "invalid_type", "one_off_fees[0].amount"),
        ([{"key": "a", "amount": "5", "due": "later"}], "invalid_value", "one_off_fees[0].due"),
        ([{"key": "a", "amount": "5", "prorate": True}], "unknown_key", "one_off_fees[0].prorate"),
        ([{"key": "a", "amount": "5"}] * 2, "duplicate", "one_off_fees[1].key"),
        ([{"key": "platform", "amount": "5"}], "duplicate", "one_off_fees[0].key"),
    ],
)
def test_what_a_one_off_fee_cannot_be_is_said(fees: list[Any], code: str, param: str) -> None:
    document = {
        "plan": "p",
        "currency": "USD",
        "base_fees": [{"key": "platform", "amount": "1"}],
        "one_off_fees": fees,
    }
    with pytest.raises(InvalidRequest) as caught:
        read_plan(document)
    assert (caught.value.code, caught.value.param) == (code, param)
