"""Months of a customer through the public API, and their proof: each charge, all of it, by an outsider."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from billing.models import Seal
from billing.seals import check_export
from tests.reconciliation.books import Books

pytestmark = pytest.mark.django_db


@pytest.fixture
def books() -> Books:
    """March and April: a closed period, coupons, a late cost, holds, a lease, a reversal; all sealed."""
    made = Books()
    made.run_due()
    return made


def verified() -> dict[str, Any]:
    out = StringIO()
    call_command("verify", "--json", stdout=out, stderr=StringIO())
    summary: dict[str, Any] = json.loads(out.getvalue())
    return summary


def charges(books: Books) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = books.api.get("/v1/charges?limit=100").json()["data"]
    return rows


def test_every_charge_comes_out_again_from_the_versions_that_it_names(books: Books) -> None:
    rows = charges(books)
    assert len(rows) >= 8
    for row in rows:
        proof = books.api.post(f"/v1/charges/{row['id']}/recompute", {}).json()
        assert (proof["matches"], proof["differences"], proof["problem"]) == (True, [], None)
        assert proof["stored"] == proof["recomputed"]
        assert [each["position"] for each in proof["rated_from"]] == [
            line["position"] for line in row["lines"]
        ]
        assert all(len(each["content_hash"]) == 64 for each in proof["rated_from"])


def test_all_of_it_comes_out_again_and_every_row_is_sealed(books: Books) -> None:
    summary = verified()
    assert summary["differences"] == 0
    assert summary["charges"] == len(charges(books))
    assert summary["sealed_rows"] == sum(Seal.objects.values_list("rows", flat=True))


def test_an_outsider_checks_an_export_with_one_file(books: Books, tmp_path: Path) -> None:
    export, heads = tmp_path / "export", tmp_path / "heads"
    call_command("export_seals", "--out", str(heads))
    call_command("export_ledger", "--payer", books.payer_id, "--out", str(export), stderr=StringIO())
    command = [sys.executable, "-I", "-S", check_export.__file__, str(export), "--heads", str(heads)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    (row,) = books.api.get("/v1/seals?latest=true").json()["data"]
    assert result.stdout.rstrip().endswith(f"head {row['head']}")
