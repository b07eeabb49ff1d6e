"""The page of every kind of discrepancy: both sides down to their rows, with links to more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from accounts.keys import register_fingerprint
from accounts.secrets import fingerprint
from billing.models import Discrepancy
from billing.reconciliation.links import LINKS
from billing.reports.sides import SideRow, Sides, sides_of
from billing.views.discrepancies import url_of
from tests.accounts.caller import caller_with
from tests.billing.outside.outside_world import call_by_key, count, listed
from tests.billing.pages.conftest import NOW, now_is
from tests.billing.pages.reading import read
from tests.billing.repairs.broken import corrupt, discrepancies, the_one
from tests.billing.world import Tenant, charge

pytestmark = pytest.mark.django_db


@pytest.fixture
def used(acme: Tenant) -> Tenant:
    """Acme with a charge of 2, of 300 tokens, whose cost is known."""
    cost = [{"vendor": "v", "amount": "0.5", "currency": "USD"}]
    charge(acme, "a", properties={"tokens": 300}, costs=cost)
    return acme


def shown(staff: Client, row: Discrepancy) -> str:
    return read(staff, f"/reconciliation/discrepancies/{row.public_id}")


CASES = {
    "a grant": (
        "UPDATE billing_creditgrant SET remaining = remaining - 3",
        "grant_remaining",
        ["1: top up, from cash", "2: usage, to revenue", "remaining of grt_", "USD -3.00"],
    ),
    "what is reserved": (
        "UPDATE billing_ledgeraccount SET held = held + 4 WHERE kind = 'wallet'",
        "held",
        ["reserved in the wallet", "USD 4.00"],
    ),
    "a transfer": (
        "UPDATE billing_transfer SET amount = amount + 1 WHERE reason = 'usage'",
        "usage_not_moved",
        ["ch_", "2: usage, wallet to revenue", "USD 3.00", "Correct the entries by new ones"],
    ),
    "a usage bucket": (
        "UPDATE metering_usagebucket SET quantity = quantity + 7",
        "bucket_quantity",
        ["completion a", "1 events", "307", "300"],
    ),
    "a margin bucket": (
        "UPDATE billing_marginbucket SET cost = cost + 1 WHERE event = 'completion'",
        "bucket_cost",
        ["completion a", "bucket of completion: 1 events", "USD 1.50", "USD 0.50"],
    ),
    "an event": (
        "UPDATE metering_usageevent SET properties = '{\"tokens\": 301}'",
        "event_changed",
        ["evt_", "There is no repair for it here"],
    ),
    "a charge": (
        "UPDATE billing_charge SET amount = amount + 1",
        "charge_not_its_lines",
        ["ch_", "There is no repair for it here"],
    ),
    "a counter": (
        "UPDATE pricing_counter SET quantity = quantity + 1",
        "counter_state",
        ["Write the counters anew", "No rows of its own"],
    ),
    "a key": ("DELETE FROM metering_idempotencykey", "key_missing", ["evt_", "Write the key again"]),
}


@pytest.mark.parametrize(("sql", "kind", "says"), CASES.values(), ids=CASES.keys())
def test_both_sides_of_what_is_broken(
    used: Tenant, staff: Client, sql: str, kind: str, says: list[str]
) -> None:
    corrupt(sql)
    text = shown(staff, the_one(kind, discrepancies()))
    for words in (*says, used.payer.name, "The second less the first"):
        assert words in text, words


def test_an_open_hold_is_a_row_of_its_side(used: Tenant, staff: Client) -> None:
    caller = caller_with("admin")
    raw = {"idempotency_key": "h", "event": "completion", "workspace": used.workspace.external_id}
    hold = caller.made("/v1/authorizations", raw | {"properties": {"tokens": 200}})
    corrupt("UPDATE billing_ledgeraccount SET held = held + 4 WHERE kind = 'wallet'")
    text = shown(staff, the_one("held", discrepancies()))
    assert f"{hold['id']} " in text
    assert "USD 2.00" in text
    assert "USD 6.00" in text


def test_what_a_gateway_counted_stands_beside_what_was_recorded(used: Tenant, staff: Client) -> None:
    caller = caller_with("admin")
    key = register_fingerprint(workspace=used.workspace, name="k", fingerprint=fingerprint("secret"))
    hour = (NOW - timedelta(days=40)).replace(minute=0)
    call_by_key(caller, key, "late", hour)
    count(caller, key, hour, 3, source="edge")
    text = shown(staff, the_one("count_too_high", discrepancies()))
    for words in ("edge counted", "waits in quarantine", "Release the calls that wait", "-3 calls"):
        assert words in text, words


def test_what_a_provider_lists_stands_beside_what_is_booked(used: Tenant, staff: Client) -> None:
    caller = caller_with("admin")
    now_is(NOW - timedelta(days=2))
    body = {"billing_entity": used.payer.public_id, "amount": "45", "reference": "stripe:pi_1"}
    top_up = caller.made("/v1/top-ups", body)["id"]
    now_is(NOW)
    listed(caller, {"id": "pi_1", "amount": "50", "reference": "order 7"})
    text = shown(staff, the_one("payment_amount_differs", discrepancies()))
    for words in ("payment pi_1 order 7", f"top-up {top_up} of USD", "USD 45.00", "USD -5.00"):
        assert words in text, words


def test_many_rows_are_cut_and_the_rest_is_counted(acme: Tenant, staff: Client) -> None:
    for number in range(60):
        charge(acme, f"c{number}", properties={"tokens": 101 if not number else 1})
    corrupt("UPDATE billing_ledgeraccount SET balance = balance + 5 WHERE kind = 'wallet'")
    row = the_one("balance", discrepancies())
    sides: Sides = sides_of(row)
    assert (len(sides.left), sides.left_out) == (50, 11)
    assert "And 11 more before these." in shown(staff, row)


def test_what_no_page_shows_has_no_link() -> None:
    assert url_of(SideRow("x", None)) == ""
    assert url_of(SideRow("x", None, None, ("no_such_page", ("x",)))) == ""
    assert url_of(SideRow("x", None, None, ("charge", ("ch_1",)))) == "/charges/ch_1"


def test_a_link_that_is_gone_still_has_its_page(used: Tenant, staff: Client) -> None:
    corrupt("UPDATE billing_ledgeraccount SET balance = balance + 5 WHERE kind = 'wallet'")
    row = the_one("balance", discrepancies())
    corrupt("UPDATE billing_discrepancy SET link = 'forgotten', type = 'long_ago' WHERE type = 'balance'")
    text = shown(staff, Discrepancy.objects.get(pk=row.pk))
    assert "long ago" in text
    assert {link.name for link in LINKS}.isdisjoint({"forgotten"})
