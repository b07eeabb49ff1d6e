"""Plans applied and published by several at once: one version each time, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.errors import Conflict
from metering.models import Meter
from pricing.contracts import create_contract
from pricing.models import Component, Plan, PlanVersion
from pricing.plan_diffs import diff_catalog
from pricing.plans import apply_catalog, apply_plan, publish_drafts, publish_version
from pricing.versions import retire_version
from tests.billing.world import make_tenant
from tests.concurrency.crowd import tried_at_once
from tests.pricing.documents import CALLS, PER_CALL, TOKENS, catalog_of, plan_document

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 4


def test_a_version_is_published_by_one_of_those_who_try() -> None:
    draft = apply_plan(plan_document())
    results = tried_at_once(*[lambda: publish_version(draft)] * THREADS)
    assert sum(isinstance(result, PlanVersion) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == THREADS - 1
    assert Meter.objects.get().frozen_at is not None


def test_the_same_file_applied_at_once_makes_one_plan_with_one_draft() -> None:
    apply_plan(plan_document("other"))
    document = plan_document(components=[PER_CALL, PER_CALL | {"key": "more"}])
    results = tried_at_once(*[lambda: apply_plan(document)] * THREADS)
    assert {result.number if isinstance(result, PlanVersion) else result for result in results} == {1}
    assert PlanVersion.objects.filter(plan__key="pro").count() == 1
    assert Component.objects.filter(version__plan__key="pro").count() == 2


def test_applying_and_publishing_at_once_never_changes_what_is_published() -> None:
    prices = [f"0.{number}" for number in range(1, 10)]
    for price in prices:
        document = plan_document(components=[PER_CALL | {"unit_price": price}])
        apply_plan(document)
        other = plan_document(components=[PER_CALL | {"unit_price": f"{price}5"}])
        results = tried_at_once(lambda document=other: apply_plan(document), publish_drafts)  # type: ignore[misc]
        assert not [result for result in results if isinstance(result, Exception)]
        publish_drafts()
    for version in PlanVersion.objects.all():
        assert version.components.get().definition == version.content["components"][0]
    assert Plan.objects.count() == 1


def test_plans_that_share_meters_are_published_at_once_without_a_deadlock() -> None:
    for key in ("a", "b", "c", "d"):
        order = [CALLS, TOKENS] if key in "ac" else [TOKENS, CALLS]
        components = [PER_CALL | {"key": meter["key"], "meter": meter["key"]} for meter in order]
        apply_catalog(catalog_of(plan_document(key, meters=[CALLS, TOKENS], components=components)))
    results = tried_at_once(
        lambda: publish_drafts(["a", "b"]),
        lambda: publish_drafts(["c", "d"]),
        lambda: publish_drafts(),
        lambda: apply_plan(plan_document("e", meters=[TOKENS, CALLS])),
    )
    assert not [result for result in results if isinstance(result, Exception)]
    assert PlanVersion.objects.filter(status="published").count() >= 4


def test_the_same_contract_made_at_once_is_one_version() -> None:
    base = publish_version(apply_plan(plan_document()))
    customer = make_tenant().customer
    overrides = {"components": {"calls": {"unit_price": "0.005"}}}
    results = tried_at_once(*[lambda: create_contract(base, customer, overrides)] * THREADS)
    assert {result.number if isinstance(result, PlanVersion) else result for result in results} == {1}
    assert PlanVersion.objects.filter(customer=customer).count() == 1


def test_different_contracts_made_at_once_have_different_numbers() -> None:
    base = publish_version(apply_plan(plan_document()))
    customer = make_tenant().customer
    amounts = [str(number) for number in range(1, THREADS + 1)]

    def make(amount: str) -> Callable[[], object]:
        return lambda: create_contract(base, customer, {"minimum_spend": amount})

    results = tried_at_once(*map(make, amounts))
    assert sorted(result.number for result in results if isinstance(result, PlanVersion)) == [1, 2, 3, 4]


def test_a_version_is_retired_by_one_of_those_who_try() -> None:
    version = publish_version(apply_plan(plan_document()))
    results = tried_at_once(*[lambda: retire_version(version)] * THREADS)
    assert sum(isinstance(result, PlanVersion) for result in results) == 1
    assert sum(isinstance(result, Conflict) for result in results) == THREADS - 1


def test_comparing_while_others_publish_writes_nothing_and_waits_for_nobody_for_ever() -> None:
    apply_plan(plan_document())
    catalog = catalog_of(plan_document(components=[PER_CALL | {"unit_price": "0.5"}]))
    results = tried_at_once(lambda: diff_catalog(catalog), publish_drafts, lambda: diff_catalog(catalog))
    assert not [result for result in results if isinstance(result, Exception)]
    [version] = PlanVersion.objects.all()
    assert (version.status, version.content["components"][0]["unit_price"]) == ("published", "0.01")
