"""A level that was set while nothing was priced is carried into the periods after it, closed ones too."""

from __future__ import annotations

import pytest

from billing.models import ClosingLine
from core.numbers import plain
from metering.models import UsageEvent
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db


def begin(life: LifeStory) -> str:
    """A payer whose subscription rests from 20 April to 1 May; of a level of 31 that was set on 1 March."""
    life.meter("level", "weighted_sum", carry_over=True)
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("level", "1")))
    life.report(payer, {"level": 31})
    life.at(4, 20)
    life.do(subscription, "pause")
    life.at(5, 1)
    life.do(subscription, "resume")
    return payer


def settled() -> list[tuple[str, str]]:
    """(cause, amount) of what closes booked."""
    return [(row.cause, plain(row.amount)) for row in ClosingLine.objects.order_by("pk")]


def test_one_that_comes_late_from_a_pause(life: LifeStory) -> None:
    payer = begin(life)
    life.at(6, 3)
    life.run_due()
    assert settled() == [("close", "31"), ("close", "31"), ("close", "31")]
    life.report(payer, {"level": 5}, occurred_at="2026-04-30T00:00:00Z")
    assert settled()[3:] == [("late", "5")]
    assert life.settled(payer) == 1000 - 3 * 31 - 5


def test_one_of_a_pause_that_is_taken_back_later(life: LifeStory) -> None:
    payer = begin(life)
    life.report(payer, {"level": 5}, occurred_at="2026-04-30T00:00:00Z")
    life.at(6, 3)
    life.run_due()
    assert settled() == [("close", "31"), ("close", "31"), ("close", "36")]
    life.api.make("/v1/reversals", event=UsageEvent.objects.latest("seq").idempotency_key, reason="a mistake")
    assert settled()[3:] == [("late", "-5")]
    assert life.settled(payer) == 1000 - 3 * 31
