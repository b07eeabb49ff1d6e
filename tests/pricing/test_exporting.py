"""Published content as plan files: applied again it changes nothing, applied elsewhere it is the same."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from core.errors import NotFound, Unprocessable
from metering.models import Meter
from pricing.applied import Action
from pricing.catalog import read_documents, read_plan
from pricing.catalog.schema import plan_file_schema
from pricing.contracts import create_contract
from pricing.exporting import export_plans, export_versions
from pricing.models import Component, Plan, PlanVersion
from pricing.plan_diffs import diff_catalog
from pricing.plans import apply_catalog, apply_plan, publish_drafts
from pricing.versions import publish_version, retire_version
from tests.billing.world import make_tenant
from tests.pricing.documents import CALLS, FULL_PLAN, PER_CALL, TOKENS, catalog_of_text, plan_document

pytestmark = pytest.mark.django_db

METERS: list[dict[str, Any]] = [
    CALLS | {"name": "Calls: all of them", "unit": "call", "late_policy": "note"},
    TOKENS | {"filter": [{"property": "region", "op": "in", "value": ["eu", "1"]}], "group_by": ["model"]},
]


@pytest.fixture
def everything() -> PlanVersion:
    """A published version with every model, modifier and term."""
    return publish_version(apply_plan(FULL_PLAN | {"meters": METERS}))


def test_applying_an_export_changes_nothing(everything: PlanVersion) -> None:
    text = export_plans()
    assert not diff_catalog(catalog_of_text(text)).has_changes
    done = apply_catalog(catalog_of_text(text))
    assert {one.action for one in done} == {Action.UNCHANGED}
    assert PlanVersion.objects.filter(base=None).get() == everything


def test_an_export_makes_the_same_plan_elsewhere(everything: PlanVersion) -> None:
    text, content = export_plans(["pro"]), everything.content
    apply_catalog(catalog_of_text(text.replace("plan: pro", "plan: copy")))
    copy = PlanVersion.objects.get(plan__key="copy")
    assert copy.content == content | {"plan": "copy"}


def test_an_export_fits_an_empty_installation() -> None:
    version = publish_version(apply_plan(plan_document(meters=METERS, components=[PER_CALL])))
    text, stored = export_plans(), Meter.objects.get(key="calls").definition()
    with pytest.raises(KeyError):
        catalog_of_text(text).meters["tokens"]  # no plan names it
    assert catalog_of_text(text).meters["calls"].name == "Calls: all of them"
    assert catalog_of_text(text).meters["calls"].late_policy == "note"
    [again] = catalog_of_text(text).plans.values()
    assert again == read_plan(version.content)
    assert stored["event"] == "call"


def test_meters_come_first_and_say_what_they_count(everything: PlanVersion) -> None:
    meters, plan = (document.value for document in read_documents(export_plans().encode(), "f.yaml"))
    assert meters == {
        "meters": [
            {
                "key": "calls",
                "event": "call",
                "name": "Calls: all of them",
                "unit": "call",
                "late_policy": "note",
                "aggregation": "count",
            },
            {
                "key": "tokens",
                "event": "call",
                "aggregation": "sum",
                "property": "tokens",
                "filter": [{"property": "region", "op": "in", "value": ["eu", "1"]}],
                "group_by": ["model"],
            },
        ]
    }
    assert plan == everything.content


def test_an_export_fits_the_schema(everything: PlanVersion) -> None:
    validator = Draft202012Validator(plan_file_schema())
    for document in read_documents(export_plans().encode(), "f.yaml"):
        assert [error.message for error in validator.iter_errors(document.value)] == []


def test_of_each_plan_the_latest_published_version_is_exported() -> None:
    for key in ("b", "a"):
        publish_version(apply_plan(plan_document(key)))
    create_contract(PlanVersion.objects.get(plan__key="a"), make_tenant().customer, {"minimum_spend": "5"})
    publish_version(apply_plan(plan_document("a", minimum_spend="7")))
    apply_plan(plan_document("a", minimum_spend="9"))
    apply_plan(plan_document("never"))
    plans = catalog_of_text(export_plans()).plans
    assert [(key, str(terms.minimum_spend)) for key, terms in plans.items()] == [("a", "7"), ("b", "0")]
    assert list(catalog_of_text(export_plans(["b", "a", "b"])).plans) == ["b", "a"]


def test_what_there_is_not_cannot_be_exported() -> None:
    apply_plan(plan_document())
    with pytest.raises(NotFound, match="'nope'"):
        export_plans(["pro", "nope"])
    with pytest.raises(Unprocessable) as caught:
        export_plans(["pro"])
    assert caught.value.code == "nothing_published"
    assert export_plans() == ""
    [version] = publish_drafts()
    retire_version(version)
    assert export_plans() == ""


def test_a_contract_is_exported_whole(everything: PlanVersion) -> None:
    contract = create_contract(
        everything, make_tenant().customer, {"components": {"calls": None}, "ramps": None}
    )
    [terms] = catalog_of_text(export_versions([contract])).plans.values()
    assert "calls" not in [part.key for part in terms.components]
    assert terms.content() == contract.content
    assert Plan.objects.count() == 1
    assert Component.objects.filter(version=contract).count() == len(terms.components)
