from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from pytest_django import DjangoAssertNumQueries

from core.ids import public_id
from metering.events import parse_event
from metering.models import QuarantinedEvent
from metering.quarantine import QuarantineItem, quarantine_events
from tests.metering.conftest import Api, Tenant, error_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def put_aside(
    key: str = "k1", reason: str = "unknown_key", customer_id: int | None = None
) -> QuarantinedEvent:
    raw = {"idempotency_key": key, "event": "call", "api_key": "sk-1", "properties": {"tokens": 5}}
    quarantine_events([QuarantineItem(parse_event(raw, NOW), reason, "Why.", customer_id)], received_at=NOW)
    return QuarantinedEvent.objects.latest("pk")


def test_an_event_in_quarantine_is_shown_without_its_secret(api: Api) -> None:
    row = put_aside()
    shown = api.get(f"quarantine/{row.public_id}").body
    assert shown["status"] == "waiting"
    assert (shown["reason"], shown["message"]) == ("unknown_key", "Why.")
    assert shown["payload"]["properties"] == {"tokens": 5}
    assert shown["received_at"] == "2026-03-01T12:00:00Z"
    assert shown["customer"] is shown["event"] is shown["resolved_at"] is None
    assert "sk-1" not in str(shown)


def test_quarantine_is_listed_and_filtered(api: Api, make_tenant: Callable[..., Tenant]) -> None:
    acme = make_tenant("acme")
    put_aside("a"), put_aside("b", "too_late", acme.customer.pk)

    def keys(query: str) -> list[str]:
        return [row["idempotency_key"] for row in api.get(f"quarantine{query}").body["data"]]

    assert keys("") == ["b", "a"]
    assert keys("?reason=too_late") == ["b"]
    assert keys("?customer=acme") == ["b"]
    assert keys(f"?customer={public_id('cus', acme.customer.pk)}") == ["b"]
    assert keys("?idempotency_key=a") == ["a"]
    assert keys("?status=written_off") == []
    assert keys("?received_from=2026-03-01T12:00:00Z") == ["b", "a"]
    assert keys("?received_to=2026-03-01T12:00:00Z") == []
    assert error_of(api.get("quarantine?reason=bad"))[:2] == (400, "invalid_choice")


def test_an_event_is_written_off_once(api: Api) -> None:
    path = f"quarantine/{put_aside().public_id}"
    gone = api.post(f"{path}/write-off")
    assert gone.status_code == 200
    assert gone.body["status"] == "written_off"
    assert gone.body["resolved_by"].startswith("ik_")
    assert gone.body["resolved_at"] is not None
    assert error_of(api.post(f"{path}/write-off")) == (409, "not_waiting", None)
    assert api.post("quarantine/qe_zzz/write-off").status_code == 404


def test_quarantine_is_the_operators_business(make_api: Callable[..., Api]) -> None:
    row = put_aside()
    reader = make_api("read")
    assert reader.get("quarantine").status_code == 200
    assert reader.post(f"quarantine/{row.public_id}/write-off").status_code == 403
    assert make_api("events:write").get("quarantine").status_code == 403
    row.refresh_from_db()
    assert row.status == "waiting"


@pytest.mark.parametrize("count", [1, 30])
def test_a_page_costs_the_same_however_many_rows_it_has(
    api: Api,
    count: int,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for n in range(count):
        put_aside(f"k{n}")
    api.get("quarantine")  # the key's last use is noted once a minute
    with django_assert_num_queries(2):  # the key's version, the page
        assert len(api.get("quarantine").body["data"]) == count
