"""`/v1/rollouts`, their members and `/v1/usage-ceilings` as the API shows them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.rollouts import execute_rollouts
from core import clock
from core.instants import instant_text
from pricing.models import PlanVersion, Rollout
from tests.accounts.caller import Caller, caller_with
from tests.billing.world import Tenant, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}


@pytest.fixture
def versions() -> tuple[PlanVersion, PlanVersion]:
    make_meter()
    included = PER_TOKEN | {"included": "100"}
    return make_version([included]), make_version([PER_TOKEN])


@pytest.fixture
def tenants(versions: tuple[PlanVersion, PlanVersion]) -> list[Tenant]:
    return [make_tenant(versions[0], balance="100") for _ in range(3)]


def body(versions: tuple[PlanVersion, PlanVersion], **fields: Any) -> dict[str, Any]:
    return {
        "plan_version": versions[1].public_id,
        "when": "on_date",
        "effective_at": instant_text(clock.now() + timedelta(days=31)),
        "cohort": {"from_versions": [versions[0].public_id]},
    } | fields


def announced(caller: Caller, versions: tuple[PlanVersion, PlanVersion], **fields: Any) -> str:
    made = caller.made("/v1/rollouts", body(versions, **fields))
    answer = caller.post(f"/v1/rollouts/{made['id']}/announce", {"reason": "a test"})
    assert answer.status == 200, answer.body
    return str(made["id"])


def subscription(tenant: Tenant) -> str:
    assert tenant.subscription is not None
    return tenant.subscription.public_id


def test_a_draft_is_shown_as_it_was_asked_for(
    caller: Caller, versions: tuple[PlanVersion, PlanVersion], tenants: list[Tenant]
) -> None:
    asked = {
        "from_versions": [versions[0].public_id],
        "customers": [tenants[0].customer.external_id, tenants[1].customer.public_id],
        "subscriptions": [subscription(tenant) for tenant in tenants],
        "min_revenue": "0.00",
        "max_revenue": "12.50",
    }
    made = caller.made("/v1/rollouts", body(versions, name="Spring", cohort=asked))
    assert made["cohort"] == asked | {
        "customers": [tenant.customer.public_id for tenant in tenants[:2]],
        "min_revenue": "0",
        "max_revenue": "12.5",
    }
    shown = {name: made[name] for name in ("name", "status", "when", "plan_version", "rollback_of")}
    assert shown == {
        "name": "Spring",
        "status": "draft",
        "when": "on_date",
        "plan_version": versions[1].public_id,
        "rollback_of": None,
    }
    assert made["progress"] == {"all": 0}
    assert made["announced_at"] is None
    assert made["created_by"].startswith("ik_")
    assert caller.get(f"/v1/rollouts/{made['id']}").json == made


def test_without_a_name_it_has_its_versions(
    caller: Caller, versions: tuple[PlanVersion, PlanVersion]
) -> None:
    made = caller.made("/v1/rollouts", body(versions))
    assert made["name"] == f"{versions[1].plan.key} v1"


def test_a_draft_previews_whom_it_would_move(
    caller: Caller, versions: tuple[PlanVersion, PlanVersion], tenants: list[Tenant]
) -> None:
    made = caller.made("/v1/rollouts", body(versions))
    preview = caller.get(f"/v1/rollouts/{made['id']}/preview").json
    assert preview == {
        "subscriptions": 3,
        "customers": 3,
        "first_effective_at": made["effective_at"],
        "last_effective_at": made["effective_at"],
        "needs_reason": False,
        "overages": {
            versions[0].public_id: [{"meter": "tokens", "cause": "included_falls", "ceiling": "100"}]
        },
    }
    assert not Rollout.objects.get().members.exists()
    nobody = caller.made("/v1/rollouts", body(versions, cohort={"from_versions": [versions[1].public_id]}))
    assert caller.get(f"/v1/rollouts/{nobody['id']}/preview").json["first_effective_at"] is None
    caller.post(f"/v1/rollouts/{made['id']}/announce", {})
    refused = caller.get(f"/v1/rollouts/{made['id']}/preview")
    assert (refused.status, refused.error["code"]) == (409, "not_draft")


def test_rollouts_are_listed_and_filtered(
    caller: Caller, versions: tuple[PlanVersion, PlanVersion], tenants: list[Tenant]
) -> None:
    draft = caller.made("/v1/rollouts", body(versions))["id"]
    running = announced(caller, versions)
    listed = caller.get("/v1/rollouts").json["data"]
    assert [row["id"] for row in listed] == [running, draft]
    assert listed[0]["progress"] == {"all": 3, "notified": 3}
    assert [row["id"] for row in caller.get("/v1/rollouts", status="draft").json["data"]] == [draft]
    of_version = caller.get("/v1/rollouts", plan_version=versions[0].public_id).json["data"]
    assert of_version == []


def test_members_are_listed_filtered_and_paged(
    caller: Caller, versions: tuple[PlanVersion, PlanVersion], tenants: list[Tenant]
) -> None:
    rollout = announced(caller, versions)
    other = announced_for_nobody(caller, versions)
    address = f"/v1/rollouts/{rollout}/members"
    caller.post(f"/v1/rollouts/{rollout}/acknowledge", {"subscription": subscription(tenants[1])})
    first = caller.get(address, limit="2").json
    rest = caller.get(address, limit="2", cursor=first["next_cursor"]).json
    found = [row["subscription"] for row in first["data"] + rest["data"]]
    assert sorted(found) == sorted(map(subscription, tenants))
    (acknowledged,) = caller.get(address, state="acknowledged").json["data"]
    assert acknowledged["customer"] == tenants[1].customer.public_id
    assert acknowledged["introduces_overage"]
    external = str(tenants[0].payer.external_id)
    assert len(caller.get(address, billing_entity=external).json["data"]) == 1
    assert caller.get(f"/v1/rollouts/{other}/members").json["data"] == []
    assert caller.get("/v1/rollouts/ro_zzzzzzzz/members").status == 404


def announced_for_nobody(caller: Caller, versions: tuple[PlanVersion, PlanVersion]) -> str:
    return str(caller.made("/v1/rollouts", body(versions))["id"])


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"when": "soon"}, "when", "invalid_choice"),
        ({"plan_version": "pv_zzzzzzzz"}, "plan_version", "not_found"),
        ({"cohort": {"customers": ["nobody"]}}, "cohort.customers", "not_found"),
        ({"cohort": {"customers": "c1"}}, "cohort.customers", "invalid"),
        ({"cohort": {"customers": [1]}}, "cohort.customers", "invalid"),
        ({"cohort": {"subscriptions": ["x"] * 10_001}}, "cohort.subscriptions", "too_many"),
        ({"cohort": {"country": "DE"}}, "cohort.country", "unknown_field"),
        ({"when": "immediately"}, "effective_at", "not_applicable"),
        ({"notice_at": "2099-01-01T00:00:00Z"}, "notice_at", "out_of_range"),
        ({"notice_at": "2035-01-01T00:00:00Z"}, "notice_at", "invalid_period"),
    ],
)
def test_what_is_wrong_is_named(
    caller: Caller,
    versions: tuple[PlanVersion, PlanVersion],
    fields: dict[str, Any],
    param: str,
    code: str,
) -> None:
    answer = caller.post("/v1/rollouts", body(versions, **fields))
    assert answer.status == 400, answer.body
    assert (answer.error["param"], answer.error["code"]) == (param, code)
    assert not Rollout.objects.exists()


def test_a_repeated_announcement_under_a_key_gets_the_first_answer(
    caller: Caller, versions: tuple[PlanVersion, PlanVersion], tenants: list[Tenant]
) -> None:
    asked = body(versions)
    made = caller.made("/v1/rollouts", asked, key="draft")
    assert caller.made("/v1/rollouts", asked, key="draft") == made
    address = f"/v1/rollouts/{made['id']}/announce"
    first = caller.post(address, {}, key="go")
    again = caller.post(address, {}, key="go")
    assert (first.status, again.status, first.json) == (200, 200, again.json)
    assert caller.post(address, {}).error["code"] == "not_draft"


def test_readers_may_look_and_not_touch(
    caller: Caller, versions: tuple[PlanVersion, PlanVersion], tenants: list[Tenant]
) -> None:
    rollout = announced(caller, versions)
    reader = caller_with("read")
    for path in ("", f"/{rollout}", f"/{rollout}/members", f"/{rollout}/make-whole"):
        assert reader.get(f"/v1/rollouts{path}").status == 200
    assert reader.get("/v1/usage-ceilings").status == 200
    for verb in ("announce", "pause", "resume", "cancel", "make-whole"):
        assert reader.post(f"/v1/rollouts/{rollout}/{verb}", {}).status == 403


def test_ceilings_are_shown_after_the_move(
    caller: Caller, versions: tuple[PlanVersion, PlanVersion], tenants: list[Tenant]
) -> None:
    now = body(versions, when="immediately")
    del now["effective_at"]
    rollout = caller.made("/v1/rollouts", now)["id"]
    caller.post(f"/v1/rollouts/{rollout}/announce", {"reason": "a test"})
    execute_rollouts(clock.now())
    ceilings = caller.get("/v1/usage-ceilings").json["data"]
    assert {row["subscription"] for row in ceilings} == set(map(subscription, tenants))
    (one,) = caller.get("/v1/usage-ceilings", subscription=subscription(tenants[0])).json["data"]
    assert (one["meter"], one["limit"], one["reason"], one["lifted_at"]) == (
        "tokens",
        "100",
        "old_ceiling",
        None,
    )
    assert one["plan_version"] == versions[1].public_id
    assert caller.get(f"/v1/usage-ceilings/{one['id']}").json == one
    acknowledgement = {"subscription": subscription(tenants[0])}
    caller.post(f"/v1/rollouts/{rollout}/acknowledge", acknowledgement)
    assert len(caller.get("/v1/usage-ceilings", standing="true").json["data"]) == 2


def test_a_list_costs_the_same_however_many_members(
    caller: Caller, versions: tuple[PlanVersion, PlanVersion], tenants: list[Tenant]
) -> None:
    rollout = announced(caller, versions)

    def statements() -> tuple[int, int]:
        counts = []
        for path in ("/v1/rollouts", f"/v1/rollouts/{rollout}/members"):
            with CaptureQueriesContext(connection) as captured:
                caller.get(path)
            counts.append(len(captured))
        return counts[0], counts[1]

    before = statements()
    for _ in range(5):
        caller.made("/v1/rollouts", body(versions))
    assert statements() == before
    assert max(before) <= 4


def test_announcing_costs_the_same_however_many_move(
    caller: Caller, versions: tuple[PlanVersion, PlanVersion], tenants: list[Tenant]
) -> None:
    def statements() -> int:
        made = caller.made("/v1/rollouts", body(versions))["id"]
        with CaptureQueriesContext(connection) as captured:
            assert caller.post(f"/v1/rollouts/{made}/announce", {}).status == 200
        caller.post(f"/v1/rollouts/{made}/cancel", {})
        return len(captured)

    few = statements()
    for _ in range(10):
        make_tenant(versions[0])
    assert statements() == few
