"""The comparison of a provider's list with what names its payments: pure, case by case."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.reconciliation.links.provider_payments import (
    AMOUNT,
    CURRENCY,
    MISSING_HERE,
    MISSING_THERE,
    SETTLING,
    TWICE,
    Booked,
    Listed,
    differences,
)

NOW = datetime(2026, 1, 20, 12, tzinfo=UTC)
OLD = NOW - timedelta(days=2)
MARK = ("stripe", "pi_1")


def listed(amount: str, currency: str = "USD", at: datetime = OLD, kind: str = "payment") -> Listed:
    return Listed(Decimal(amount), currency, at, None, None, kind, "order 7")


def booked(amount: str, currency: str = "USD", *, is_covered: bool = True, pk: int = 1) -> Booked:
    return Booked("top-up", pk, pk, 5, 6, Decimal(amount), currency, OLD, is_covered)


CASES: list[tuple[str, Listed | None, list[Booked], tuple[str, str, str] | None]] = [
    ("alike", listed("50"), [booked("50")], None),
    ("in two parts", listed("50"), [booked("30"), booked("20")], None),
    ("with its correction", listed("50"), [booked("45"), booked("5")], None),
    ("a refund", listed("-20", kind="refund"), [booked("-20")], None),
    ("booked and taken back, and listed nowhere", None, [booked("50"), booked("-50")], None),
    ("covered by no list", None, [booked("50", is_covered=False)], None),
    ("partly covered by no list", None, [booked("50"), booked("1", is_covered=False)], None),
    ("credits of the operator", listed("50"), [booked("5000", "CREDITS")], None),
    ("credits that no list has", None, [booked("5000", "CREDITS")], None),
    ("just now", listed("50", at=NOW - SETTLING + timedelta(seconds=1)), [], None),
    ("an hour ago", listed("50", at=NOW - SETTLING), [], (MISSING_HERE, "USD", "-50")),
    ("missing here", listed("50"), [], (MISSING_HERE, "USD", "-50")),
    ("a refund missing here", listed("-20", kind="refund"), [], (MISSING_HERE, "USD", "20")),
    ("missing there", None, [booked("50")], (MISSING_THERE, "USD", "50")),
    ("too little", listed("50"), [booked("45")], (AMOUNT, "USD", "-5")),
    ("too much", listed("50"), [booked("50.01")], (AMOUNT, "USD", "0.01")),
    ("a refund booked as a payment", listed("-20", kind="refund"), [booked("20")], (AMOUNT, "USD", "40")),
    ("twice", listed("50"), [booked("50"), booked("50", pk=2)], (TWICE, "USD", "50")),
    ("three times", listed("50"), [booked("50", pk=n) for n in range(3)], (TWICE, "USD", "100")),
    ("another currency", listed("50", "EUR"), [booked("50")], (CURRENCY, "EUR", "-50")),
    (
        "another currency, taken back and booked anew",
        listed("50", "EUR"),
        [booked("50"), booked("-50"), booked("50", "EUR")],
        None,
    ),
]


@pytest.mark.parametrize(("payment", "rows", "told"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_each_case_is_told_with_its_amount(
    payment: Listed | None, rows: list[Booked], told: tuple[str, str, str] | None
) -> None:
    found = differences({} if payment is None else {MARK: payment}, {MARK: rows} if rows else {}, NOW)
    if told is None:
        assert found == []
        return
    (finding,) = found
    assert (finding.type, finding.unit, finding.difference) == (told[0], told[1], Decimal(told[2]))
    assert finding.subject == "payment stripe:pi_1"
    assert (finding.customer_id, finding.payer_id) == ((5, 6) if rows else (None, None))


def test_the_detail_has_both_sides() -> None:
    (finding,) = differences({MARK: listed("50")}, {MARK: [booked("45")]}, NOW)
    assert finding.detail == {
        "provider": "stripe",
        "payment": "pi_1",
        "listed": {
            "kind": "payment",
            "amount": "50",
            "currency": "USD",
            "at": "2026-01-18T12:00:00Z",
            "reference": "order 7",
        },
        "booked": [
            {
                "kind": "top-up",
                "id": 1,
                "seq": 1,
                "amount": "45",
                "currency": "USD",
                "at": "2026-01-18T12:00:00Z",
            }
        ],
    }


def test_findings_come_in_the_order_of_their_marks() -> None:
    payments = {("stripe", name): listed("1") for name in ("pi_2", "pi_1")} | {("bank", "b"): listed("1")}
    subjects = [finding.subject for finding in differences(payments, {}, NOW)]
    assert subjects == ["payment bank:b", "payment stripe:pi_1", "payment stripe:pi_2"]
