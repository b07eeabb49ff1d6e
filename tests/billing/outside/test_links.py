"""The outside against what was recorded: each difference found once, with its amount and its cause."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.models import ApiKey
from billing.reconciliation.links import gateway_counts, provider_payments
from core import clock
from tests.accounts.caller import Caller
from tests.billing.outside.outside_world import call_by_key, check_outside, count, listed, told
from tests.billing.world import Tenant, make_tenant
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 20, 12, 30, tzinfo=UTC)
NINE = datetime(2026, 1, 20, 9, tzinfo=UTC)
_clock = standing_at(NOW)


def test_counts_that_agree_are_clean(caller: Caller, tenant: Tenant, key: ApiKey) -> None:
    for number in range(3):
        call_by_key(caller, key, f"c{number}", NINE + timedelta(minutes=19 * number))
    count(caller, key, NINE, 2, source="one")
    count(caller, key, NINE, 1, source="other")
    checked = check_outside(gateway_counts.LINK)
    assert (checked.rows, checked.findings) == (2, [])


@pytest.mark.parametrize(
    ("counted", "found"),
    [
        (5, ("count_too_high", "5", "3", "-2")),
        (2, ("count_too_low", "2", "3", "1")),
        (0, ("count_too_low", "0", "3", "3")),
    ],
)
def test_a_count_too_high_or_too_low_is_found(
    caller: Caller, tenant: Tenant, key: ApiKey, counted: int, found: tuple[str, ...]
) -> None:
    for number in range(3):
        call_by_key(caller, key, f"c{number}", NINE)
    count(caller, key, NINE, counted)
    (finding,) = check_outside(gateway_counts.LINK).findings
    assert told([finding]) == [found]
    assert finding.subject == f"key {key.public_id} hour 2026-01-20T09:00:00Z"
    assert (finding.customer_id, finding.payer_id) == (tenant.customer.pk, None)
    assert finding.detail["payer"] == tenant.payer.public_id
    assert finding.detail["recorded"] == {"completion": 3}


def test_calls_of_which_nothing_came_are_found(caller: Caller, key: ApiKey) -> None:
    count(caller, key, NINE, 4)
    (finding,) = check_outside(gateway_counts.LINK).findings
    assert told([finding]) == [("count_too_high", "4", "0", "-4")]
    assert "not sent" in finding.cause


def test_an_hour_that_is_not_complete_is_not_compared(caller: Caller, key: ApiKey) -> None:
    twelve = NOW.replace(minute=0)
    count(caller, key, twelve, 4)
    assert check_outside(gateway_counts.LINK).findings == []
    clock.use(lambda: NOW + timedelta(hours=1))
    assert check_outside(gateway_counts.LINK).findings == [], "it was counted before the hour was over"
    count(caller, key, twelve, 4)
    assert told(check_outside(gateway_counts.LINK).findings) == [("count_too_high", "4", "0", "-4")]


def test_one_gateway_that_has_not_finished_the_hour_keeps_it_open(caller: Caller, key: ApiKey) -> None:
    count(caller, key, NINE, 4, source="one")
    until = (NINE + timedelta(minutes=30)).isoformat()
    count(caller, key, NINE, 1, source="other", counted_until=until)
    assert check_outside(gateway_counts.LINK).findings == []


def test_a_count_of_one_event_looks_at_that_event(caller: Caller, tenant: Tenant, key: ApiKey) -> None:
    call_by_key(caller, key, "a", NINE)
    call_by_key(caller, key, "b", NINE, event="other")
    count(caller, key, NINE, 1, event="completion")
    assert check_outside(gateway_counts.LINK).findings == []
    count(caller, key, NINE, 3, event="completion")
    assert told(check_outside(gateway_counts.LINK).findings) == [("count_too_high", "3", "1", "-2")]


def test_a_newer_count_mends_what_an_older_one_broke(caller: Caller, tenant: Tenant, key: ApiKey) -> None:
    call_by_key(caller, key, "a", NINE)
    count(caller, key, NINE, 7)
    assert check_outside(gateway_counts.LINK).findings
    count(caller, key, NINE, 1)
    assert check_outside(gateway_counts.LINK).findings == []


def test_what_waits_in_quarantine_is_named_as_the_cause(caller: Caller, tenant: Tenant, key: ApiKey) -> None:
    """Two calls came so late that they wait; of one more nothing is known."""
    old = NOW - timedelta(days=40)
    hour = old.replace(minute=0)
    for number in range(2):
        call_by_key(caller, key, f"late-{number}", old + timedelta(minutes=number))
    count(caller, key, hour, 3)
    (finding,) = check_outside(gateway_counts.LINK).findings
    assert told([finding]) == [("count_too_high", "3", "0", "-3")]
    assert finding.cause == ("2 of the missing calls wait in quarantine; of 1 more nothing is known here.")
    assert len(finding.detail["quarantined"]) == 2


def pay(caller: Caller, tenant: Tenant, amount: str, reference: str, **fields: Any) -> None:
    body = {"billing_entity": tenant.payer.public_id, "amount": amount, "reference": reference}
    caller.made("/v1/top-ups", body | fields)


def adjust(caller: Caller, tenant: Tenant, amount: str, reason: str) -> None:
    body = {"billing_entity": tenant.payer.public_id, "amount": amount, "reason": reason}
    caller.made("/v1/adjustments", body)


def booked_before(days: int) -> None:
    clock.use(lambda: NOW - timedelta(days=days))


def test_what_both_sides_have_alike_is_clean(caller: Caller, tenant: Tenant) -> None:
    booked_before(2)
    pay(caller, tenant, "50", "Card payment stripe:pi_1.")
    adjust(caller, tenant, "-20", "Paid back on request (stripe:re_1)")
    pay(caller, tenant, "9", "a bank transfer, which no list of ours has")
    clock.use(lambda: NOW)
    refund = {"id": "re_1", "amount": "20", "kind": "refund"}
    listed(caller, {"id": "pi_1", "amount": "50"}, refund, {"id": "po_1", "amount": "30", "kind": "payout"})
    checked = check_outside(provider_payments.LINK)
    assert (checked.rows, checked.findings) == (4, [])


@pytest.mark.parametrize(
    ("amounts", "payment", "found"),
    [
        ((), {"amount": "50"}, ("payment_missing_here", "50", "-", "-50")),
        ((), {"amount": "50", "kind": "refund"}, ("payment_missing_here", "-50", "-", "50")),
        (("50",), None, ("payment_missing_there", "-", "50", "50")),
        (("45",), {"amount": "50"}, ("payment_amount_differs", "50", "45", "-5")),
        (("50", "50"), {"amount": "50"}, ("payment_booked_twice", "50", "100", "50")),
        (("50",), {"amount": "50", "currency": "EUR"}, ("payment_currency_differs", "50", "0", "-50")),
    ],
)
def test_each_difference_of_payments_is_found(
    caller: Caller,
    tenant: Tenant,
    amounts: tuple[str, ...],
    payment: dict[str, Any] | None,
    found: tuple[str, ...],
) -> None:
    booked_before(2)
    for amount in amounts:
        pay(caller, tenant, amount, "stripe:pi_1")
    clock.use(lambda: NOW)
    listed(caller, *([] if payment is None else [{"id": "pi_1"} | payment]))
    (finding,) = check_outside(provider_payments.LINK).findings
    assert told([finding]) == [found]
    assert finding.subject == "payment stripe:pi_1"
    assert finding.payer_id == (tenant.payer.pk if amounts else None)
    assert len(finding.detail["booked"]) == len(amounts)


def test_a_payment_of_a_moment_ago_may_still_be_booked(caller: Caller, tenant: Tenant) -> None:
    just_now = (NOW - timedelta(minutes=20)).isoformat()
    listed(caller, {"id": "pi_1", "amount": "50", "at": just_now})
    assert check_outside(provider_payments.LINK).findings == []
    clock.use(lambda: NOW + timedelta(hours=1))
    assert len(check_outside(provider_payments.LINK).findings) == 1


def test_what_no_list_covers_is_not_missing_there(caller: Caller, tenant: Tenant) -> None:
    pay(caller, tenant, "50", "stripe:pi_now")
    pay(caller, tenant, "50", "paypal:p_1")
    listed(caller)
    assert check_outside(provider_payments.LINK).findings == [], "the list ends as the top-up begins"


def test_an_entry_that_names_the_payment_mends_what_differs(caller: Caller, tenant: Tenant) -> None:
    booked_before(2)
    pay(caller, tenant, "45", "stripe:pi_1")
    clock.use(lambda: NOW)
    listed(caller, {"id": "pi_1", "amount": "50"})
    adjust(caller, tenant, "5", "What was missing of stripe:pi_1")
    assert check_outside(provider_payments.LINK).findings == []


def test_a_top_up_of_credits_is_compared_by_its_price(caller: Caller) -> None:
    caller.post(
        "/v1/currencies",
        {"code": "CREDITS", "name": "n", "decimals": 0, "price": "0.01", "price_currency": "USD"},
    )
    tenant = make_tenant(currency="CREDITS")
    booked_before(2)
    pay(caller, tenant, "5000", "stripe:pi_1", price="50", price_currency="USD")
    clock.use(lambda: NOW)
    listed(caller, {"id": "pi_1", "amount": "50"})
    assert check_outside(provider_payments.LINK).findings == []
