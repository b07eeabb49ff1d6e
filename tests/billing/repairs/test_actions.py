"""What repairs are: which fits what, what their previews' facts are made of, and that each has its kinds."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.models import Discrepancy
from billing.reconciliation.finding import Finding
from billing.reconciliation.links import LINKS
from billing.reconciliation.repairs.action import MANY, Work, Write, digest, text
from billing.reconciliation.repairs.actions import ACTIONS
from billing.reconciliation.repairs.running import FACTS, actions_for
from core.errors import Conflict

NOW = datetime(2026, 1, 20, tzinfo=UTC)
THERE = {(link.name, kind) for link in LINKS for kind in link.types}


def finding(**fields: Any) -> Finding:
    known: dict[str, Any] = {"type": "balance", "subject": "account wallet", "unit": "USD"}
    known |= {"expected": Decimal(1), "actual": Decimal(6), "customer_id": 1, "payer_id": 2}
    return Finding(**(known | fields))


def work(**fields: Any) -> Work:
    return Work(Discrepancy(), finding(**fields), NOW, "felix", "r")


def test_every_repair_fits_a_type_that_a_link_can_find() -> None:
    for action in ACTIONS:
        assert action.fits, action.name
        assert action.fits <= THERE, action.name
    assert len({action.name for action in ACTIONS}) == len(ACTIONS)


def test_no_repair_is_offered_of_what_a_caller_sent_or_was_charged() -> None:
    facts = {"event_changed", "charge_without_event", "charge_missing", "charge_amount", "charge_lines"}
    facts |= {"number_missing", "number_twice", "charged_twice", "key_without_event", "balance_told"}
    offered = {kind for action in ACTIONS for _, kind in action.fits}
    assert not facts & offered


def test_what_derives_rows_waits_for_the_facts_and_posting_does_not() -> None:
    assert {action.name for action in ACTIONS if not action.needs_facts} == {
        "correct_entries",
        "release_calls",
        "book_payment",
        "adjust_to_payment",
        "deliver_again",
    }
    assert {link.name for link in LINKS} >= FACTS - {"seals"}


def test_nothing_is_offered_of_what_is_resolved() -> None:
    row = Discrepancy(link="balances", type="balance", status="open")
    assert [action.name for action in actions_for(row)] == ["rebuild_balance"]
    row.status = "resolved"
    assert actions_for(row) == []


def test_the_facts_are_what_differs_and_not_where_it_stands() -> None:
    """Traffic moves both sides alike; the repair is still the same."""

    def facts(before: str, after: str, **fields: Any) -> str:
        one = work()
        one.note("account", "wallet", {"balance": Decimal(after)}, {"balance": Decimal(before)})
        return digest("rebuild_balance", finding(**fields), one.writes)

    first = facts("6", "1")
    assert facts("16", "11", expected=Decimal(11), actual=Decimal(16)) == first
    assert facts("6", "2") != first, "another change"
    assert facts("6", "1", actual=Decimal(7)) != first, "another difference"
    assert facts("6", "1", subject="account revenue") != first


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (Decimal("1.500"), "1.5"),
        (NOW, "2026-01-20T00:00:00Z"),
        (b"\x0a\xff", "0aff"),
        (True, "True"),
        (3, "3"),
        ("text", "text"),
    ],
)
def test_values_are_kept_as_they_are_shown(value: Any, shown: str) -> None:
    assert text(value) == shown


def test_a_new_row_has_no_before() -> None:
    one = work()
    one.note("transfer", "wallet to revenue", {"amount": Decimal(5), "reason": "correction"})
    assert one.writes == [
        Write(
            "transfer",
            "wallet to revenue",
            None,
            {"amount": "5", "reason": "correction"},
            {"amount": " -> 5", "reason": " -> correction"},
        )
    ]
    assert one.writes[0].shown()["before"] is None


def test_a_repair_that_would_write_everything_is_refused() -> None:
    one = work()
    for number in range(MANY):
        one.note("t", str(number), {"a": 1})
    with pytest.raises(Conflict) as refused:
        one.note("t", "one more", {"a": 1})
    assert refused.value.code == "too_many_rows"


def test_what_names_no_payer_writes_for_none() -> None:
    assert work().payer == (1, 2)
    with pytest.raises(Conflict) as refused:
        _ = work(payer_id=None).payer
    assert refused.value.code == "no_payer"
