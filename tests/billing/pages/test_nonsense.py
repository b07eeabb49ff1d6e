"""Addresses that nobody would type: every page answers them, and never with an error of ours."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from urllib.parse import quote

import pytest
from django.test import Client

from billing.charging import Charged, Mode
from billing.limits.verbs import create_limit, owner_of
from billing.rollouts import announce_rollout, draft_rollout
from billing.simulations import request_simulation, run_simulations
from core.ids import hot_id
from pricing.models import PlanVersion, Rollout
from pricing.plans import apply_plan, publish_version
from tests.billing.pages.conftest import GRADUATED, NOW
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


PRICE_NAMES = [
    *("q", "sort", "page", "show", "export", "status", "state", "outcome", "grows_by", "of", "version"),
    *("customers", "plan", "start", "end", "currency", "old", "new", "with", "after", "show"),
    *("period", "reason", "level", "kind", "set_by", "cause", "all", "a-after", "a-export", "a-show"),
]


@pytest.fixture
def price_pages(acme: Tenant, version: PlanVersion) -> list[str]:
    """The addresses of prices: a change announced and one planned, a simulation, a customer's price."""
    charge(acme, "a", Mode.REPORT, properties={"tokens": 300})
    dearer = GRADUATED | {"included": "0"}
    second = publish_version(apply_plan(version.content | {"components": [dearer]}))
    soon = datetime(2026, 3, 1, tzinfo=UTC)
    announced = announce_rollout(draft_rollout(second, timing="on_date", effective_at=soon))
    planned = draft_rollout(second, timing="on_date", effective_at=soon)
    asked = request_simulation([second], starts_at=datetime(2026, 1, 1, tzinfo=UTC), ends_at=NOW)
    run_simulations()
    limit = create_limit(owner_of(billing_entity=acme.payer), Decimal(5))
    change, customer = f"/price-changes/{announced.public_id}", f"/customers/{acme.customer.public_id}"
    plan, member = version.plan.key, announced.members.get().public_id
    return [
        *("/plans", f"/plans/{plan}", f"/plans/{plan}/edit", "/plan-editor", "/subscriptions"),
        *(f"/plan-versions/{second.public_id}", "/plan-versions/compare", "/simulations", "/simulations/new"),
        *("/price-changes", "/price-changes/new", change, f"{change}/progress", f"{change}/make-whole"),
        *(f"{change}/members/{member}", f"/price-changes/{planned.public_id}"),
        *(f"/simulations/{asked.public_id}", f"/simulations/{asked.public_id}/progress", "/compare-metrics"),
        *(f"{customer}/price-change", f"{customer}/price-change/{second.public_id}"),
        *("/denials", "/overspend", "/holds", "/spend-limits", f"{customer}/limits"),
        *(f"{customer}/limits/new", f"{customer}/limits/{limit.public_id}"),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_no_query_breaks_a_page_of_prices(staff: Client, price_pages: list[str], seed: int) -> None:
    dice = Random(seed)
    for _ in range(60):
        chosen = dice.sample(PRICE_NAMES, dice.randrange(1, 6))
        query = "&".join(f"{name}={quote(dice.choice(VALUES))}" for name in chosen)
        address = f"{dice.choice(price_pages)}?{query}"
        response = staff.get(address)
        assert response.status_code in (200, 302, 404), address
        if response.streaming:
            assert response.getvalue(), address


@pytest.mark.parametrize("seed", range(4))
def test_no_form_of_prices_breaks_its_page(staff: Client, price_pages: list[str], seed: int) -> None:
    dice, names = Random(seed), (*PRICE_NAMES, "name", "timing", "effective_on", "notice_on", "from_versions")
    more = ("min_revenue", "max_revenue", "reason", "until", "versions", "text", "limit-tokens", "member")
    names = (*names, "owner", "meter", "amount", "window", "hours", "kind", "thresholds")
    before = set(Rollout.objects.values_list("pk", "status"))
    for _ in range(40):
        chosen = dice.sample([*names, *more], dice.randrange(1, 6))
        data = {name: dice.choice(VALUES) for name in chosen}
        address = dice.choice(price_pages)
        response = staff.post(address, data)
        assert response.status_code in (200, 302, 403, 404, 405, 422), (address, data)
    assert before <= set(Rollout.objects.values_list("pk", "status")), "nothing under way was changed"


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_pages_that_only_show_change_nothing_by_any_method(staff: Client, acme: Tenant, method: str) -> None:
    for address in ("/customers", f"/customers/{acme.customer.public_id}", "/events", "/charges"):
        response = getattr(staff, method)(address)
        assert response.status_code in (200, 405), address
