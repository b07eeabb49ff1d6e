"""Two payers with the same calls, one moved and one not: make whole tells the one's bill from the other's."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.charging import Charged, Mode
from billing.models import Charge
from billing.rollouts import Cohort, announce_rollout, draft_rollout, execute_rollouts, preview_make_whole
from core import clock
from pricing.models import PlanVersion
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
MOVED_AT = START + timedelta(days=9)
CALLS = 40


@pytest.fixture(autouse=True)
def _clock() -> Any:
    yield
    clock.use(None)


def tiers(*rows: tuple[str | None, str]) -> list[dict[str, Any]]:
    return [{"up_to": up_to, "unit_price": price} for up_to, price in rows]


def old_version() -> PlanVersion:
    return make_version(
        [
            {
                "key": "tok",
                "meter": "tokens",
                "model": "graduated",
                "tiers": tiers(("40", "1"), (None, "0.25")),
            },
            {"key": "seen", "meter": "person", "model": "package", "package_size": "2", "package_price": "3"},
            {"key": "top", "meter": "peak", "model": "per_unit", "unit_price": "0.1", "included": "3"},
            {
                "key": "share",
                "meter": "sale",
                "model": "percentage",
                "rate": "0.03",
                "fixed_fee": "0.1",
                "free_transactions": 5,
            },
        ]
    )


def new_version() -> PlanVersion:
    cells = [{"match": {"region": "eu"}, "unit_price": "2"}]
    return make_version(
        [
            {
                "key": "tok",
                "meter": "tokens",
                "model": "matrix",
                "dimensions": ["region"],
                "cells": cells,
                "default_unit_price": "1",
            },
            {"key": "seen", "meter": "person", "model": "per_unit", "unit_price": "5"},
            {"key": "top", "meter": "peak", "model": "volume", "tiers": tiers(("5", "1"), (None, "0.5"))},
            {"key": "share", "meter": "sale", "model": "percentage", "rate": "0.05"},
        ]
    )


def make_twins() -> tuple[Tenant, Tenant, PlanVersion]:
    make_meter()
    make_meter("person", aggregation="unique")
    make_meter("peak", aggregation="max")
    make_meter("sale")
    old = old_version()
    return make_tenant(old), make_tenant(old), new_version()


def random_call(dice: random.Random) -> dict[str, Any]:
    return {
        "tokens": dice.randint(0, 9),
        "person": dice.choice("abcdefg"),
        "peak": dice.randint(0, 12),
        "sale": dice.randint(1, 90),
        "region": dice.choice(["eu", "us"]),
    }


def spend(tenants: tuple[Tenant, ...], dice: random.Random, since: datetime, days: int, tag: str) -> None:
    """The same calls of all tenants, in a random order of their instants within so many days."""
    for number in range(CALLS):
        occurred_at = since + timedelta(minutes=dice.randrange(days * 1440))
        properties = random_call(dice)
        for tenant in tenants:
            outcome = charge(
                tenant,
                f"{tag}-{number}",
                Mode.REPORT,
                occurred_at=occurred_at.isoformat(),
                properties=properties,
            )
            assert isinstance(outcome, Charged)


def charged(tenant: Tenant, since: datetime = START) -> Decimal:
    rows = Charge.objects.filter(billing_entity_id=tenant.payer.pk, occurred_at__gte=since)
    return sum(rows.values_list("amount", flat=True), Decimal(0))


@pytest.mark.parametrize("seed", range(4))
def test_the_difference_is_what_the_twin_was_spared(seed: int) -> None:
    dice = random.Random(seed)
    moved, stays, new = make_twins()
    assert moved.subscription is not None
    clock.use(lambda: START + timedelta(days=8, hours=23))
    spend((moved, stays), dice, START, 8, "before")
    cohort = Cohort(subscriptions=[moved.subscription.pk])
    rollout = draft_rollout(new, timing="on_date", effective_at=MOVED_AT, cohort=cohort)
    announce_rollout(rollout, reason="a test")
    clock.use(lambda: MOVED_AT)
    assert execute_rollouts(MOVED_AT) == 1
    clock.use(lambda: START + timedelta(days=30))
    spend((moved, stays), dice, MOVED_AT, 20, "after")
    clock.use(lambda: START + timedelta(days=50))
    spend((moved, stays), dice, START + timedelta(days=32), 15, "next month")
    (row,) = preview_make_whole(rollout)
    assert row.comparison.new_amount == charged(moved, MOVED_AT)
    assert row.comparison.old_amount == charged(stays, MOVED_AT)
    assert row.comparison.difference == charged(moved) - charged(stays)
