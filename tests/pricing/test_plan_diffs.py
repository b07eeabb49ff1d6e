"""What plan files would change, for whom, and as people read it; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.subscriptions import start_subscription
from core import clock
from metering.models import Meter
from pricing.catalog import CatalogError
from pricing.contracts import create_contract
from pricing.diff_text import diff_lines
from pricing.models import Coupon, Plan, PlanVersion
from pricing.plan_diffs import CatalogDiff, diff_catalog
from pricing.plans import apply_plan
from pricing.versions import publish_version, retire_version
from tests.billing.world import charge, make_tenant
from tests.pricing.documents import CALLS, PER_CALL, TOKENS, catalog_of, plan_document

pytestmark = pytest.mark.django_db

PLATFORM = {"key": "platform", "amount": "49"}


@pytest.fixture
def published() -> Iterator[PlanVersion]:
    """pro v1, with two subscriptions in March 2026, one of which made 200 calls at 0.01."""
    clock.use(lambda: datetime(2026, 3, 10, tzinfo=UTC))
    version = publish_version(apply_plan(plan_document(base_fees=[PLATFORM])))
    for calls in (200, 0):
        tenant = make_tenant(settlement="invoice_only")
        start_subscription(tenant.payer, version)
        for number in range(calls // 100):
            charge(tenant, f"{number}", event="call", properties={})
    yield version
    clock.use(None)


def diff(*documents: dict[str, Any]) -> CatalogDiff:
    return diff_catalog(catalog_of(*documents))


def text(*documents: dict[str, Any]) -> list[str]:
    return list(diff_lines(diff(*documents)))


def counts() -> list[int]:
    """How many rows there are of what a file may define."""
    return [model._default_manager.count() for model in (Plan, PlanVersion, Meter, Coupon)]


def test_the_published_file_changes_nothing(published: PlanVersion) -> None:
    found = diff(plan_document(base_fees=[PLATFORM]))
    assert not found.has_changes
    assert text(plan_document(base_fees=[PLATFORM])) == [
        "plan pro: no change against v1, which has 2 running subscriptions (98.02 USD in their last period)",
        "No change.",
    ]


def test_each_change_says_how_many_and_how_much_it_touches(published: PlanVersion) -> None:
    new = plan_document(
        base_fees=[PLATFORM | {"amount": "59"}],
        components=[
            PER_CALL | {"unit_price": "0.02"},
            {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"},
        ],
        meters=[CALLS, TOKENS],
        minimum_spend="10",
    )
    assert text(new) == [
        "plan pro: 4 changes against v1, which has 2 running subscriptions (98.02 USD in their last period)",
        "  ~ base_fees.platform.amount: 49 -> 59 [2 subscriptions, 98 USD]",
        "  ~ components.calls.unit_price: 0.01 -> 0.02 [1 subscription, 0.02 USD]",
        "  + components.tok: per_unit on tokens [0 subscriptions]",
        "  + minimum_spend: 10 [2 subscriptions, 98.02 USD]",
        "meter tokens: created",
    ]
    [plan] = diff(new).as_dict()["plans"]
    assert {name: value for name, value in plan.items() if name != "changes"} == {
        "plan": "pro",
        "currency": "USD",
        "against": published.public_id,
        "against_number": 1,
        "subscriptions": 2,
        "subscriptions_elsewhere": 0,
        "revenue": "98.02",
    }
    assert plan["changes"][1] == {
        "path": "components.calls.unit_price",
        "kind": "changed",
        "old": "0.01",
        "new": "0.02",
        "subscriptions": 1,
        "revenue": "0.02",
    }
    assert diff(new).as_dict()["others"] == [
        {"noun": "meter", "key": "calls", "action": "unchanged"},
        {"noun": "meter", "key": "tokens", "action": "created"},
    ]


def test_nothing_is_written(published: PlanVersion) -> None:
    before = counts()
    coupon = {"key": "launch", "percent": "20"}
    found = diff(
        plan_document(components=[], base_fees=[]), plan_document("team", meters=[TOKENS], coupons=[coupon])
    )
    assert found.has_changes
    assert counts() == before
    assert published.plan.versions.count() == 1


def test_a_plan_that_was_never_published_is_new() -> None:
    document = plan_document("team")
    assert text(document) == ["plan team: new", "meter calls: created"]
    apply_plan(document)
    assert text(document) == ["plan team: new"]
    [plan] = diff(document).plans
    assert (plan.against, plan.revenue.subscriptions, bool(plan.diff)) == (None, 0, True)


def test_a_draft_is_not_what_is_compared_with(published: PlanVersion) -> None:
    new = plan_document(base_fees=[])
    apply_plan(new)
    assert text(new)[1] == (
        '  - base_fees.platform: {"key": "platform", "amount": "49", "timing": "in_advance...'
        " [2 subscriptions, 98 USD]"
    )
    assert not diff(plan_document(base_fees=[PLATFORM])).has_changes


def test_contracts_and_other_versions_are_elsewhere(published: PlanVersion) -> None:
    tenant = make_tenant(settlement="invoice_only")
    contract = create_contract(published, tenant.customer, {"minimum_spend": "500"})
    start_subscription(tenant.payer, contract)
    second = publish_version(apply_plan(plan_document()))
    [line, *_] = text(plan_document(minimum_spend="1"))
    assert line == "plan pro: 1 change against v2, which has 0 running subscriptions; 3 on other versions"
    retire_version(second)
    [plan] = diff(plan_document()).plans
    assert (plan.against, plan.elsewhere) == (published, 1)


def test_files_that_could_not_be_applied_are_refused_as_apply_refuses_them(published: PlanVersion) -> None:
    with pytest.raises(CatalogError, match="'nothing'"):
        diff(plan_document(components=[PER_CALL | {"meter": "nothing"}]))
    with pytest.raises(CatalogError) as caught:
        diff(plan_document(currency="EUR"))
    assert caught.value.code == "currency_fixed"


def test_other_things_in_the_files_count_as_changes_too(published: PlanVersion) -> None:
    found = diff({"coupons": [{"key": "launch", "percent": "20"}]})
    assert found.has_changes
    assert list(diff_lines(found)) == ["coupon launch: created"]
    assert list(diff_lines(diff({"meters": [CALLS]}))) == ["No change."]
    assert list(diff_lines(diff({"meters": [CALLS | {"name": "Calls"}]}))) == ["meter calls: changed"]


def test_revenue_is_exact(published: PlanVersion) -> None:
    [plan] = diff(plan_document(components=[PER_CALL | {"unit_price": "0.5"}], base_fees=[PLATFORM])).plans
    [change] = plan.diff.changes
    assert plan.touched_by(change) == (1, Decimal("0.02"))
