"""Every list of the API: pages of any size hold the same rows in the same order, and end where they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.models import MarginAlert
from billing.wallets import adjust, grant_credit, top_up
from tests.accounts.caller import caller_with
from tests.api.doors import LISTS, World, bodies, make_world
from tests.api.reconciliation_doors import make_discrepancy
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
ROWS = 3
FILLED = [name for name in LISTS if name not in {"usage-ceilings", "closing-lines"}]
"""What the two are made of takes a price change and a closed period; their own tests have both."""


@pytest.fixture
def world() -> World:
    """At least three rows of everything that is listed."""
    world = make_world()
    caller, payer, customer = world.caller, world.tenant.payer, world.tenant.customer.public_id
    for number in range(ROWS):
        limit = {"workspace": world.workspace, "amount": "0.02", "kind": "soft", "thresholds": [50]}
        caller.made("/v1/spend-limits", limit | {"window": "rolling", "hours": number + 1})
        charge(world.tenant, f"charged-{number}", properties={"tokens": 1})
        charge(world.tenant, f"denied-{number}", properties={"tokens": 10**7})
        caller.made("/v1/authorizations", world.event(f"held-{number}"))
        caller.made("/v1/leases", {"workspace": world.workspace, "amount": "1"})
        top_up(payer, Decimal(1))
        grant_credit(payer, Decimal(1))
        adjust(payer, Decimal(1), reason="r")
        make_meter(f"meter{number}")
        component = {"key": "c", "meter": f"meter{number}", "model": "per_unit", "unit_price": "1"}
        of_its_own = make_tenant(make_version([component])).payer
        floor = {"billing_entity": of_its_own.public_id, "min_margin": "0.2"}
        assert caller.post("/v1/margin-floors", floor).status in (200, 201)
        rule = {"scope": "model", "subject": f"m{number}", "points": "5", "days": 7}
        caller.made("/v1/margin-rules", rule)
        bill = {"vendor": f"v{number}", "month": "2026-01", "currency": "USD", "total": "1"}
        caller.made("/v1/vendor-bills", bill)
        _alert(number)
        make_discrepancy(world.tenant.customer.pk, number + 1)
        lost = {"idempotency_key": f"lost-{number}", "event": "completion", "workspace": "nowhere"}
        caller.post("/v1/events", {"events": [lost]})
        caller.made("/v1/organizations", {"customer": customer, "name": f"o{number}"})
        caller.made("/v1/api-keys", {"workspace": world.workspace, "name": f"k{number}"})
        caller.made("/v1/integration-keys", {"name": f"k{number}", "scopes": ["read"]})
        rate = {"vendor": f"v{number}", "event": "e", "unit_cost": "1", "currency": "USD"}
        caller.made("/v1/cost-rates", rate | {"starts_at": "2026-01-01T00:00:00Z"})
        day = {"base": "EUR", "quote": "USD", "rate": "1", "starts_at": f"2026-01-0{number + 1}T00:00:00Z"}
        caller.made("/v1/exchange-rates", day)
        unit = {"code": f"CRD{number}", "name": "n", "decimals": 0, "price": "1", "price_currency": "USD"}
        caller.post("/v1/currencies", unit)
        caller.made("/v1/coupons", {"key": f"c{number}", "name": "n", "percent": "10"})
        reversal = {"idempotency_key": f"r{number}", "event": f"charged-{number}", "reason": "r"}
        caller.made("/v1/reversals", reversal | {"customer": customer})
        made = bodies(world)
        caller.made("/v1/rollouts", made["POST", "/v1/rollouts"])
        simulation = made["POST", "/v1/simulations"]
        assert caller.post("/v1/simulations", simulation | {"cohort": {}}).status in (201, 202)
    return world


def _alert(number: int) -> None:
    """What a rule on falling margins tells once in its window."""
    instant = datetime(2026, 1, 1, number, tzinfo=UTC)
    MarginAlert.objects.create(
        key=f"fall/{number}",
        kind=MarginAlert.Kind.FALL,
        rule_id=1,
        starts_at=instant,
        ends_at=instant + timedelta(days=7),
        currency="USD",
        revenue=10,
        cost=5,
        events=1,
        costed=1,
        bound=5,
        detail={},
        raised_at=instant,
    )


def page(world: World, name: str, **params: str) -> dict[str, Any]:
    answer = world.caller.get(f"/v1/{name}", **params)
    assert answer.status == 200, answer.body
    body: dict[str, Any] = answer.json
    assert set(body) == {"data", "has_more", "next_cursor"}
    assert body["has_more"] == (body["next_cursor"] is not None)
    return body


def walk(world: World, name: str, limit: int, **params: str) -> list[list[dict[str, Any]]]:
    pages = [page(world, name, limit=str(limit), **params)]
    while (cursor := pages[-1]["next_cursor"]) is not None:
        assert len(pages[-1]["data"]) == limit
        pages.append(page(world, name, limit=str(limit), cursor=cursor, **params))
    return [one["data"] for one in pages]


def test_pages_of_any_size_hold_the_same_rows_in_the_same_order_everywhere(world: World) -> None:
    for name in FILLED:
        rows = page(world, name, limit="500")["data"]
        assert len(rows) >= ROWS, name
        for limit in {1, 2, len(rows) - 1, len(rows), len(rows) + 1}:
            pages = walk(world, name, limit)
            assert [row for one in pages for row in one] == rows, (name, limit)
            assert len(pages) == -(-len(rows) // limit), (name, limit)


def test_a_cursor_is_of_its_own_list_and_may_not_be_changed(world: World) -> None:
    for number, name in enumerate(FILLED):
        cursor = page(world, name, limit="1")["next_cursor"]
        for changed in (cursor[:-1], cursor + "A", cursor.replace(":", ";"), cursor[1:], "a:b:c", "é", "."):
            answer = world.caller.get(f"/v1/{name}", cursor=changed)
            error = answer.error
            assert (answer.status, error["code"], error["param"]) == (400, "invalid_cursor", "cursor"), name
        assert world.caller.get(f"/v1/{FILLED[number - 1]}", cursor=cursor).status == 400, name


def test_a_limit_is_a_whole_number_from_1_to_500_everywhere() -> None:
    caller = caller_with("read", "admin")
    for name in LISTS:
        for limit in ("0", "501", "-1", "1.0", "1e2", "٣", "+5", " 5", "0x5", "9" * 5000):
            answer = caller.get(f"/v1/{name}", limit=limit)
            error = answer.error
            assert (answer.status, error["code"], error["param"]) == (400, "invalid_limit", "limit")


def test_a_row_that_comes_between_two_pages_moves_no_other(world: World) -> None:
    before = [row["id"] for row in page(world, "customers", limit="500")["data"]]
    first = page(world, "customers", limit="2")
    world.caller.made("/v1/customers", {"name": "Late"})
    rest = walk_from(world, "customers", first["next_cursor"])
    assert [row["id"] for row in first["data"]] + rest == before
    assert len(page(world, "customers", limit="500")["data"]) == len(before) + 1


def walk_from(world: World, name: str, cursor: str | None) -> list[str]:
    found: list[str] = []
    while cursor is not None:
        one = page(world, name, limit="2", cursor=cursor)
        found += [row["id"] for row in one["data"]]
        cursor = one["next_cursor"]
    return found


FILTERS = [
    ("organizations", "customer", "customer"),
    ("workspaces", "customer", "customer"),
    ("billing-entities", "customer", "customer"),
    ("payer-assignments", "customer", "customer"),
    ("api-keys", "customer", "customer"),
    ("subscriptions", "customer", "customer"),
    ("charges", "customer", "customer"),
    ("charges", "billing_entity", "payer"),
    ("charges", "workspace", "workspace"),
    ("denials", "billing_entity", "payer"),
    ("top-ups", "billing_entity", "payer"),
    ("credit-grants", "billing_entity", "payer"),
    ("adjustments", "billing_entity", "payer"),
    ("subscriptions", "billing_entity", "payer"),
    ("payer-assignments", "billing_entity", "payer"),
    ("payer-assignments", "workspace", "workspace"),
    ("api-keys", "workspace", "workspace"),
]


def test_a_filter_by_owner_shows_its_rows_and_no_others(world: World) -> None:
    other = make_tenant(None, balance="3", overdraft=Decimal(0))
    adjust(other.payer, Decimal(1), reason="r")
    world.caller.made("/v1/api-keys", {"workspace": other.workspace.external_id, "name": "k"})
    world.caller.made("/v1/organizations", {"customer": other.customer.public_id, "name": "o"})
    for name, param, of in FILTERS:
        mine, theirs = (ids(world, name, param, reference(one, of)) for one in (world.tenant, other))
        assert mine, name
        assert len(set(mine)) == len(mine), name
        assert not set(mine) & set(theirs), name
        every = {row["id"] for row in page(world, name, limit="500")["data"]}
        assert set(mine) | set(theirs) <= every, name


def reference(tenant: Tenant, of: str) -> str:
    row: Any = getattr(tenant, of)
    return str(row.public_id)


def ids(world: World, name: str, param: str, value: str) -> list[str]:
    return [row["id"] for rows in walk(world, name, 2, **{param: value}) for row in rows]


def test_an_owner_that_is_not_there_is_404_everywhere(world: World) -> None:
    nobody = ("nobody", "cus_", "be_zzzzzzzz", "ws_00000000", "x" * 5000, "' OR 1=1 --", "%")
    for name, param, _ in FILTERS:
        for value in nobody:
            answer = world.caller.get(f"/v1/{name}", **{param: value})
            assert (answer.status, answer.error["type"]) == (404, "not_found"), (name, param, value)
