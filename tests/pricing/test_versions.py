"""From draft to published to retired, once each; and what is published stays, whoever tries, however."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.apps import apps
from django.db import Error, connection, transaction
from django.db.models.deletion import ProtectedError

from billing.subscriptions import start_subscription
from core import clock
from core.errors import Conflict, Unprocessable
from pricing.contracts import create_contract
from pricing.models import Component, Plan, PlanVersion
from pricing.plans import apply_plan, publish_drafts
from pricing.versions import (
    check_startable,
    latest_published,
    own_versions,
    publish_version,
    retire_version,
    with_versions,
)
from tests.api_client import Api
from tests.billing.world import make_tenant
from tests.pricing.documents import PER_CALL, TOKENS, plan_document

pytestmark = pytest.mark.django_db

CHEAPER = {"components": {"calls": {"unit_price": "0.005"}}}
RAMP = [{"after_months": 3, "overrides": CHEAPER}, {"after_months": 6, "overrides": {"minimum_spend": "9"}}]


def published(price: str = "0.01", **fields: Any) -> PlanVersion:
    """A published version of the plan `pro` at this price of a call."""
    return publish_version(apply_plan(plan_document(components=[PER_CALL | {"unit_price": price}], **fields)))


def test_a_retired_version_keeps_whoever_is_on_it_and_takes_nobody_new() -> None:
    first = published()
    tenant = make_tenant(first)
    now = clock.now()
    retired = retire_version(first)
    assert retired.status == "retired"
    assert retired.retired_at is not None
    assert retired.retired_at >= now
    assert tenant.subscription is not None
    tenant.subscription.refresh_from_db()
    assert (tenant.subscription.version_id, tenant.subscription.status) == (first.pk, "active")
    with pytest.raises(Unprocessable, match="pro v1 is retired") as caught:
        start_subscription(make_tenant().payer, retired)
    assert (caught.value.code, caught.value.param) == ("not_published", "plan_version")


def test_only_a_published_version_retires_and_only_once() -> None:
    draft = apply_plan(plan_document())
    with pytest.raises(Conflict, match="pro v1 is draft") as caught:
        retire_version(draft)
    assert caught.value.code == "not_published"
    retire_version(publish_version(draft))
    with pytest.raises(Conflict, match="is retired"):
        retire_version(draft)
    with pytest.raises(Conflict, match="is retired already"):
        publish_version(draft)


def test_the_latest_is_the_newest_that_is_published() -> None:
    plan = published("0.01").plan
    second = published("0.02")
    apply_plan(plan_document(components=[]))
    assert latest_published(plan) == second
    retire_version(second)
    latest = latest_published(plan)
    assert latest is not None
    assert latest.number == 1
    retire_version(latest)
    assert latest_published(plan) is None
    assert [version.number for version in own_versions(plan).order_by("number")] == [1, 2, 3]


def test_plans_come_with_the_ids_of_their_draft_and_latest_version() -> None:
    first = published("0.01")
    create_contract(first, make_tenant().customer, CHEAPER)
    draft = apply_plan(plan_document(components=[]))
    [plan] = with_versions()
    assert plan.__dict__["published_id"] == first.pk
    assert plan.__dict__["draft_id"] == draft.pk


def test_what_was_retired_may_be_applied_again_as_a_new_version() -> None:
    first = published()
    retire_version(first)
    again = apply_plan(plan_document())
    assert (again.number, again.status) == (2, "draft")
    assert again.content_hash == first.content_hash


def test_the_phases_of_a_ramp_are_published_with_their_version() -> None:
    version = published(ramps=RAMP, one_off_fees=[{"key": "setup", "amount": "5"}])
    one, two = version.derived.order_by("phase")
    assert [str(phase) for phase in (version, one, two)] == ["pro v1", "pro v1 phase 1", "pro v1 phase 2"]
    assert {phase.status for phase in (one, two)} == {"published"}
    assert one.published_at == version.published_at
    assert one.content["components"][0]["unit_price"] == "0.005"
    assert one.components.get().definition["unit_price"] == "0.005"
    assert (two.content["minimum_spend"], two.content["components"][0]["unit_price"]) == ("9", "0.01")
    assert not any("ramps" in phase.content or "one_off_fees" in phase.content for phase in (one, two))
    assert latest_published(version.plan) == version
    assert apply_plan(plan_document(ramps=RAMP)).number == 2


def test_a_phase_begins_by_itself() -> None:
    phase = published(ramps=RAMP).derived.get(phase=1)
    with pytest.raises(Unprocessable) as caught:
        check_startable(phase, make_tenant().customer.pk)
    assert caught.value.code == "phase_of_a_ramp"


def test_drafts_are_published_without_touching_what_is_derived() -> None:
    base = published()
    create_contract(base, make_tenant().customer, CHEAPER)
    apply_plan(plan_document(components=[]))
    assert [str(version) for version in publish_drafts()] == ["pro v2"]
    assert publish_drafts() == []


REFUSED: dict[str, str] = {
    "content": "UPDATE pricing_planversion SET content = '{}'",
    "hash": "UPDATE pricing_planversion SET content_hash = ''",
    "number": "UPDATE pricing_planversion SET number = 7",
    "plan": "UPDATE pricing_planversion SET plan_id = plan_id + 1",
    "made a contract": "UPDATE pricing_planversion SET customer_id = 1, base_id = id",
    "made a phase": "UPDATE pricing_planversion SET phase = 1, base_id = id",
    "created": "UPDATE pricing_planversion SET created_at = '2020-01-01Z'",
    "published again": "UPDATE pricing_planversion SET published_at = '2020-01-01Z'",
    "never published": "UPDATE pricing_planversion SET published_at = NULL",
    "back to draft": "UPDATE pricing_planversion SET status = 'draft'",
    "back to draft, all of it": (
        "UPDATE pricing_planversion SET status = 'draft', published_at = NULL, retired_at = NULL"
    ),
    "retired without an instant": "UPDATE pricing_planversion SET status = 'retired', retired_at = NULL",
    "deleted": "DELETE FROM pricing_planversion",
    "component changed": "UPDATE pricing_component SET definition = '{}'",
    "component renamed": "UPDATE pricing_component SET key = 'x'",
    "component moved": "UPDATE pricing_component SET position = 9",
    "component on another meter": "UPDATE pricing_component SET meter_id = meter_id + 1",
    "component deleted": "DELETE FROM pricing_component",
    "component added": (
        "INSERT INTO pricing_component (version_id, key, meter_id, definition, position)"
        " SELECT version_id, 'more', meter_id, definition, 5 FROM pricing_component"
    ),
    "meter changed": "UPDATE metering_meter SET event = 'x'",
    "meter deleted": "DELETE FROM metering_meter",
}


def attempt(statement: str) -> None:
    """Run a statement that the database must refuse."""
    with pytest.raises(Error), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("statement", REFUSED.values(), ids=list(REFUSED))
@pytest.mark.parametrize("is_retired", [False, True], ids=["published", "retired"])
def test_sql_cannot_change_it(statement: str, is_retired: bool) -> None:
    version = published()
    if is_retired:
        version = retire_version(version)
    before = PlanVersion.objects.values().get(), Component.objects.values().get()
    attempt(statement)
    assert (PlanVersion.objects.values().get(), Component.objects.values().get()) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE pricing_planversion SET status = 'published', retired_at = NULL",
        "UPDATE pricing_planversion SET retired_at = '2020-01-01Z'",
    ],
)
def test_sql_cannot_bring_a_retired_version_back(statement: str) -> None:
    retire_version(published())
    attempt(statement)
    assert PlanVersion.objects.get().status == "retired"


def test_a_drafts_component_cannot_slip_into_a_published_version() -> None:
    version = published()
    tokens = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
    draft = apply_plan(plan_document("other", components=[tokens], meters=[TOKENS]))
    with pytest.raises(Error), transaction.atomic():
        Component.objects.filter(version=draft).update(version=version, position=5)
    with pytest.raises(Error), transaction.atomic():
        Component.objects.filter(version=version).update(version=draft, position=5)
    assert [version.components.count(), draft.components.count()] == [1, 1]


def test_contracts_and_phases_are_as_fixed_as_any_version() -> None:
    base = published(ramps=RAMP)
    contract = create_contract(base, make_tenant().customer, {"ramps": None} | CHEAPER)
    phase = base.derived.get(phase=2)
    changes: tuple[dict[str, Any], ...] = (
        {"content": {}},
        {"status": "draft"},
        {"number": 99},
        {"base": None},
        {"phase": 7},
    )
    for version in (contract, phase):
        for change in changes:
            with pytest.raises(Error), transaction.atomic():
                PlanVersion.objects.filter(pk=version.pk).update(**change)
        with pytest.raises(Error), transaction.atomic():
            version.components.all().delete()
    assert Component.objects.filter(version__in=[contract, phase]).count() == 2


def test_the_orm_cannot_change_it() -> None:
    version = published()
    component = version.components.get()
    version.content, component.definition = {}, {}
    attempts: list[Callable[[], object]] = [
        version.save,
        component.save,
        component.delete,
        version.components.all().delete,
        lambda: PlanVersion.objects.update(status="draft"),
        lambda: PlanVersion.objects.bulk_update([version], ["content"]),
        lambda: Component.objects.filter(version=version).update(key="x"),
        lambda: Component.objects.create(
            version=version, key="more", meter=component.meter, definition={}, position=1
        ),
        lambda: PlanVersion.objects.filter(pk=version.pk)._raw_delete(using="default"),
        lambda: PlanVersion.objects.filter(pk=version.pk).update(
            published_at=datetime(2020, 1, 1, tzinfo=UTC)
        ),
    ]
    for each in attempts:
        with pytest.raises(Error), transaction.atomic():
            each()
    with pytest.raises(ProtectedError):
        version.delete()
    version.refresh_from_db()
    assert version.content["plan"] == "pro"


def test_saving_it_unchanged_changes_nothing() -> None:
    version = published()
    version.save()
    assert PlanVersion.objects.get().content_hash == version.content_hash


def test_the_admin_has_no_door_to_versions_and_components() -> None:
    assert not apps.is_installed("django.contrib.admin")


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_the_api_has_no_verb_that_changes_it(method: str) -> None:
    version = published()
    api = Api("admin")
    for address in (f"/v1/plan-versions/{version.public_id}", f"/v1/plans/{version.plan.public_id}"):
        answer = getattr(api.client, method)(
            address, {}, content_type="application/json", headers={"Authorization": f"Bearer {api.secret}"}
        )
        assert answer.status_code == 405
    again = api.post(f"/v1/plan-versions/{version.public_id}/publish", {})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_a_draft")
    assert PlanVersion.objects.get().content == version.content


def test_the_trail_keeps_who_retired_it() -> None:
    version = published()
    retire_version(version)
    events = version.events.order_by("pgh_id")  # type: ignore[attr-defined]
    assert [event.status for event in events] == ["draft", "published", "retired"]
    assert Plan.objects.count() == 1
