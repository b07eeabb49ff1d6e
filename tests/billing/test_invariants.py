"""The check of the books finds what is broken on purpose."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection

from billing.charging import Authorized, CaptureTerms, Charged, Mode, charge_many
from core.sql import driver
from tests.billing.invariants import STATEMENTS, broken_invariants
from tests.billing.world import charge, make_meter, make_tenant, make_version, request

pytestmark = pytest.mark.django_db
COUNTERS = "charges are the counters' F"
DAMAGE = {
    "a balance is the sum of its entries": "UPDATE billing_ledgeraccount SET balance = balance + 1",
    "a payer's accounts sum to zero": (
        "UPDATE billing_ledgeraccount SET balance = balance + 1 WHERE kind = 'wallet'"
    ),
    "seq is gapless": "UPDATE billing_ledgeraccount SET seq = seq + 1 WHERE kind = 'wallet'",
    "seq is used once": "UPDATE metering_usageevent SET seq = 2",
    "an event has its key": "DELETE FROM metering_idempotencykey WHERE key = 'a'",
    "an authorization has its key": "UPDATE metering_idempotencykey SET event_id = id FROM"
    " billing_authorization a WHERE key = 'held' AND a.status = 'captured'",
    "what is held is the sum of open holds": "UPDATE billing_authorization SET held = held / 2",
    "a capture is the event that it names": (
        "UPDATE billing_authorization SET captured_amount = captured_amount + 1 WHERE status = 'captured'"
    ),
    "an event is charged once": (
        "UPDATE billing_charge SET event_id = (SELECT id FROM metering_usageevent"
        " WHERE idempotency_key = 'a')"
    ),
    "a reversed event costs nothing more": (
        "INSERT INTO billing_reversal (customer_id, billing_entity_id, cause, event_id, event_recorded_at,"
        " charge_id, seq, amount, currency, reason, created_by, recorded_at) SELECT customer_id,"
        " billing_entity_id, 'event', event_id, recorded_at, gen_random_uuid(), 9, 0, 'USD', 'r', '',"
        " recorded_at FROM billing_charge"
    ),
    "a charge is its transfers": ("UPDATE billing_transfer SET amount = amount + 1 WHERE reason = 'usage'"),
    "a charge is its lines, and paid for": "UPDATE billing_charge SET funding = '[]'",
    "a base fee or coupon is its transfers": (
        "INSERT INTO billing_transfer SELECT customer_id, billing_entity_id, 99, 0, recorded_at, 'base_fee',"
        " '', source, destination, 1, NULL FROM billing_transfer WHERE reason = 'usage' LIMIT 1"
    ),
    "periods and segments of a subscription do not overlap": (
        "INSERT INTO pricing_segment"
        " (customer_id, subscription_id, version_id, period_id, starts_at, ends_at)"
        " SELECT customer_id, subscription_id, version_id, period_id, starts_at + '1 day'::interval, ends_at"
        " FROM pricing_segment"
    ),
    "margin buckets are the sum of events and charges": "UPDATE billing_marginbucket SET events = events + 1",
    "a closing line is its transfers": (
        "INSERT INTO billing_transfer SELECT customer_id, billing_entity_id, 99, 0, recorded_at, 'close', '',"
        " source, destination, 1, NULL FROM billing_transfer WHERE reason = 'usage' LIMIT 1"
    ),
    "margin buckets hold what closes booked": (
        "INSERT INTO billing_marginbucket SELECT customer_id, billing_entity_id, hour, 0, 'period_close',"
        " 0, 0, 0, 0, 1, 0 FROM billing_marginbucket"
    ),
    "margin buckets hold what coupons took off": (
        "INSERT INTO billing_marginbucket SELECT customer_id, billing_entity_id, hour, 0, 'coupon',"
        " 0, 0, 0, 0, -1, 0 FROM billing_marginbucket"
    ),
    "a coupon's credit is in a closed period, and went back to who paid": (
        "INSERT INTO billing_couponcredit (customer_id, billing_entity_id, subscription_id, period_id, key,"
        " line_amount, amount, currency, funding, seq, recorded_at) SELECT customer_id, 1, subscription_id,"
        " id, 'tok', 3, 1, 'USD', '[]', 99, starts_at FROM pricing_billingperiod"
    ),
    "a period closes with its segments": (
        "UPDATE pricing_billingperiod SET status = 'closed', closed_at = starts_at"
    ),
    "a grant has left what its transfers left": "UPDATE billing_creditgrant SET remaining = remaining - 1",
    "a wallet holds no more than its grants": "UPDATE billing_creditgrant SET remaining = remaining / 2",
    "the balance answered is the balance then": "UPDATE billing_charge SET settled_after = 0",
    COUNTERS: "UPDATE pricing_counter SET quantity = quantity + 1, amount = amount + 1",
}


@pytest.fixture(autouse=True)
def _books() -> None:
    make_meter()
    version = make_version([{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.5"}])
    tenant = make_tenant(version, balance="10", overdraft=Decimal(0))
    for key in ("a", "b"):
        charge(tenant, key, properties={"tokens": 3})
    for key in ("held", "captured"):
        hold = charge_many([request(tenant, key, Mode.HOLD, properties={"tokens": 3})])[0]
    assert isinstance(hold, Authorized)
    capture = request(tenant, "capture", properties={"tokens": 3})
    capture.authorization = CaptureTerms(hold.customer_id, hold.id, tenant.workspace.pk)
    assert isinstance(charge_many([capture])[0], Charged)
    assert broken_invariants(driver()) == []


@pytest.mark.parametrize("sentence", DAMAGE)
def test_damage_is_found(sentence: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # no triggers, no keys between tables
        cursor.execute(DAMAGE[sentence])
        cursor.execute("SET session_replication_role = DEFAULT")
    assert any(found.startswith(sentence) for found in broken_invariants(driver()))


def test_each_check_is_tested() -> None:
    assert DAMAGE.keys() == {*STATEMENTS, COUNTERS}
