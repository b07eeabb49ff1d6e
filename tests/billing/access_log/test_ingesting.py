"""A log settled exactly once, whatever happens to the file: read again, rotated, copied, cut off, torn."""

from __future__ import annotations

import gzip
import os
import shutil
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from accounts.keys import issue_api_key
from billing.access_log import ingesting, settling
from billing.access_log.ingesting import Ingester, IngestReport
from billing.charging import Failed
from billing.models import AccessLog, Charge, Overspend, UnreadLine
from billing.reports.passed_calls import passed_calls
from core import clock
from core.database_errors import Unavailable
from core.errors import Conflict
from metering.models import QuarantinedEvent, UsageEvent
from tests.billing.access_log.log_lines import append, line, own, text
from tests.billing.world import START, Tenant, balance, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
PER_CALL = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_price": "0.01"}
PER_BYTE = {"key": "sent", "meter": "sent", "model": "per_unit", "unit_price": "0.001"}
_january = standing_at(datetime(2026, 1, 15, 12, tzinfo=UTC))


@pytest.fixture
def tenant() -> Tenant:
    make_meter("calls", aggregation="count")
    return make_tenant(make_version([PER_CALL]), balance="10", overdraft=Decimal(0))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "tollgate.log"


def ingest(log: Path, **options: Any) -> Counter[str]:
    return Ingester(log, **options).run().counts


def taken(counts: Counter[str]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if count}


def test_a_line_without_a_hold_is_an_event_and_charged(tenant: Tenant, log: Path) -> None:
    append(log, own(tenant, request_id="a"), own(tenant, request_id="b", user="ada"))
    assert taken(ingest(log)) == {"lines": 2, "events": 2}
    events = UsageEvent.objects.order_by("seq")
    assert [(event.idempotency_key, event.user, event.source) for event in events] == [
        ("a", None, "access_log"),
        ("b", "ada", "access_log"),
    ]
    assert events[0].occurred_at == datetime(2026, 1, 15, 12, tzinfo=UTC)
    assert balance(tenant) == Decimal("9.98")


def test_bytes_and_the_upstreams_usage_are_what_is_charged(log: Path) -> None:
    make_meter("sent", property_path="bytes")
    tenant = make_tenant(make_version([PER_BYTE]), balance="10")
    append(log, own(tenant, bytes=1500), own(tenant, bytes=9, usage='{"bytes": 200}'))
    ingest(log)
    assert [charge.amount for charge in Charge.objects.order_by("seq")] == [Decimal("1.5"), Decimal("0.2")]


def test_reading_again_adds_nothing(tenant: Tenant, log: Path) -> None:
    append(log, *[own(tenant) for _ in range(5)])
    assert ingest(log, batch=2)["events"] == 5
    assert taken(ingest(log)) == {}
    append(log, own(tenant))
    assert taken(ingest(log)) == {"lines": 1, "events": 1}
    assert AccessLog.objects.get().lines == 6


def test_a_copy_of_a_log_is_the_same_log(tenant: Tenant, log: Path) -> None:
    append(log, own(tenant), own(tenant))
    ingest(log)
    copy = log.with_name("elsewhere.log")
    shutil.copy(log, copy)
    append(copy, own(tenant))
    assert taken(ingest(copy)) == {"lines": 1, "events": 1}
    assert Charge.objects.count() == 3


def test_the_same_lines_in_another_file_count_as_known(tenant: Tenant, log: Path) -> None:
    lines = [own(tenant) for _ in range(3)]
    append(log, *lines)
    ingest(log)
    shuffled = log.with_name("merged.log")
    append(shuffled, own(tenant), *reversed(lines))
    assert taken(ingest(shuffled)) == {"lines": 4, "events": 1, "known": 3}
    assert Charge.objects.count() == 4


def test_a_renamed_log_is_read_to_its_end_before_the_new_one(tenant: Tenant, log: Path) -> None:
    append(log, own(tenant, request_id="1"))
    ingest(log)
    append(log, own(tenant, request_id="2"))
    log.rename(log.with_name("tollgate.log.1"))
    append(log, own(tenant, request_id="3"))
    append(log.with_name("tollgate.log.1"), own(tenant, request_id="late"))  # by a worker that still had it
    assert taken(ingest(log)) == {"lines": 3, "events": 3}
    keys = UsageEvent.objects.order_by("seq").values_list("idempotency_key", flat=True)
    assert list(keys) == ["1", "2", "late", "3"]
    assert taken(ingest(log)) == {}


