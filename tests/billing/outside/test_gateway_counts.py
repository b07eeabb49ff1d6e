"""Gateways' counts: loaded once, superseded with their history, from a file, a log or the API."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction

from accounts.models import ApiKey
from accounts.secrets import fingerprint
from billing.models import GatewayCount
from core import clock
from tests.accounts.caller import Caller
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 20, 12, 30, tzinfo=UTC)
NINE = datetime(2026, 1, 20, 9, tzinfo=UTC)
_clock = standing_at(NOW)


def send(caller: Caller, *rows: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return caller.made("/v1/gateway-counts", {"counts": list(rows), "source": "edge"} | fields)


def row(key: ApiKey, calls: int, hour: datetime = NINE, **fields: Any) -> dict[str, Any]:
    return {"api_key": key.public_id, "hour": hour.isoformat(), "calls": calls} | fields


def outcome(report: dict[str, Any]) -> tuple[int, int, int, int]:
    return report["added"], report["unchanged"], report["superseded"], len(report["errors"])


def test_counts_are_loaded_once_however_often_they_are_sent(caller: Caller, key: ApiKey) -> None:
    rows = [row(key, 7), row(key, 3, NINE + timedelta(hours=1))]
    assert outcome(send(caller, *rows)) == (2, 0, 0, 0)
    assert outcome(send(caller, *rows)) == (0, 2, 0, 0)
    assert [(one.hour, one.calls, one.source) for one in GatewayCount.objects.order_by("hour")] == [
        (NINE, 7, "edge"),
        (NINE + timedelta(hours=1), 3, "edge"),
    ]


def test_a_newer_count_of_an_hour_supersedes_and_the_older_stays(caller: Caller, key: ApiKey) -> None:
    send(caller, row(key, 7))
    assert outcome(send(caller, row(key, 9))) == (1, 0, 1, 0)
    rows = caller.get("/v1/gateway-counts", api_key=key.public_id).json["data"]
    assert [(one["calls"], one["superseded_at"] is None) for one in rows] == [(9, True), (7, False)]
    standing = caller.get("/v1/gateway-counts", standing="true").json["data"]
    assert [one["calls"] for one in standing] == [9]


def test_an_hour_that_was_not_complete_is_counted_again_once_it_is(caller: Caller, key: ApiKey) -> None:
    twelve = NOW.replace(minute=0)
    assert outcome(send(caller, row(key, 4, twelve))) == (1, 0, 0, 0)
    assert outcome(send(caller, row(key, 4, twelve))) == (0, 1, 0, 0)
    clock.use(lambda: NOW + timedelta(hours=1))
    assert outcome(send(caller, row(key, 4, twelve))) == (1, 0, 1, 0), "now the hour is over"
    assert GatewayCount.objects.get(superseded_at=None).counted_until == NOW + timedelta(hours=1)


def test_two_gateways_and_two_events_are_counted_apart(caller: Caller, key: ApiKey) -> None:
    send(caller, row(key, 7), row(key, 2, event="image"))
    assert outcome(send(caller, row(key, 5), source="other")) == (1, 0, 0, 0)
    assert GatewayCount.objects.filter(superseded_at=None).count() == 3


def test_a_key_may_be_named_by_its_id_its_secret_or_its_fingerprint(caller: Caller, key: ApiKey) -> None:
    names = [key.public_id, "the secret", fingerprint("the secret")]
    hours = [NINE - timedelta(hours=number) for number in range(3)]
    rows = [row(key, 1, hour) | {"api_key": name} for name, hour in zip(names, hours, strict=True)]
    assert outcome(send(caller, *rows)) == (3, 0, 0, 0)
    assert "the secret" not in str(list(GatewayCount.objects.values()))


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"api_key": "nobody's"}, "unknown_api_key", "api_key"),
        ({"hour": "2026-01-20T09:30:00Z"}, "invalid_hour", "hour"),
        ({"hour": "nine"}, "invalid_instant", "hour"),
        ({"calls": -1}, "invalid_calls", "calls"),
        ({"calls": "1.5"}, "invalid_calls", "calls"),
        ({"calls": True}, "invalid_calls", "calls"),
        ({"cals": 1}, "unknown_field", "cals"),
    ],
)
def test_a_wrong_row_is_named_and_sinks_no_other(
    caller: Caller, key: ApiKey, change: dict[str, Any], code: str, param: str
) -> None:
    report = send(caller, row(key, 7) | change, row(key, 8, NINE - timedelta(hours=1)))
    assert outcome(report) == (1, 0, 0, 1)
    (error,) = report["errors"]
    assert (error["index"], error["error"]["code"], error["error"]["param"]) == (0, code, param)


def test_a_count_of_the_future_is_refused(caller: Caller, key: ApiKey) -> None:
    later = (NOW + timedelta(hours=1)).isoformat()
    answer = caller.post("/v1/gateway-counts", {"counts": [row(key, 1)], "counted_until": later})
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "in_future", "counted_until")


def test_the_database_keeps_what_was_counted(caller: Caller, key: ApiKey) -> None:
    send(caller, row(key, 7))
    for change in ({"calls": 8}, {"hour": NINE - timedelta(hours=1)}, {"loaded_by": "me"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            GatewayCount.objects.update(**change)
    with pytest.raises(DatabaseError), transaction.atomic():
        GatewayCount.objects.all().delete()
    GatewayCount.objects.update(superseded_at=NOW)
    with pytest.raises(DatabaseError), transaction.atomic():
        GatewayCount.objects.update(superseded_at=None)


def test_a_csv_file_is_loaded_and_loaded_again(
    key: ApiKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "counts.csv"
    path.write_text(
        f"api_key,hour,calls,event\n{key.public_id},2026-01-20T09:00:00Z,7,\n"
        f"{key.fingerprint},2026-01-20T08:00:00Z,5,image\n"
    )
    call_command("import_gateway_counts", str(path), source="edge")
    call_command("import_gateway_counts", str(path), source="edge")
    assert capsys.readouterr().out.splitlines() == [
        "2 counts added, 0 of them in place of older ones, 0 unchanged, 0 not taken.",
        "0 counts added, 0 of them in place of older ones, 2 unchanged, 0 not taken.",
    ]
    assert sorted(GatewayCount.objects.values_list("calls", "event")) == [(5, "image"), (7, "")]


def test_a_line_that_cannot_be_taken_is_named_and_the_command_fails(
    key: ApiKey, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "counts.jsonl"
    good = {"api_key": key.public_id, "hour": "2026-01-20T09:00:00Z", "calls": 7}
    path.write_text("\n".join([json.dumps(good), "{", json.dumps(good | {"calls": -3})]))
    with pytest.raises(SystemExit):
        call_command("import_gateway_counts", str(path))
    shown = capsys.readouterr()
    assert [line.partition(":")[0] for line in shown.err.splitlines()] == ["row 2", "row 3"]
    assert shown.out.startswith("1 counts added")


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("import_gateway_counts", str(tmp_path / "no.csv"))


def test_an_access_log_is_counted_by_key_and_hour(key: ApiKey, tmp_path: Path) -> None:
    """What failed or was stopped does not count, and the last hour is open until a later line stands."""
    base = {"api_key": key.fingerprint, "event": "completion", "status": 200}
    lines = [
        base | {"request_id": "a", "time": "2026-01-20T09:01:00Z"},
        base | {"request_id": "b", "time": "2026-01-20T09:59:59Z"},
        base | {"request_id": "c", "time": "2026-01-20T09:30:00Z", "status": 502},
        base | {"request_id": "d", "time": "2026-01-20T09:31:00Z", "tollgate": "denied", "reason": "x"},
        {"request_id": "e", "time": "2026-01-20T10:00:00Z", "caller": "Bearer the secret", "status": 200},
        {"request_id": "f", "time": "2026-01-20T10:20:00Z", "status": 200},
    ]
    path = tmp_path / "access.log"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    call_command("import_gateway_counts", str(path), access_log=True)
    call_command("import_gateway_counts", str(path), access_log=True)
    rows = GatewayCount.objects.order_by("hour").values_list("api_key_id", "hour", "calls", "counted_until")
    until = datetime(2026, 1, 20, 10, 20, tzinfo=UTC)
    assert list(rows) == [(key.pk, NINE, 2, until), (key.pk, NINE + timedelta(hours=1), 1, until)]
