"""`manage.py import_usage`: history from files, once, exactly, with a word on all that was not taken."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from accounts.keys import register_fingerprint
from accounts.secrets import fingerprint
from billing.models import Charge, MarginBucket
from metering.models import QuarantinedEvent, UsageEvent
from tests.billing.import_files import (
    HEADER,
    REAL,
    TOKENS,
    TRACE,
    a_file,
    in_workspace,
    run,
    sums,
    token_tenant,
)
from tests.billing.world import Tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant() -> Tenant:
    return token_tenant()


def test_a_trace_is_charged_row_by_row(tenant: Tenant, tmp_path: Path) -> None:
    code, out, _ = run(a_file(tmp_path, TRACE), *TOKENS, in_workspace(tenant))
    assert code == 0
    assert "3 rows: 3 taken, 0 known already, 0 in quarantine, 0 rejected." in out
    assert sorted(sums().values()) == [191, 8537]
    first = UsageEvent.objects.order_by("seq")[0]
    assert first.properties == {
        "input_tokens": 4808,
        "output_tokens": 10,
        "provider": "openai",
        "model": "gpt-4o",
    }
    assert first.occurred_at.isoformat() == "2023-11-16T18:17:03.979960+00:00"
    assert first.source == "import"
    by_hand = 8537 * Decimal("0.000005") + 191 * Decimal("0.00002")
    vendor = 8537 * Decimal("0.0000025") + 191 * Decimal("0.00001")
    assert sum(charge.amount for charge in Charge.objects.all()) == by_hand
    assert sum(bucket.revenue for bucket in MarginBucket.objects.all()) == by_hand
    assert sum(bucket.cost for bucket in MarginBucket.objects.all()) == vendor
    assert sum(bucket.costed for bucket in MarginBucket.objects.all()) == 3


def test_a_second_run_adds_nothing(tenant: Tenant, tmp_path: Path) -> None:
    path = a_file(tmp_path, TRACE)
    run(path, *TOKENS, in_workspace(tenant))
    before = sums()
    code, out, _ = run(path, *TOKENS, in_workspace(tenant))
    assert code == 0
    assert "0 taken, 3 known already" in out
    assert sums() == before
    assert UsageEvent.objects.count() == Charge.objects.count() == 3


def test_a_file_that_has_grown_brings_its_new_rows(tenant: Tenant, tmp_path: Path) -> None:
    path = a_file(tmp_path, TRACE)
    run(path, *TOKENS, in_workspace(tenant))
    a_file(tmp_path, TRACE + "\r\n2023-11-16 19:15:00,1,1\r\n")
    assert "1 taken, 3 known already" in run(path, *TOKENS, in_workspace(tenant))[1]


def test_equal_rows_are_different_calls(tenant: Tenant, tmp_path: Path) -> None:
    lines = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "2023-11-16 18:17:03,1,1\n" * 2
    assert "2 taken" in run(a_file(tmp_path, lines), *TOKENS, in_workspace(tenant))[1]


def test_another_file_with_the_same_rows_is_other_calls(tenant: Tenant, tmp_path: Path) -> None:
    for name in ("monday.csv", "tuesday.csv"):
        assert "3 taken" in run(a_file(tmp_path, TRACE, name), *TOKENS, in_workspace(tenant))[1]
    moved = a_file(tmp_path, TRACE, "moved.csv")
    assert "3 known" in run(moved, *TOKENS, in_workspace(tenant), "--key-prefix=monday.csv")[1]


def test_a_column_of_keys_is_taken_as_it_is(tenant: Tenant, tmp_path: Path) -> None:
    content = HEADER.replace("TIME", "id,TIME") + "r1,2023-11-16 18:17:03,1,1\n" * 2
    options = (*TOKENS, in_workspace(tenant), "--map=idempotency_key=id")
    code, out, _ = run(a_file(tmp_path, content), *options)
    assert (code, UsageEvent.objects.get().idempotency_key) == (0, "r1")
    assert "1 taken, 1 known already" in out


def test_the_same_key_with_another_content_is_reported(tenant: Tenant, tmp_path: Path) -> None:
    rows = "r1,2023-11-16 18:17:03,1,1\nr1,2023-11-16 18:17:03,2,1\n"
    content = HEADER.replace("TIME", "id,TIME") + rows
    options = (*TOKENS, in_workspace(tenant), "--map=idempotency_key=id")
    code, out, err = run(a_file(tmp_path, content), *options)
    assert code == 1
    assert "1 taken, 0 known already, 0 in quarantine, 1 rejected" in out
    assert "line 3: " in err
    assert "properties.input_tokens" in err


def test_columns_with_a_fields_name_need_no_mapping(tenant: Tenant, tmp_path: Path) -> None:
    content = (
        "idempotency_key,event,workspace,occurred_at,properties.input_tokens,user,note,cost.amount\n"
        f"a,completion,{tenant.workspace.external_id},2026-01-05T00:00:00+01:00,1.5,maria,x,0.25\n"
        f"b,completion,{tenant.workspace.external_id},2026-01-05T00:00:00Z,,,,\n"
    )
    code, _, err = run(a_file(tmp_path, content), "--set=cost.vendor=openai", "--set=cost.currency=USD")
    assert (code, "line" in err) == (0, False)
    first, second = UsageEvent.objects.order_by("seq")
    assert (first.user, first.properties, first.cost) == ("maria", {"input_tokens": 1.5}, Decimal("0.25"))
    assert (second.user, second.properties, second.cost) == (None, {}, None)
    assert first.occurred_at.hour == 23


def test_what_could_not_be_taken_is_reported_by_line(tenant: Tenant, tmp_path: Path) -> None:
    content = (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:17:03,1,1\n"
        "yesterday,1,1\n"
        ",1,1\n"
        "2023-11-16 18:17:03,1\n"
        "2023-11-16 18:17:03,1,1,1\n"
        '2023-11-16 18:17:03,"a"b,1\n'
        "\n"
        "2023-11-16 18:17:04,2,2\n"
    )
    code, out, err = run(a_file(tmp_path, content), *TOKENS, in_workspace(tenant))
    assert code == 1
    assert "7 rows: 2 taken, 0 known already, 0 in quarantine, 5 rejected." in out
    for line, reason in ((3, "RFC 3339"), (4, "missing"), (5, "2 cells"), (6, "4 cells"), (7, "not CSV")):
        assert any(f"line {line}: " in told and reason in told for told in err.splitlines()), (line, err)


def test_bytes_that_are_no_text_spoil_their_row_only(tenant: Tenant, tmp_path: Path) -> None:
    content = (
        b"\xef\xbb\xbfTIMESTAMP,ContextTokens,GeneratedTokens,user\n"
        b"2023-11-16 18:17:03,1,1,\xff\xfe\n"
        b"2023-11-16 18:17:03,1,1,a\x00b\n"
        b"2023-11-16 18:17:04,2,2,m\xc3\xbcller\n"
    )
    code, out, err = run(a_file(tmp_path, content), *TOKENS, in_workspace(tenant))
    assert code == 1
    assert "1 taken, 0 known already, 0 in quarantine, 2 rejected" in out
    assert UsageEvent.objects.get().user == "müller"
    err.encode()


def test_rows_that_belong_to_nobody_wait_in_quarantine(tenant: Tenant, tmp_path: Path) -> None:
    content = "workspace,TIMESTAMP,ContextTokens,GeneratedTokens\nnowhere,2023-11-16 18:17:03,1,1\n"
    for _ in range(2):
        code, out, err = run(a_file(tmp_path, content), *TOKENS)
        assert code == 1
        assert "0 taken, 0 known already, 1 in quarantine" in out
        assert "line 2: in quarantine: " in err
    assert QuarantinedEvent.objects.count() == 1


def test_a_secret_in_a_file_is_not_kept(tenant: Tenant, tmp_path: Path) -> None:
    register_fingerprint(workspace=tenant.workspace, name="gateway", fingerprint=fingerprint("sk-live-1"))
    rows = "sk-live-1,2026-02-16 18:17:03,1,1\nsk-x,2026-02-16 18:17:03,1,1\n"
    content = HEADER.replace("TIME", "key,TIME") + rows
    code, out, _ = run(a_file(tmp_path, content), *TOKENS, "--map=api_key=key")
    assert code == 1
    assert "1 taken" in out
    assert "sk-x" not in str(QuarantinedEvent.objects.get().payload)
    assert "3 taken" in run(a_file(tmp_path, TRACE), *TOKENS, "--set=api_key=sk-live-1")[1]
    assert "sk-live-1" not in str(list(UsageEvent.objects.values()))


def test_unmatched_and_unpriced_rows_are_counted(tenant: Tenant, tmp_path: Path) -> None:
    options = [option for option in TOKENS if "event" not in option]
    _, out, _ = run(a_file(tmp_path, TRACE), *options, "--set=event=completoin", in_workspace(tenant))
    assert "no meter hears 3 and nothing prices 0" in out


def test_times_without_an_offset_are_of_the_zone_that_is_named(tenant: Tenant, tmp_path: Path) -> None:
    run(a_file(tmp_path, TRACE), *TOKENS, in_workspace(tenant), "--time-zone=Asia/Kolkata")
    first = UsageEvent.objects.order_by("seq")[0]
    assert first.occurred_at.isoformat() == "2023-11-16T12:47:03.979960+00:00"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1700158623", "2023-11-16T18:17:03+00:00"),
        ("1700158623.25", "2023-11-16T18:17:03.250000+00:00"),
        ("1700158623250", "2023-11-16T18:17:03.250000+00:00"),
        ("2023-11-16T18:17:03Z", "2023-11-16T18:17:03+00:00"),
        ("2023-11-16 18:17", "2023-11-16T18:17:00+00:00"),
    ],
)
def test_instants_as_files_write_them(tenant: Tenant, tmp_path: Path, text: str, instant: str) -> None:
    content = f"{HEADER}{text},1,1\n"
    assert run(a_file(tmp_path, content), *TOKENS, in_workspace(tenant))[0] == 0
    assert UsageEvent.objects.get().occurred_at.isoformat() == instant


@pytest.mark.parametrize(
    "text", ["0001-01-01 00:00:00", "9999-12-31 23:59:59", "12345", "2023-02-30 00:00:00"]
)
def test_instants_that_are_none(tenant: Tenant, tmp_path: Path, text: str) -> None:
    content = f"{HEADER}{text},1,1\n"
    zone = "--time-zone=Asia/Tokyo" if text < "1" else "--time-zone=America/New_York"
    code, out, _ = run(a_file(tmp_path, content), *TOKENS, in_workspace(tenant), zone)
    assert (code, "1 rejected" in out) == (1, True)


@pytest.mark.parametrize(
    ("cell", "value"),
    [("007", "007"), ("12", 12), ("-1.50", -1.5), ("1e5", "1e5"), ("9" * 25, "9" * 25), (" 5", " 5")],
)
def test_plain_numbers_become_numbers_and_the_rest_stays_text(
    tenant: Tenant, tmp_path: Path, cell: str, value: object
) -> None:
    content = f"occurred_at,properties.x\n2026-01-05T00:00:00Z,{cell}\n"
    run(a_file(tmp_path, content), "--set=event=completion", in_workspace(tenant))
    assert UsageEvent.objects.get().properties == {"x": value}


@pytest.mark.skipif(not REAL.exists(), reason="the Azure trace of 2023 is not beside the project")
def test_the_real_trace_adds_up(tenant: Tenant) -> None:
    for known in (0, 8819):
        code, out, _ = run(REAL, *TOKENS, in_workspace(tenant))
        assert code == 0
        assert f"8,819 rows: {8819 - known:,} taken, {known:,} known already" in out
        assert sorted(sums().values()) == [245_896, 18_059_974]
        revenue = 18_059_974 * Decimal("0.000005") + 245_896 * Decimal("0.00002")
        vendor = 18_059_974 * Decimal("0.0000025") + 245_896 * Decimal("0.00001")
        buckets: list[Any] = list(MarginBucket.objects.all())
        assert sum(bucket.revenue for bucket in buckets) == revenue
        assert sum(bucket.cost for bucket in buckets) == vendor
        assert sum(bucket.events for bucket in buckets) == sum(bucket.costed for bucket in buckets) == 8819