def test_two_rotations_between_two_readings_lose_nothing(tenant: Tenant, log: Path) -> None:
    first, second = log.with_name("tollgate.log.1"), log.with_name("tollgate.log.2.gz")
    append(log, own(tenant))
    os.utime(log, (1000, 1000))
    ingest(log)
    append(log, own(tenant), own(tenant))
    second.write_bytes(gzip.compress(log.read_bytes()))
    os.utime(second, (2000, 2000))
    log.unlink()
    append(first, own(tenant))
    os.utime(first, (3000, 3000))
    append(log, own(tenant))
    assert taken(ingest(log)) == {"lines": 4, "events": 4}
    assert taken(ingest(log)) == {}
    assert Charge.objects.count() == 5


def test_logs_that_were_rotated_before_the_first_reading_are_read_if_they_are_ours(
    tenant: Tenant, log: Path
) -> None:
    other, own_log = log.with_name("tollgate.log.2"), log.with_name("tollgate.log.1")
    other.write_bytes(b"10.0.0.1 - - GET /\n")
    os.utime(other, (1000, 1000))
    append(own_log, own(tenant))
    append(log, own(tenant))
    assert taken(ingest(log)) == {"lines": 2, "events": 2}
    assert taken(ingest(log)) == {}
    assert taken(ingest(other)) == {"lines": 1, "unread": 1}


def test_a_log_that_is_copied_and_truncated_goes_on_as_another(tenant: Tenant, log: Path) -> None:
    append(log, own(tenant), own(tenant))
    ingest(log)
    append(log, own(tenant))
    shutil.copy(log, log.with_name("tollgate.log.1"))
    os.truncate(log, 0)
    append(log, own(tenant))
    assert taken(ingest(log)) == {"lines": 2, "events": 2}
    assert Charge.objects.count() == 4


def test_a_torn_last_line_waits_for_its_end(tenant: Tenant, log: Path) -> None:
    torn = text(own(tenant))
    append(log, own(tenant))
    with log.open("ab") as stream:
        stream.write(torn[:50])
    assert taken(ingest(log)) == {"lines": 1, "events": 1}
    with log.open("ab") as stream:
        stream.write(torn[50:])
    assert taken(ingest(log)) == {"lines": 1, "events": 1}


@pytest.mark.parametrize("damage", ["cut", "garbled"])
def test_a_packed_log_that_is_broken_keeps_no_other_waiting(tenant: Tenant, log: Path, damage: str) -> None:
    lines = [own(tenant, user=os.urandom(90).hex()) for _ in range(300)]
    packed, old = gzip.compress(text(*lines)), log.with_name("tollgate.log.1.gz")
    half = len(packed) // 2
    old.write_bytes(packed[:half] + (b"" if damage == "cut" else b"\xff" * half))
    append(log, own(tenant))
    ingester = Ingester(log)
    report = ingester.run()
    before = report.counts["events"] - 1
    assert 50 < before < 300, "the lines before the break are settled"
    assert list(report.broken) == [old]
    assert report.not_taken == 1
    append(log, own(tenant))
    again = ingester.run()
    assert (taken(again.counts), again.broken) == ({"lines": 1, "events": 1}, {}), (
        "told once, until it changes"
    )
    old.write_bytes(packed)
    assert taken(ingester.run().counts) == {"lines": 300 - before, "events": 300 - before}
    assert Charge.objects.count() == 302


def test_a_line_that_meets_a_busy_payer_is_read_again(
    tenant: Tenant, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, own(tenant))
    busy = Failed(Conflict("busy", "Another request holds the same thing; try again."))
    with monkeypatch.context() as patch:
        patch.setattr(settling, "charge_many", lambda requests: [busy for _ in requests])
        with pytest.raises(Unavailable):
            ingest(log)
    assert taken(ingest(log)) == {"lines": 1, "events": 1}


def test_a_log_that_was_cut_off_and_went_on_is_read_anew(tenant: Tenant, log: Path) -> None:
    lines = [own(tenant) for _ in range(3)]
    append(log, *lines)
    ingest(log)
    os.truncate(log, len(text(*lines[:2])))
    append(log, *[own(tenant, bytes=10**number) for number in range(2)])
    assert taken(ingest(log)) == {"lines": 4, "known": 2, "events": 2}
    assert taken(ingest(log)) == {}
    assert Charge.objects.count() == 5


