"""Plan files applied and published: drafts, hashes, frozen meters, all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import Error, connection, transaction
from django.db.models.deletion import ProtectedError

from accounts.models import Currency
from core.errors import Conflict, InvalidRequest
from metering.meters import archive_meter, change_meter, create_meter
from metering.models import CostRate, Meter
from pricing.applied import Action
from pricing.catalog import CatalogError
from pricing.models import Component, Plan, PlanVersion
from pricing.plans import apply_catalog, apply_plan, publish_drafts, publish_version
from pricing.versions import retire_version
from tests.pricing.documents import CALLS, PER_CALL, TOKENS, catalog_of, catalog_of_text, plan_document

pytestmark = pytest.mark.django_db

DAY = datetime(2026, 1, 1, tzinfo=UTC)
RATE = {
    "vendor": "v",
    "event": "call",
    "unit_cost": "0.01",
    "currency": "USD",
    "starts_at": "2026-01-01T00:00:00Z",
}


def said(document: dict[str, Any]) -> list[str]:
    """What stands against applying a document."""
    with pytest.raises(CatalogError) as caught:
        apply_catalog(catalog_of(document))
    return [str(problem) for problem in caught.value.problems]


def test_applying_a_plan_makes_a_draft_with_its_components() -> None:
    version = apply_plan(
        plan_document(
            name="Pro",
            family="api",
            components=[
                PER_CALL,
                {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.10"},
            ],
            meters=[CALLS, TOKENS],
        )
    )
    assert (version.number, version.status, version.published_at) == (1, "draft", None)
    assert (version.plan.key, version.plan.name, version.plan.family, version.plan.currency) == (
        "pro",
        "Pro",
        "api",
        "USD",
    )
    assert [
        (part.key, part.meter.key, part.position) for part in version.components.order_by("position")
    ] == [
        ("calls", "calls", 0),
        ("tok", "tokens", 1),
    ]
    assert version.components.get(key="tok").definition["unit_price"] == "0.1"
    assert Meter.objects.filter(frozen_at=None).count() == 2


def test_the_same_content_makes_no_new_version() -> None:
    first = apply_plan(plan_document())
    again = apply_plan(
        plan_document(components=[PER_CALL | {"unit_price": "0.010", "minimum": "0"}], name="pro")
    )
    assert (again.pk, again.content_hash) == (first.pk, first.content_hash)
    publish_version(first)
    assert apply_plan(plan_document()).status == "published"
    assert PlanVersion.objects.count() == 1


def test_another_content_changes_the_draft_and_after_publishing_makes_the_next() -> None:
    first = apply_plan(plan_document())
    changed = apply_plan(plan_document(components=[PER_CALL | {"unit_price": "0.02"}]))
    assert (changed.pk, changed.number) == (first.pk, 1)
    assert changed.content_hash != first.content_hash
    publish_version(changed)
    second = apply_plan(plan_document())
    assert (second.number, second.status) == (2, "draft")
    assert changed.components.get().definition["unit_price"] == "0.02"
    assert second.components.get().definition["unit_price"] == "0.01"


def test_a_draft_goes_when_the_file_is_what_is_published() -> None:
    publish_version(apply_plan(plan_document()))
    apply_plan(plan_document(components=[PER_CALL | {"unit_price": "0.02"}]))
    *_, done = apply_catalog(catalog_of(plan_document()))
    assert done.action is Action.WITHDRAWN
    assert str(done) == "plan pro: draft withdrawn, published v1 is the same"
    assert [version.number for version in PlanVersion.objects.all()] == [1]


def test_a_price_may_come_back_as_a_new_version() -> None:
    publish_version(apply_plan(plan_document()))
    publish_version(apply_plan(plan_document(components=[])))
    third = publish_version(apply_plan(plan_document()))
    assert third.number == 3
    assert third.content_hash == PlanVersion.objects.get(number=1).content_hash


def test_publishing_freezes_the_version_and_the_meters_it_names() -> None:
    quota = {"feature": "tok", "type": "metered", "meter": "tokens", "limit": "1000"}
    draft = apply_plan(plan_document(meters=[CALLS, TOKENS], entitlements=[quota]))
    create_meter(key="other", definition={"event": "call", "aggregation": "count"})
    version = publish_version(draft)
    assert version.status == "published"
    assert version.published_at is not None
    assert set(Meter.objects.filter(frozen_at__isnull=False).values_list("key", flat=True)) == {
        "calls",
        "tokens",
    }


def test_a_name_changes_with_the_version_that_is_published() -> None:
    publish_version(apply_plan(plan_document(name="Pro")))
    draft = apply_plan(plan_document(name="Pro 2026", family="api"))
    assert Plan.objects.get().name == "Pro"
    publish_version(draft)
    assert (Plan.objects.get().name, Plan.objects.get().family) == ("Pro 2026", "api")


def test_publishing_twice_is_refused() -> None:
    version = publish_version(apply_plan(plan_document()))
    with pytest.raises(Conflict) as caught:
        publish_version(version)
    assert (caught.value.code, caught.value.message) == ("not_a_draft", "pro v1 is published already.")


def test_drafts_are_published_all_at_once_or_by_name() -> None:
    for key in ("a", "b", "c"):
        apply_plan(plan_document(key))
    assert [str(version) for version in publish_drafts(["b", "nothing"])] == ["b v1"]
    assert [str(version) for version in publish_drafts()] == ["a v1", "c v1"]
    assert publish_drafts() == []


def test_one_draft_that_cannot_be_published_keeps_all_as_they_are() -> None:
    apply_plan(plan_document("a", meters=[CALLS]))
    apply_plan(plan_document("b", meters=[TOKENS], components=[PER_CALL | {"meter": "tokens"}]))
    archive_meter(Meter.objects.get(key="tokens"))
    with pytest.raises(InvalidRequest, match="'tokens', or it is archived"):
        publish_drafts()
    assert set(PlanVersion.objects.values_list("status", flat=True)) == {"draft"}
    assert not Meter.objects.filter(frozen_at__isnull=False).exists()


def test_a_draft_that_no_longer_fits_its_meter_is_not_published() -> None:
    share = {"key": "share", "meter": "tokens", "model": "percentage", "rate": "0.1"}
    draft = apply_plan(plan_document(meters=[TOKENS], components=[share]))
    change_meter(Meter.objects.get(), definition={"aggregation": "max"})
    with pytest.raises(InvalidRequest) as caught:
        publish_version(draft)
    assert caught.value.param == "components[0].model"


def test_a_meter_may_change_until_it_is_frozen() -> None:
    apply_plan(plan_document())
    done, _ = apply_catalog(catalog_of(plan_document(meters=[CALLS | {"event": "request"}])))
    assert (str(done), Meter.objects.get().event) == ("meter calls: changed", "request")
    publish_drafts()
    assert said(plan_document(meters=[CALLS])) == [
        "meters[0]: What 'calls' counts is fixed since it was first used; make a new meter."
    ]
    renamed = plan_document(meters=[CALLS | {"event": "request", "name": "API calls", "unit": "call"}])
    done, _ = apply_catalog(catalog_of(renamed))
    assert (done.action, Meter.objects.get().name) == (Action.CHANGED, "API calls")
    done, _ = apply_catalog(catalog_of(renamed))
    assert done.action is Action.UNCHANGED


def test_what_a_file_leaves_out_of_a_meter_is_taken_away() -> None:
    filtered = TOKENS | {"filter": [{"property": "region", "op": "eq", "value": "eu"}], "group_by": ["model"]}
    apply_plan(plan_document(meters=[CALLS, filtered]))
    apply_plan(plan_document(meters=[CALLS, TOKENS]))
    meter = Meter.objects.get(key="tokens")
    assert (meter.filter, meter.group_by) == ([], [])


def test_all_documents_are_applied_or_none() -> None:
    good, bad = (
        plan_document("good", meters=[]),
        plan_document("bad", components=[PER_CALL | {"meter": "nothing"}]),
    )
    with pytest.raises(CatalogError):
        apply_catalog(catalog_of(good, bad))
    assert not Plan.objects.exists()
    assert not Meter.objects.exists()


def test_every_problem_that_only_the_database_knows_is_found_with_its_place() -> None:
    publish_version(apply_plan(plan_document()))
    catalog = catalog_of_text(
        """
