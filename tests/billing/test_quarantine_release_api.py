"""`POST /v1/quarantine/{id}/release`: what waited is charged once, when what was wrong is mended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.keys import register_fingerprint
from accounts.models import BillingEntity
from billing.models import Charge
from core import clock
from core.ids import hot_id
from metering.models import QuarantinedEvent, UsageEvent
from tests.api_client import Api
from tests.billing.world import Tenant, balance, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 15, 12, tzinfo=UTC)
MARK = "ab" * 32
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
_march = standing_at(NOW)


@pytest.fixture
def api() -> Api:
    return Api("admin")


@pytest.fixture
def tenant() -> Tenant:
    make_meter()
    return make_tenant(make_version([PER_TOKEN]), balance="10", overdraft=Decimal(0))


def report(api: Api, key: str = "k", tokens: Any = 100, **fields: Any) -> Any:
    event = {"idempotency_key": key, "event": "completion", "properties": {"tokens": tokens}, **fields}
    answer = api.post("/v1/events", {"events": [event]})
    assert answer.status_code == 200, answer.content
    return answer.json()


def waiting(api: Api, **fields: Any) -> str:
    """The path of an event that was just put aside."""
    assert report(api, **fields)["quarantined"] == 1
    return f"/v1/quarantine/{QuarantinedEvent.objects.latest('pk').public_id}"


def release(api: Api, path: str, **headers: str) -> Any:
    return api.post(f"{path}/release", {}, **headers)


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_released_event_is_charged_at_the_instant_it_occurred(api: Api, tenant: Tenant) -> None:
    occurred = (NOW - timedelta(days=3)).isoformat()
    path = waiting(api, api_key=MARK, occurred_at=occurred)
    register_fingerprint(workspace=tenant.workspace, name="Theirs", fingerprint=MARK)
    clock.use(lambda: NOW + timedelta(hours=1))
    answer = release(api, path)
    assert answer.status_code == 200, answer.content
    event = UsageEvent.objects.get()
    shown = answer.json()
    assert (shown["status"], shown["resolved_by"]) == ("released", api.key.public_id)
    assert shown["resolved_at"] == "2026-03-15T13:00:00Z"
    assert shown["event"] == hot_id("evt", tenant.customer.pk, event.id)
    assert shown["customer"] == tenant.customer.public_id
    assert (event.occurred_at, event.recorded_at) == (NOW - timedelta(days=3), NOW + timedelta(hours=1))
    assert (event.idempotency_key, event.source) == ("k", "release")
    assert Charge.objects.get().amount == 1
    assert balance(tenant) == 9
    assert api.get(path).json() == shown


def test_an_event_without_an_instant_occurred_when_it_was_received(api: Api, tenant: Tenant) -> None:
    path = waiting(api, workspace="later")
    tenant.workspace.external_id = "later"
    tenant.workspace.save()
    clock.use(lambda: NOW + timedelta(days=2))
    assert release(api, path).status_code == 200
    assert UsageEvent.objects.get().occurred_at == NOW


def test_what_is_still_wrong_waits_on_and_says_why(api: Api, tenant: Tenant) -> None:
    path = waiting(api, api_key=MARK)
    answer = release(api, path)
    assert refused(answer) == (409, "still_quarantined")
    assert answer.json()["error"]["message"] == "There is no such API key."
    assert api.get(path).json()["status"] == "waiting"
    assert QuarantinedEvent.objects.count() == 1
    register_fingerprint(workspace=tenant.workspace, name="Theirs", fingerprint=MARK)
    assert release(api, path).status_code == 200
    assert balance(tenant) == 9


def test_an_event_is_released_once(api: Api, tenant: Tenant) -> None:
    path = waiting(api, api_key=MARK)
    register_fingerprint(workspace=tenant.workspace, name="Theirs", fingerprint=MARK)
    first = release(api, path, **{"Idempotency-Key": "r"})
    again = release(api, path, **{"Idempotency-Key": "r"})
    assert (again.status_code, again.json()) == (200, first.json())
    assert refused(release(api, path)) == (409, "not_waiting")
    assert refused(release(api, path, **{"Idempotency-Key": "other"})) == (409, "not_waiting")
    assert (balance(tenant), Charge.objects.count()) == (9, 1)


def test_one_key_for_two_releases_is_a_conflict(api: Api, tenant: Tenant) -> None:
    paths = [waiting(api, key=key, api_key=MARK) for key in ("a", "b")]
    register_fingerprint(workspace=tenant.workspace, name="Theirs", fingerprint=MARK)
    assert release(api, paths[0], **{"Idempotency-Key": "r"}).status_code == 200
    assert refused(release(api, paths[1], **{"Idempotency-Key": "r"})) == (409, "idempotency_key_reused")
    assert balance(tenant) == 9


def test_what_was_sent_again_and_charged_meanwhile_is_charged_once(api: Api, tenant: Tenant) -> None:
    path = waiting(api, api_key=MARK)
    register_fingerprint(workspace=tenant.workspace, name="Theirs", fingerprint=MARK)
    assert report(api, api_key=MARK)["accepted"] == 1
    answer = release(api, path)
    assert answer.status_code == 200, answer.content
    assert answer.json()["event"] == hot_id("evt", tenant.customer.pk, UsageEvent.objects.get().id)
    assert (balance(tenant), Charge.objects.count()) == (9, 1)


def test_what_came_too_late_is_charged_when_staff_want_it(api: Api, tenant: Tenant) -> None:
    occurred = (NOW - timedelta(days=60)).isoformat()
    path = waiting(api, workspace=tenant.workspace.external_id, occurred_at=occurred)
    assert api.get(path).json()["reason"] == "too_late"
    assert release(api, path).status_code == 200
    assert balance(tenant) == 9


def test_what_has_not_happened_yet_waits_until_it_has(api: Api, tenant: Tenant) -> None:
    ahead = NOW + timedelta(days=3)
    path = waiting(api, workspace=tenant.workspace.external_id, occurred_at=ahead.isoformat())
    assert refused(release(api, path)) == (409, "still_quarantined")
    clock.use(lambda: ahead)
    assert release(api, path).status_code == 200
    assert UsageEvent.objects.get().occurred_at == ahead


def test_what_was_for_a_closed_payer_is_charged_below_zero_when_it_opens(api: Api, tenant: Tenant) -> None:
    payer = BillingEntity.objects.filter(pk=tenant.payer.pk)
    payer.update(status="closed")
    path = waiting(api, tokens=1500, workspace=tenant.workspace.external_id)
    assert refused(release(api, path)) == (409, "still_quarantined")
    payer.update(status="active")
    assert release(api, path).status_code == 200
    assert balance(tenant) == -5


def test_numbers_are_charged_exactly_as_they_were_sent(api: Api, tenant: Tenant) -> None:
    raw = (
        '{"events": [{"idempotency_key": "k", "event": "completion", "workspace": "later",'
        ' "properties": {"tokens": 12345678901234567890.100000000001}}]}'
    )
    assert api.post("/v1/events", raw).json()["quarantined"] == 1
    tenant.workspace.external_id = "later"
    tenant.workspace.save()
    row = QuarantinedEvent.objects.get()
    path = f"/v1/quarantine/{row.public_id}"
    assert b"12345678901234567890.100000000001" in api.get(path).content
    assert release(api, path).status_code == 200
    assert Charge.objects.get().amount == Decimal("123456789012345678.90100000000001")


def test_what_was_written_off_is_never_charged(api: Api, tenant: Tenant) -> None:
    path = waiting(api, api_key=MARK)
    assert api.post(f"{path}/write-off", {}).status_code == 200
    register_fingerprint(workspace=tenant.workspace, name="Theirs", fingerprint=MARK)
    assert refused(release(api, path)) == (409, "not_waiting")
    assert balance(tenant) == 10


def test_releasing_is_the_operators_right(api: Api, tenant: Tenant) -> None:
    path = waiting(api, api_key=MARK)
    register_fingerprint(workspace=tenant.workspace, name="Theirs", fingerprint=MARK)
    for scope in ("read", "events:write", "charges:write"):
        assert release(Api(scope), path).status_code == 403
    nobody = Api("admin")
    nobody.secret = "tg_nonsense"
    assert release(nobody, path).status_code == 401
    assert QuarantinedEvent.objects.get().status == "waiting"


@pytest.mark.parametrize("name", ["qe_zzzzzzzz", "qe_", "x", "evt_00000001", "%00", "x" * 900])
def test_what_does_not_wait_there_is_404(api: Api, name: str) -> None:
    assert release(api, f"/v1/quarantine/{name}").status_code == 404
