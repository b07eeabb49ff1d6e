"""Payment providers' lists: the whole truth of the time they cover, loaded once, with their history."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction

from billing.models import PaymentStatement, ProviderPayment
from billing.outside.payments import FileProvider, load_payments
from core.errors import TollgateError
from tests.accounts.caller import Caller
from tests.billing.world import Tenant, make_tenant
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
_clock = standing_at(NOW)


def payment(pk: str, amount: str = "50", **fields: Any) -> dict[str, Any]:
    return {"id": pk, "amount": amount, "currency": "USD", "at": "2026-01-10T10:00:00Z"} | fields


def send(caller: Caller, *rows: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return caller.made("/v1/payment-statements", {"provider": "stripe", "payments": list(rows)} | fields)


def standing() -> dict[str, Decimal]:
    rows = ProviderPayment.objects.filter(superseded_at=None)
    return {row.external_id: row.amount for row in rows}


def test_a_list_is_loaded_once_however_often_it_is_sent(caller: Caller) -> None:
    rows = [payment("pi_1"), payment("re_1", "20", kind="refund"), payment("po_1", "30", kind="payout")]
    first, again = send(caller, *rows), send(caller, *rows)
    assert (first["rows"], first["added"], first["superseded"]) == (3, 3, 0)
    assert (again["rows"], again["added"], again["superseded"]) == (3, 0, 0)
    assert standing() == {"pi_1": Decimal(50), "re_1": Decimal(20), "po_1": Decimal(30)}


def test_what_a_newer_list_says_otherwise_or_leaves_out_is_superseded(caller: Caller) -> None:
    january = {"covers_from": "2026-01-01T00:00:00Z", "covers_until": "2026-01-15T00:00:00Z"}
    send(caller, payment("pi_1"), payment("pi_2"), payment("pi_0", at="2025-12-30T10:00:00Z"))
    newer = send(caller, payment("pi_1", "55"), **january)
    assert (newer["added"], newer["superseded"]) == (1, 2)
    assert standing() == {"pi_1": Decimal(55), "pi_0": Decimal(50)}, "December was not looked at again"
    rows = caller.get("/v1/provider-payments", provider="stripe").json["data"]
    assert len(rows) == 4
    assert {row["amount"] for row in rows if row["external_id"] == "pi_1"} == {"50", "55"}


def test_a_payment_may_name_who_paid(caller: Caller) -> None:
    tenant: Tenant = make_tenant()
    send(caller, payment("pi_1", billing_entity=tenant.payer.external_id))
    row = ProviderPayment.objects.get()
    assert (row.customer_id, row.billing_entity_id) == (tenant.customer.pk, tenant.payer.pk)


@pytest.mark.parametrize(
    ("row", "code", "param"),
    [
        (payment("pi 1"), "invalid_id", "payments[0].id"),
        (payment("pi_1", "0"), "invalid_amount", "payments[0].amount"),
        (payment("pi_1", "-5"), "invalid_amount", "payments[0].amount"),
        (payment("pi_1", currency="money"), "unknown_currency", "payments[0].currency"),
        (payment("pi_1", kind="gift"), "invalid_kind", "payments[0].kind"),
        (payment("pi_1", at="2026-02-10T10:00:00Z"), "in_future", "covers_until"),
        (payment("pi_1", billing_entity="nobody"), "not_found", None),
    ],
)
def test_a_wrong_row_refuses_the_list(
    caller: Caller, row: dict[str, Any], code: str, param: str | None
) -> None:
    answer = caller.post("/v1/payment-statements", {"provider": "stripe", "payments": [row]})
    assert 400 <= answer.status < 500
    assert (answer.error["code"], answer.error["param"]) == (code, param)
    assert not PaymentStatement.objects.exists()


def test_an_id_that_stands_twice_and_differently_is_refused(caller: Caller) -> None:
    body = {"provider": "stripe", "payments": [payment("pi_1"), payment("pi_1", "51")]}
    assert caller.post("/v1/payment-statements", body).error["code"] == "id_twice"
    assert send(caller, payment("pi_1"), payment("pi_1"))["rows"] == 1


def test_an_empty_list_says_which_time_it_covers(caller: Caller) -> None:
    send(caller, payment("pi_1"))
    assert caller.post("/v1/payment-statements", {"provider": "stripe", "payments": []}).status == 400
    covers = {"covers_from": "2026-01-01T00:00:00Z", "covers_until": "2026-01-15T00:00:00Z"}
    assert send(caller, **covers)["superseded"] == 1
    assert standing() == {}


def test_the_database_keeps_what_was_listed(caller: Caller) -> None:
    send(caller, payment("pi_1"))
    for rows, change in (
        (ProviderPayment.objects.all(), {"amount": 1}),
        (PaymentStatement.objects.all(), {"rows": 9}),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.update(**change)
        with pytest.raises(DatabaseError), transaction.atomic():
            rows.delete()


def test_a_file_is_a_provider(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "january.csv"
    path.write_text(
        "id,kind,amount,currency,at,fee\npi_1,payment,50.00,USD,2026-01-10T10:00:00Z,1.75\n"
        "re_1,refund,20,USD,2026-01-11T10:00:00Z,0\n"
    )
    call_command("import_payments", "bank", str(path), covers_until="2026-01-12T00:00:00Z")
    assert capsys.readouterr().out.startswith("2 rows from 2026-01-10T10:00:00Z until 2026-01-12T00:00:00Z")
    row = ProviderPayment.objects.get(kind="refund")
    assert (row.mark, row.amount, row.statement.name) == ("bank:re_1", Decimal(20), "january.csv")


def test_a_file_with_a_wrong_line_is_refused_and_the_line_named(tmp_path: Path) -> None:
    path = tmp_path / "january.csv"
    path.write_text(
        "id,amount,currency,at\npi_1,50,USD,2026-01-10T10:00:00Z\npi_2,x,USD,2026-01-10T10:00:00Z\n"
    )
    with pytest.raises(TollgateError, match="Line 3"):
        load_payments(FileProvider("bank", path))
    with pytest.raises(CommandError, match="Line 3"):
        call_command("import_payments", "bank", str(path))
    with pytest.raises(CommandError, match="provider is a word"):
        call_command("import_payments", "The Bank", str(path))
    assert not ProviderPayment.objects.exists()
