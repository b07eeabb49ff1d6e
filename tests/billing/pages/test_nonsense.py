"""Addresses that nobody would type: every page answers them, and never with an error of ours."""

from __future__ import annotations

from random import Random
from urllib.parse import quote

import pytest
from django.test import Client

from billing.charging import Charged, Mode
from core.ids import hot_id
from tests.billing.world import Tenant, charge

pytestmark = pytest.mark.django_db
NAMES = [
    *("q", "sort", "page", "after", "before", "show", "live", "export", "period", "start", "end", "status"),
    *(
        "currency",
        "settlement",
        "below_cost",
        "customer",
        "name",
        "user",
        "trace",
        "payer",
        "workspace",
        "key",
    ),
    *("key", "flag", "kind", "proof", "d-after", "d-reason", "d-payer", "d-export", "o-before"),
]
VALUES = [
    *(
        "",
        "0",
        "-1",
        "1",
        "x",
        "csv",
        "custom",
        "last_month",
        "31d",
        "1h",
        "on",
        "unmatched",
        "USD",
        "active",
    ),
    *("2026-01-01", "9999-12-31", "0001-01-01", "2026-02-30", "-revenue", "order.revenue", "__class__", "pk"),
    *("\x00", "\x00a", "'", '"', "<script>", "%s", "%(x)s", "{}", "\ud7ff", "💸", "é" * 300, "a" * 5000),
    *("9" * 400, "1e400", "NaN", "-Infinity", "WyJ4Il0", "W251bGwsbnVsbF0", "zzzzzzzzzzzzzzzzzzzzzzzzzz"),
    *(
        "cus_00000001",
        "cus_zzzzzzzzzzzzzzz",
        "be_1",
        "key_00000001",
        "ws_00000000",
        "customer_name",
        "event_user",
    ),
]


@pytest.mark.parametrize("seed", range(8))
def test_no_query_breaks_a_page(staff: Client, acme: Tenant, seed: int) -> None:
    outcome = charge(acme, "a", Mode.REPORT, properties={"tokens": 300}, trace="job")
    assert isinstance(outcome, Charged)
    customer, dice = acme.customer.public_id, Random(seed)
    tabs = ("", "/latest", "/charges", "/payers", "/workspaces", "/keys", "/grants", "/denials", "/audit")
    addresses = [
        *("/customers", "/events", "/charges", f"/traces/{customer}/job"),
        f"/charges/{hot_id('ch', outcome.customer_id, outcome.id)}",
        f"/events/{hot_id('evt', outcome.customer_id, outcome.id)}",
        *(f"/customers/{customer}{tab}" for tab in tabs),
    ]
    for _ in range(60):
        chosen = dice.sample(NAMES, dice.randrange(1, 6))
        query = "&".join(f"{name}={quote(dice.choice(VALUES))}" for name in chosen)
        address = f"{dice.choice(addresses)}?{query}"
        response = staff.get(address)
        assert response.status_code in (200, 404), address
        if response.streaming:
            assert response.getvalue(), address


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_pages_that_only_show_change_nothing_by_any_method(staff: Client, acme: Tenant, method: str) -> None:
    for address in ("/customers", f"/customers/{acme.customer.public_id}", "/events", "/charges"):
        response = getattr(staff, method)(address)
        assert response.status_code in (200, 405), address
