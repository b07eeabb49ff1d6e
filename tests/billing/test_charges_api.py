"""`POST /v1/charges` and `POST /v1/events` as integrations see them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from accounts.models import IntegrationKey
from billing.charging import Failed
from core import clock
from core.errors import TollgateError
from metering.models import QuarantinedEvent, UsageEvent
from tests.api_client import Api
from tests.billing.world import make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}


@pytest.fixture
def api() -> Api:
    return Api("charges:write", "events:write")


@pytest.fixture
def tenant() -> Any:
    make_meter()
    return make_tenant(make_version([PER_TOKEN]), balance="10", overdraft=Decimal(0))


def event(tenant: Any, key: str, **fields: Any) -> dict[str, Any]:
    return {
        "idempotency_key": key,
        "event": "completion",
        "workspace": tenant.workspace.external_id,
        "properties": {"tokens": 100},
    } | fields


def test_a_charge_is_answered_as_the_api_says(api: Api, tenant: Any) -> None:
    response = api.post("/v1/charges", event(tenant, "a"))
    assert response.status_code == 201
    body = response.json()
    assert body["id"].startswith("ch_")
    assert (body["status"], body["amount"], body["currency"], body["cost"]) == ("charged", "1", "USD", None)
    assert body["balance"] == {"available": "9", "settled": "9", "held": "0"}
    (line,) = body["lines"]
    assert line.keys() == {"component", "meter", "quantity", "amount", "plan_version", "position"}
    replay = api.post("/v1/charges", event(tenant, "a"))
    assert replay.status_code == 200
    assert replay.json() == body


def test_a_refusal_is_402_with_the_denial(api: Api, tenant: Any) -> None:
    response = api.post("/v1/charges", event(tenant, "a", properties={"tokens": 1001}))
    assert response.status_code == 402
    body = response.json()
    assert body["error"]["type"] == "payment_required"
    assert body["denial"]["reason"] == "insufficient_funds"
    assert body["balance"]["available"] == "10"


def test_an_unknown_workspace_is_404_for_a_charge_and_quarantine_for_a_report(api: Api, tenant: Any) -> None:
    unknown = event(tenant, "a", workspace="nowhere")
    assert api.post("/v1/charges", unknown).status_code == 404
    response = api.post("/v1/events", {"events": [unknown, event(tenant, "b")]})
    assert response.json() == {
        "accepted": 1,
        "duplicates": 0,
        "quarantined": 1,
        "rejected": 0,
        "unmatched": 0,
        "unpriced": 0,
        "errors": [],
    }
    assert QuarantinedEvent.objects.get().reason == "unknown_workspace"


def test_one_bad_event_never_sinks_its_batch(api: Api, tenant: Any) -> None:
    batch = [
        event(tenant, "a"),
        event(tenant, "b", properties=3),
        5,
        event(tenant, "a", properties={"tokens": 1}),
    ]
    body = api.post("/v1/events", {"events": batch}).json()
    assert (body["accepted"], body["rejected"]) == (1, 3)
    assert [error["index"] for error in body["errors"]] == [1, 2, 3]
    assert body["errors"][2]["error"]["type"] == "conflict"
    assert UsageEvent.objects.count() == 1


def test_a_revoked_integration_key_is_refused_by_the_very_next_call(api: Api, tenant: Any) -> None:
    assert api.post("/v1/charges", event(tenant, "a")).status_code == 201
    IntegrationKey.objects.filter(pk=api.key.pk).update(revoked_at=clock.now())
    assert api.post("/v1/charges", event(tenant, "b")).status_code == 401
    assert api.post("/v1/events", {"events": [event(tenant, "c")]}).status_code == 401


def test_a_fault_of_ours_fails_the_whole_report_so_that_nothing_is_taken_for_refused(
    api: Api, tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **options: Any) -> list[Any]:
        return [Failed(TollgateError("internal", "Something went wrong on our side."))]

    monkeypatch.setattr("billing.api.events.report_together", broken)
    response = api.post("/v1/events", {"events": [event(tenant, "a")]})
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "internal"
