from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core.errors import Conflict, NotFound
from metering.events import EventInput, parse_event
from metering.models import QuarantinedEvent
from metering.quarantine import (
    QuarantineItem,
    quarantine_events,
    sent_payload,
    waiting_events,
    with_payload_text,
    write_off_quarantined,
)

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 3, 2, 12, tzinfo=UTC)


def an_event(**fields: Any) -> EventInput:
    raw = {"idempotency_key": "k1", "event": "call", "api_key": "sk-unknown", "properties": {"tokens": 5}}
    return parse_event(raw | fields, NOW)


def an_item(**fields: Any) -> QuarantineItem:
    return QuarantineItem(an_event(**fields), "unknown_key", "There is no such API key.")


def quarantined(*items: QuarantineItem) -> list[QuarantinedEvent]:
    quarantine_events(items, received_at=NOW)
    return list(QuarantinedEvent.objects.order_by("pk"))


def test_an_event_waits_with_its_reason() -> None:
    (row,) = quarantined(QuarantineItem(an_event(), "no_payer", "Nobody pays.", 7, 8))
    assert (row.idempotency_key, row.reason, row.message) == ("k1", "no_payer", "Nobody pays.")
    assert (row.customer_id, row.integration_key_id) == (7, 8)
    assert row.status == "waiting"
    assert row.received_at == NOW


def test_the_code_of_an_attribution_error_becomes_a_reason_that_staff_can_choose() -> None:
    (row,) = quarantined(QuarantineItem(an_event(), "unknown_billing_entity", "There is none."))
    assert row.reason == QuarantinedEvent.Reason.UNKNOWN_PAYER


def test_the_same_event_waits_once_however_often_it_is_sent() -> None:
    quarantined(an_item(), an_item(properties={"tokens": "5.0"}))
    assert len(quarantined(an_item())) == 1


def test_another_payload_under_the_same_key_waits_beside_it() -> None:
    assert len(quarantined(an_item(), an_item(properties={"tokens": 6}))) == 2


def test_an_event_that_was_written_off_may_wait_again() -> None:
    (row,) = quarantined(an_item())
    write_off_quarantined(row.pk, by="ops@example.com", at=LATER)
    assert [row.status for row in quarantined(an_item())] == ["written_off", "waiting"]


def test_nothing_is_no_statement() -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        quarantine_events([], received_at=NOW)
    assert len(queries) == 0


def test_a_thousand_events_are_one_insert() -> None:
    items = [an_item(idempotency_key=f"k{n}") for n in range(1000)]
    with CaptureQueriesContext(connection) as queries:
        quarantine_events(items, received_at=NOW)
    inserts = [query for query in queries if query["sql"].startswith("INSERT")]
    assert len(inserts) == 1
    assert QuarantinedEvent.objects.count() == 1000


def test_an_event_comes_back_exactly_as_it_was_sent() -> None:
    properties = {"a": Decimal("0.1"), "b": 10**20 - 1, "c": Decimal("99999999999999999999.999999999999"),
                  "d": ["x", None, True, {"e": "\n"}], "f": Decimal("1.50")}  # fmt: skip
    sent = an_event(
        properties=properties, costs=[{"vendor": "v", "amount": Decimal("1E-18"), "currency": "USD"}]
    )
    (row,) = quarantined(QuarantineItem(sent, "unknown_key", ""))
    with transaction.atomic():
        ((_, read),) = waiting_events([row.pk])
    assert read == sent
    assert read.properties["a"].as_tuple() == Decimal("0.1").as_tuple()
    assert read.costs is not None
    assert read.costs[0].amount == Decimal("0.000000000000000001")


def test_without_an_instant_it_occurred_when_it_was_received_not_when_it_is_released() -> None:
    (row,) = quarantined(an_item())
    with transaction.atomic():
        ((_, event),) = waiting_events([row.pk])
    assert event.occurred_at == NOW


def test_a_secret_is_not_in_quarantine_either() -> None:
    quarantined(an_item())
    row = with_payload_text(QuarantinedEvent.objects.all()).get()
    assert sent_payload(row)["api_key"] == an_event().api_key
    assert "sk-unknown" not in str(sent_payload(row))


def test_only_waiting_events_are_given_out_for_release() -> None:
    first, second = quarantined(an_item(), an_item(idempotency_key="k2"))
    write_off_quarantined(first.pk, by="ops", at=LATER)
    with transaction.atomic():
        assert [row.pk for row, _ in waiting_events([first.pk, second.pk, 999])] == [second.pk]


def test_writing_off_says_who_and_when() -> None:
    (row,) = quarantined(an_item())
    write_off_quarantined(row.pk, by="ops@example.com", at=LATER)
    row.refresh_from_db()
    assert (row.status, row.resolved_at, row.resolved_by) == ("written_off", LATER, "ops@example.com")


def test_what_does_not_wait_cannot_be_written_off() -> None:
    (row,) = quarantined(an_item())
    write_off_quarantined(row.pk, by="ops", at=LATER)
    with pytest.raises(Conflict) as caught:
        write_off_quarantined(row.pk, by="ops", at=LATER)
    assert caught.value.code == "not_waiting"
    with pytest.raises(NotFound):
        write_off_quarantined(row.pk + 1, by="ops", at=LATER)
