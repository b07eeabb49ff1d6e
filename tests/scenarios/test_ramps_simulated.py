"""A version that ramps, simulated: what it comes to is what a twin on it was charged for the same usage."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billing.models import BookedFee
from billing.simulations import run_simulations
from core.ids import row_id
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit
from tests.scenarios.test_history_simulated import APRIL, JUNE, MARCH, MAY, booked, simulated
from tests.scenarios.test_upcoming_price import lines, upcoming

pytestmark = pytest.mark.django_db

PLATFORM = {"key": "platform", "amount": "31", "prorate": True}


def phase(price: str, fee: str = "", minimum: str = "", **when: Any) -> dict[str, Any]:
    """A phase that changes the price of a unit, and perhaps the fee and the commitment."""
    overrides: dict[str, Any] = {"components": {"tok": {"unit_price": price}}}
    overrides |= {"base_fees": {"platform": {"amount": fee}}} if fee else {}
    overrides |= {"minimum_spend": minimum} if minimum else {}
    return when | {"overrides": overrides}


RAMPS = {
    "by months": [phase("2", "62", after_months=1), phase("3", after_months=2)],
    "in the middle of a month": [phase("2", "62", "310", starts_on="2026-03-16")],
    "begun before the start": [phase("5", starts_on="2025-01-01"), phase("7", starts_on="2026-05-10")],
    "still to come": [phase("2", after_months=12)],
}


@pytest.mark.parametrize("ramps", RAMPS.values(), ids=RAMPS.keys())
@pytest.mark.parametrize("start", [1, 11])
def test_the_phases_count_from_the_start_as_they_do_for_who_is_on_it(
    life: LifeStory, ramps: list[dict[str, Any]], start: int
) -> None:
    life.meter("tok")
    flat = life.plan(per_unit("tok", "10"), base_fees=[PLATFORM])
    ramping = life.plan(per_unit("tok", "1", minimum="31"), base_fees=[PLATFORM], ramps=ramps)
    payer, twin = (life.payer(top_up="10000") for _ in range(2))
    life.at(3, start)
    life.start(payer, flat)
    life.start(twin, ramping)
    for month, day in ((3, 12), (3, 20), (4, 5), (5, 9), (5, 20)):
        life.at(month, day)
        life.run_due()
        for each in (payer, twin):
            life.charge(each, tok=7)
    life.at(6, 3)
    life.run_due()
    june = BookedFee.objects.filter(billing_entity_id=row_id("be", twin)).latest("seq").amount
    current, total = simulated(life, ramping, MARCH, JUNE)
    assert current == booked(payer) - 31 + booked(twin) - june
    assert total == 2 * (booked(twin) - june)
    parts = [simulated(life, ramping, *window)[1] for window in ((MARCH, APRIL), (APRIL, MAY), (MAY, JUNE))]
    assert sum(parts) == total


def test_a_document_that_is_stored_nowhere_ramps_too(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    life.start(payer, life.plan(per_unit("tok", "1")))
    for month in (3, 4):
        life.at(month, 5)
        life.charge(payer, tok=10)
    life.at(5, 3)
    life.run_due()
    content = {
        "plan": "ramped",
        "currency": "USD",
        "components": [per_unit("tok", "4")],
        "ramps": [phase("6", after_months=1)],
    }
    assert simulated_content(life, content) == 40 + 60


def simulated_content(life: LifeStory, content: dict[str, Any]) -> Decimal:
    body = {"contents": [content], "from": MARCH, "to": MAY}
    made = life.api.post("/v1/simulations", body)
    assert made.status_code == 202, made.content
    run_simulations()
    (totals,) = life.api.get(f"/v1/simulations/{made.json()['id']}").json()["totals"]
    return Decimal(totals["simulated"])


def test_upcoming_takes_a_ramp_as_it_begins(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    life.charge(payer, tok=10)
    life.at(5, 3)
    life.run_due()
    ramping = life.plan(per_unit("tok", "2"), ramps=[phase("9", after_months=1)])
    life.do(subscription, "change", plan_version=ramping, at="period_end")
    found = upcoming(life, payer)
    assert lines(found["last_periods"][-1]) == {"tok": ("10", "20", "10")}
    life.at(6, 1)
    life.run_due()
    life.charge(payer, tok=1)
    found = upcoming(life, payer)
    assert (found["current_version"], found["effective_at"]) == (ramping, "2026-07-01T00:00:00Z")
    assert lines(found["current_period"]["so_far"]) == {"tok": ("2", "9", "7")}
