"""Doors that move money, knocked at by many at once with one Idempotency-Key: the money moves once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from billing.charging import charge_many
from billing.charging.requests import Mode
from billing.models import Adjustment, Charge, CreditGrant, TopUp, Transfer
from core.models import IdempotentRequest
from pricing.models import PlanVersion, Subscription
from tests.api_client import Api
from tests.billing.world import Tenant, balance, make_meter, make_tenant, make_version, request
from tests.concurrency.crowd import at_once

PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
MANY = 12
Body = Callable[[Tenant, PlanVersion], dict[str, Any]]
DOORS: dict[str, tuple[Body, type[Any], str, str]] = {
    # path: body, what it makes, a field and value that make another request of it
    "top-ups": (lambda t, v: {"billing_entity": t.payer.public_id, "amount": "5"}, TopUp, "amount", "6"),
    "credit-grants": (
        lambda t, v: {"billing_entity": t.payer.public_id, "amount": "5", "kind": "promotional"},
        CreditGrant,
        "amount",
        "6",
    ),
    "adjustments": (
        lambda t, v: {"billing_entity": t.payer.public_id, "amount": "-5", "reason": "r"},
        Adjustment,
        "reason",
        "s",
    ),
    "subscriptions": (
        lambda t, v: {
            "billing_entity": t.payer.public_id,
            "plan_version": v.public_id,
            "external_id": "y",
        },
        Subscription,
        "external_id",
        "x",
    ),
}


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version([PER_TOKEN], base_fees=[{"key": "platform", "amount": "2", "timing": "in_advance"}])


@pytest.fixture
def admin(transactional_db: None) -> Api:
    return Api("admin")


@pytest.mark.parametrize("path", DOORS)
def test_many_with_one_key_get_one_answer_and_move_money_once(
    version: PlanVersion, admin: Api, path: str
) -> None:
    make, model, _, _ = DOORS[path]
    tenant = make_tenant(balance="100")
    body, before = make(tenant, version), Transfer.objects.count()
    rows = model.objects.count()
    work = partial(admin.post, f"/v1/{path}", body, **{"Idempotency-Key": "one"})
    answers = at_once([work] * MANY)
    assert Counter(answer.status_code for answer in answers) == {201: MANY}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == MANY - 1
    assert model.objects.count() == rows + 1
    assert Transfer.objects.count() == before + 1
    assert IdempotentRequest.objects.count() == 1


@pytest.mark.parametrize("path", DOORS)
def test_of_two_bodies_under_one_key_one_is_taken_and_the_other_hears_what_differs(
    version: PlanVersion, admin: Api, path: str
) -> None:
    make, model, field, value = DOORS[path]
    tenant = make_tenant(balance="100")
    body, rows = make(tenant, version), model.objects.count()
    works = [
        partial(admin.post, f"/v1/{path}", one, **{"Idempotency-Key": "one"})
        for one in [body, body | {field: value}] * (MANY // 2)
    ]
    answers = at_once(works)
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {201: MANY // 2, 409: MANY // 2}
    errors = [answer.json()["error"] for answer in answers if answer.status_code == 409]
    assert {(error["code"], error["param"]) for error in errors} == {("idempotency_key_reused", field)}
    assert model.objects.count() == rows + 1


@pytest.mark.parametrize("path", [path for path in DOORS if path != "subscriptions"])
def test_without_a_key_each_request_is_one_of_its_own(version: PlanVersion, admin: Api, path: str) -> None:
    make, model, _, _ = DOORS[path]
    tenant = make_tenant(balance="100")
    body, rows = make(tenant, version), model.objects.count()
    answers = at_once([partial(admin.post, f"/v1/{path}", body)] * MANY)
    assert Counter(answer.status_code for answer in answers) == {201: MANY}
    assert len({answer.json()["id"] for answer in answers}) == MANY
    assert model.objects.count() == rows + MANY


def test_one_key_at_two_doors_is_two_keys(version: PlanVersion, admin: Api) -> None:
    tenant = make_tenant(balance="100")
    works = [
        partial(admin.post, f"/v1/{path}", make(tenant, version), **{"Idempotency-Key": "one"})
        for path, (make, *_) in DOORS.items()
    ]
    assert [answer.status_code for answer in at_once(works)] == [201] * len(DOORS)
    assert balance(tenant) == Decimal("100") + 5 + 5 - 5 - 2


def test_of_many_subscriptions_at_once_without_a_key_one_prices_the_meter(
    version: PlanVersion, admin: Api
) -> None:
    tenant = make_tenant(balance="100")
    body = {"billing_entity": tenant.payer.public_id, "plan_version": version.public_id}
    statuses = Counter(
        answer.status_code for answer in at_once([partial(admin.post, "/v1/subscriptions", body)] * MANY)
    )
    assert statuses[201] == 1
    assert statuses[201] + statuses[409] + statuses[422] == MANY
    assert balance(tenant) == 98


@pytest.mark.parametrize("mode", [Mode.ASK, Mode.REPORT])
def test_two_writers_of_overlapping_batches_charge_every_key_once(version: PlanVersion, mode: Mode) -> None:
    """Past the queue that callers of one process share: as two processes would."""
    tenants = [make_tenant(version, balance="100") for _ in range(5)]

    def batch(first: int, step: int) -> list[Any]:
        numbers = range(first, first + 60)[::step]
        return charge_many(
            [
                request(tenants[one % 5], f"k{one}", mode, properties={"tokens": 1 + one % 3})
                for one in numbers
            ]
        )

    halves = at_once(
        [partial(batch, 0, 1), partial(batch, 30, 1), partial(batch, 0, -1), partial(batch, 30, -1)]
    )
    fresh = [outcome.id for half in halves for outcome in half if not outcome.is_replay]
    assert len(fresh) == len(set(fresh)) == Charge.objects.count() == 90
    spent = [sum(1 + one % 3 for one in range(index, 90, 5)) for index in range(5)]
    assert [balance(tenant) for tenant in tenants] == [100 - Decimal(used) / 100 for used in spent]


def test_money_in_and_calls_at_once_leave_what_arithmetic_leaves(version: PlanVersion, admin: Api) -> None:
    tenant = make_tenant(version, balance="1", overdraft=Decimal(0))
    payer = tenant.payer.public_id
    moves = [
        ("top-ups", {"billing_entity": payer, "amount": "0.5"}),
        ("credit-grants", {"billing_entity": payer, "amount": "0.25"}),
        ("adjustments", {"billing_entity": payer, "amount": "-0.1", "reason": "r"}),
    ]
    works: list[Callable[[], Any]] = [
        partial(admin.post, f"/v1/{path}", body, **{"Idempotency-Key": f"{path}-{number % 4}"})
        for number in range(8)
        for path, body in moves
    ]
    works += [
        partial(charge_many, [request(tenant, f"k{one}", properties={"tokens": 10})]) for one in range(12)
    ]
    outcomes = at_once(works)[len(moves) * 8 :]
    charged = sum(hasattr(outcome, "amount") for (outcome,) in outcomes)
    moved = 4 * (Decimal("0.5") + Decimal("0.25") - Decimal("0.1"))
    assert balance(tenant) == 1 + moved - charged * Decimal("0.1")
    assert balance(tenant) >= 0
