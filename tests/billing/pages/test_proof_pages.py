"""The pages of seals and erasures: how far each chain has come, and what an outsider takes away of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.users import add_member, create_user
from billing.erasures import request_erasure, run_erasures
from billing.models import Seal
from billing.reconciliation.runs import request_run, run_unfinished
from billing.seals import check_export, seal_due
from billing.views import seals
from tests.billing.pages.conftest import NOW, Sign, signed
from tests.billing.pages.reading import page, read, rows
from tests.billing.repairs.broken import corrupt
from tests.billing.world import Tenant, charge

pytestmark = pytest.mark.django_db
BUDGETS: Final[dict[str, int]] = json.loads(
    (Path(__file__).resolve().parents[2] / "query_counts.json").read_text()
)["reconciliation pages"]


@pytest.fixture
def sealed(acme: Tenant) -> Tenant:
    """Acme with a top-up and a call of Ada's that are sealed, and a call that is not yet."""
    charge(acme, "a", properties={"tokens": 300, "ip": "10.0.0.1"}, user="ada")
    seal_due(NOW)
    charge(acme, "b", properties={"tokens": 1})
    return acme


def downloaded(client: Client, path: str) -> bytes:
    response: Any = client.get(path)
    assert response.status_code == 200
    return b"".join(response.streaming_content)


def test_each_payer_shows_how_far_it_is_sealed(sealed: Tenant, staff: Client) -> None:
    (row,) = rows(staff, "/seals?export=csv")
    head = bytes(Seal.objects.get().head).hex()
    shown = (row["state"], row["end_seq"], row["end_sealed"], row["unsealed"], row["head"], row["proven_seq"])
    assert shown == ("unsealed", "3", "2", "1", head, "")
    text = read(staff, "/seals")
    assert "Seals next 3 2 1 15 Jan 2026" in text
    assert "All checked Never" in text
    seal_due(NOW)
    request_run("full")
    run_unfinished()
    (row,) = rows(staff, "/seals?export=csv")
    assert (row["state"], row["unsealed"], row["proven_seq"]) == ("sealed", "0", "3")


def test_a_row_that_does_not_fit_is_counted(sealed: Tenant, staff: Client) -> None:
    corrupt("UPDATE billing_transfer SET reference = 'x' WHERE seq = 2")
    request_run("full")
    run_unfinished()
    (row,) = rows(staff, "/seals?export=csv")
    assert (row["state"], row["proven_seq"]) == ("broken", "")
    assert "1 not fitting" in read(staff, "/seals")


def test_who_pays_nothing_yet_is_there_without_a_seal(acme: Tenant, staff: Client) -> None:
    text = read(staff, "/seals")
    assert "Last seal Never" in text
    assert "/export" not in page(staff, "/seals").partition("<table")[2]


def test_what_is_downloaded_is_what_an_auditor_checks(sealed: Tenant, staff: Client, tmp_path: Path) -> None:
    export, heads = tmp_path / "export.jsonl", tmp_path / "heads.jsonl"
    export.write_bytes(downloaded(staff, f"/seals/{sealed.payer.public_id}/export"))
    heads.write_bytes(downloaded(staff, "/seals/heads"))
    assert check_export.main([str(export), "--heads", str(heads)]) == 0
    assert b'"ada"' not in export.read_bytes()  # without quotes, a hash may have it
    assert b"10.0.0.1" not in export.read_bytes()


def test_a_large_payer_is_exported_by_the_command(
    sealed: Tenant, staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seals, "EXPORTED_MAX", 1)
    answer = staff.get(f"/seals/{sealed.payer.public_id}/export", follow=True)
    assert "manage.py export_ledger" in answer.content.decode()
    assert f"{sealed.payer.public_id}/export" not in page(staff, "/seals")


def test_an_erasure_shows_what_went_and_what_had_to_stay(sealed: Tenant, staff: Client) -> None:
    request_erasure(
        customer=sealed.customer, user="ada", properties=["ip", "tokens"], reason="Her wish", by="felix"
    )
    assert rows(staff, "/erasures?export=csv")[0]["erasure_status"] == "waiting"
    run_erasures(NOW)
    (row,) = rows(staff, "/erasures?export=csv")
    assert (row["erasure_status"], row["erasure_events"], row["erasure_parts"]) == ("done", "1", "2")
    assert row["kept"] == "completion.tokens: the meter tokens reads it"
    text = read(staff, "/erasures")
    assert "Her wish Done" in text
    assert "ada" not in text.partition("Had to stay")[2].split()


def test_members_find_no_such_pages_and_readers_download_nothing(sealed: Tenant, sign_in: Sign) -> None:
    export = f"/seals/{sealed.payer.public_id}/export"
    reader = sign_in("read_only")
    assert "Download" not in read(reader, "/seals")
    for path in (export, "/seals/heads"):
        assert reader.get(path).status_code == 403
    user = create_user(email="member@acme.example")
    add_member(user, sealed.customer, "owner")
    member = signed(user)
    for path in (export, "/seals/heads", "/seals", "/erasures"):
        assert member.get(path).status_code == 404


def test_pages_keep_within_their_statements(
    sealed: Tenant, staff: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for name in ("seals", "erasures"):
        with django_assert_max_num_queries(BUDGETS[name]):
            page(staff, f"/{name}")