def test_dying_between_settling_and_noting_counts_nothing_twice(
    tenant: Tenant, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, *[own(tenant) for _ in range(4)])
    note = ingesting._note
    monkeypatch.setattr(ingesting, "_note", _dies)
    with pytest.raises(KeyboardInterrupt):
        ingest(log, batch=2)
    monkeypatch.setattr(ingesting, "_note", note)
    assert taken(ingest(log, batch=2)) == {"lines": 4, "known": 2, "events": 2}
    assert Charge.objects.count() == 4


def _dies(*arguments: Any) -> bool:
    raise KeyboardInterrupt


def test_two_readers_of_one_log_count_its_lines_once(tenant: Tenant, log: Path) -> None:
    append(log, *[own(tenant) for _ in range(4)])
    slow, quick = Ingester(log, batch=2), Ingester(log, batch=2)

    def overtake(report: IngestReport) -> None:
        if report.counts["lines"] == 2:
            assert quick.run().counts["events"] == 2

    assert slow.run(overtake).counts["events"] == 2
    assert AccessLog.objects.values_list("lines", "events").get() == (4, 4)
    assert Charge.objects.count() == 4


def test_what_belongs_to_nobody_is_in_quarantine_and_reported(tenant: Tenant, log: Path) -> None:
    nowhere = own(tenant) | {"workspace": "nowhere"}
    old = own(tenant, time="2025-11-01T00:00:00Z")
    append(log, nowhere, old, line(caller="unknown"))
    report = Ingester(log).run()
    assert taken(report.counts) == {"lines": 3, "quarantined": 3}
    assert report.not_taken == 3
    reasons = set(QuarantinedEvent.objects.values_list("reason", flat=True))
    assert reasons == {"unknown_workspace", "too_late", "unknown_key"}
    assert taken(ingest(log)) == {}


def test_what_cannot_be_read_is_kept_without_the_callers_key(tenant: Tenant, log: Path) -> None:
    with log.open("wb") as stream:
        stream.write(b"GET /v1/x 200\n")
        stream.write(b'{"request_id": "a", "caller": "Bearer s3cr\\"et", "time": "never"}\n')
        stream.write(b'{"request_id": "\xff", "api_key":"s3cret"\n')
    append(log, line(), own(tenant))  # the first says nobody's name
    report = Ingester(log).run()
    assert taken(report.counts) == {"lines": 5, "unread": 4, "events": 1}
    kept = list(UnreadLine.objects.order_by("offset"))
    assert kept[0].offset == 0
    assert kept[0].text == "GET /v1/x 200"
    assert not any("s3cr" in one.text for one in kept)
    assert "\\xff" in kept[2].text
    assert "API key" in kept[3].problem or "workspace" in kept[3].problem
    assert sum(report.problems.values()) == 4
    assert taken(ingest(log)) == {}


def test_failed_and_stopped_calls_cost_nothing(tenant: Tenant, log: Path) -> None:
    append(
        log,
        own(tenant, status="502"),
        line(tollgate="402", reason="insufficient_funds", status="402"),
        line(status="503"),
    )
    assert taken(ingest(log)) == {"lines": 3, "free": 2, "stopped": 1}
    assert taken(ingest(log.with_name("none.log"))) == {}
    assert not UsageEvent.objects.exists()


def test_what_passed_without_an_answer_is_charged_below_the_floor_and_shown(log: Path) -> None:
    make_meter("calls", aggregation="count")
    version = make_version([PER_CALL | {"unit_price": "4"}])
    tenant = make_tenant(version, balance="10", overdraft=Decimal(0))
    issued = issue_api_key(workspace=tenant.workspace, name="caller")
    append(log, *[line(caller=f"Bearer {issued.secret}") for _ in range(4)])
    assert taken(ingest(log)) == {"lines": 4, "passed": 4}
    (passed,) = passed_calls(since=START)
    assert passed.payer == tenant.payer
    assert (passed.calls, passed.amount, passed.overspent) == (4, Decimal(16), Decimal(6))
    assert balance(tenant) == Decimal(-6)
    assert sum(Overspend.objects.values_list("amount", flat=True)) == Decimal(6)
    assert taken(ingest(log)) == {}
    assert passed_calls(since=START) == [passed]
    assert passed_calls(since=clock.now()) == [passed]


def test_an_away_database_moves_no_checkpoint(
    tenant: Tenant, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, own(tenant))

    def away(*arguments: Any) -> Any:
        raise Unavailable("unavailable", "away")

    with monkeypatch.context() as patch:
        patch.setattr("billing.access_log.settling.charge_many", away)
        with pytest.raises(Unavailable):
            ingest(log)
    assert AccessLog.objects.get().offset == 0
    assert taken(ingest(log)) == {"lines": 1, "events": 1}