plan: pro
currency: EUR
components: [{key: a, meter: nothing, model: per_unit, unit_price: "1"}]
---
plan: other
currency: CRD
meters:
  - {key: calls, event: request, aggregation: count}
"""
    )
    with pytest.raises(CatalogError) as caught:
        apply_catalog(catalog)
    assert [(problem.code, problem.line) for problem in caught.value.problems] == [
        ("meter_frozen", 9),
        ("unknown_meter", 4),
        ("currency_fixed", 3),
        ("unknown_currency", 7),
    ]
    assert "one plan per currency" in caught.value.problems[2].message


def test_a_plan_may_be_in_the_operators_own_unit() -> None:
    Currency.objects.create(
        code="CRD", name="Credits", price=Decimal("0.01"), price_currency="USD", created_at=DAY
    )
    assert apply_plan(plan_document(currency="CRD")).plan.currency == "CRD"


def test_the_currency_of_a_plan_that_was_never_published_may_change() -> None:
    apply_plan(plan_document(currency="USD"))
    assert apply_plan(plan_document(currency="EUR")).plan.currency == "EUR"


def test_a_meter_that_takes_the_maximum_has_no_share_of_events() -> None:
    create_meter(key="peak", definition={"event": "call", "aggregation": "max", "property": "size"})
    share = {"key": "share", "meter": "peak", "model": "percentage", "rate": "0.1"}
    [problem] = said(plan_document(components=[PER_CALL, share]))
    assert problem.startswith("components[1].model ")


def test_a_plan_may_not_name_an_archived_meter() -> None:
    archive_meter(create_meter(key="calls", definition={"event": "call", "aggregation": "count"}))
    assert said(plan_document(meters=[]))[0].startswith(
        "components[0].meter: There is no meter 'calls' in use"
    )
    assert said(plan_document())[0].startswith("components[0].meter: There is no meter 'calls' in use")


def test_cost_rates_are_made_once_ended_but_never_repriced() -> None:
    document = {"cost_rates": [RATE]}
    assert [one.action for one in apply_catalog(catalog_of(document))] == [Action.CREATED]
    assert [one.action for one in apply_catalog(catalog_of(document))] == [Action.UNCHANGED]
    ended = {"cost_rates": [RATE | {"ends_at": "2026-02-01T00:00:00Z"}]}
    assert [str(one) for one in apply_catalog(catalog_of(ended))] == ["cost rate v call: changed"]
    assert CostRate.objects.get().ends_at == datetime(2026, 2, 1, tzinfo=UTC)
    [problem] = said({"cost_rates": [RATE | {"unit_cost": "0.02"}]})
    assert problem.startswith("cost_rates[0].starts_at: From that instant on it is 0.01 USD; another price")
    later = {"cost_rates": [RATE | {"unit_cost": "0.02", "starts_at": "2026-02-01T00:00:00Z"}]}
    assert [one.action for one in apply_catalog(catalog_of(later))] == [Action.CREATED]


@pytest.mark.parametrize(
    "document", [{"meters": [CALLS]}, {"plans": [plan_document("a"), plan_document("b")]}]
)
def test_one_document_of_the_api_holds_one_plan(document: dict[str, Any]) -> None:
    for plan in document.get("plans", []):
        plan.pop("meters", None)
    with pytest.raises(InvalidRequest, match="one plan"):
        apply_plan(document)


@pytest.fixture
def published() -> PlanVersion:
    """A published version with one component."""
    return publish_version(apply_plan(plan_document()))


REFUSED_SQL = [
    "UPDATE pricing_planversion SET content = '{}'",
    "UPDATE pricing_planversion SET content_hash = ''",
    "UPDATE pricing_planversion SET number = 7",
    "UPDATE pricing_planversion SET status = 'draft'",
    "UPDATE pricing_planversion SET published_at = '2020-01-01Z'",
    "UPDATE pricing_planversion SET published_at = NULL",
    "DELETE FROM pricing_planversion",
    "UPDATE pricing_component SET definition = '{}'",
    "UPDATE pricing_component SET key = 'x'",
    "UPDATE pricing_component SET position = 9",
    "DELETE FROM pricing_component",
    """INSERT INTO pricing_component (version_id, key, meter_id, definition, position)
       SELECT version_id, 'more', meter_id, definition, 5 FROM pricing_component""",
    "UPDATE metering_meter SET event = 'x'",
    "UPDATE metering_meter SET frozen_at = NULL",
    "DELETE FROM metering_meter",
]


@pytest.mark.parametrize("statement", REFUSED_SQL)
def test_sql_may_not_change_what_is_published(published: PlanVersion, statement: str) -> None:
    with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    published.refresh_from_db()
    assert published.status == "published"


def test_the_orm_may_not_change_what_is_published(published: PlanVersion) -> None:
    component = published.components.get()
    published.content = {}
    component.definition = {}
    attempts: list[Callable[[], object]] = [
        published.save,
        component.save,
        component.delete,
        published.components.all().delete,
        lambda: PlanVersion.objects.update(status="draft"),
        lambda: Component.objects.filter(version=published).update(key="x"),
        lambda: PlanVersion.objects.filter(pk=published.pk)._raw_delete(using="default"),
    ]
    for attempt in attempts:
        with pytest.raises(Error), transaction.atomic():
            attempt()
    with pytest.raises(ProtectedError):
        published.delete()
    assert PlanVersion.objects.get().content["plan"] == "pro"


def test_a_published_version_may_only_be_retired(published: PlanVersion) -> None:
    retire_version(published)
    with pytest.raises(Error), transaction.atomic():
        PlanVersion.objects.update(status="draft")
    assert apply_plan(plan_document()).number == 2
