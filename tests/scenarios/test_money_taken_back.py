"""Money that goes back, or comes late: reversals, closes, policies and credits, each computed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command

from accounts.models import BillingEntity
from billing.replay import replay_differences
from core import clock
from core.sql import driver
from tests.billing.invariants import broken_invariants
from tests.scenarios.money import Story, per_unit, tiers

pytestmark = pytest.mark.django_db
VOLUME = tiers(("100", "0.10"), (None, "0.05"))


@pytest.fixture
def story() -> Iterator[Story]:
    """A story at whose end the books agree, and every payer's replay comes to what was booked."""
    yield Story()
    assert broken_invariants(driver()) == []
    for entity in BillingEntity.objects.all():
        assert replay_differences(entity) == []
    clock.use(None)


def run_due(story: Story, month: int, day: int, hour: int = 0) -> None:
    """Run the due tasks as at that instant, and stay there."""
    now = datetime(2026, month, day, hour, tzinfo=UTC)
    call_command("run_due", now=now.isoformat())
    story.clock_at(now)


def reverse(story: Story, event: str) -> str:
    """Take an event back; gives what that came to."""
    return str(story.api.make("/v1/reversals", event=event, reason="Sent twice by mistake")["amount"])


def events_of(story: Story, payer: str) -> list[str]:
    """The payer's charged events, the oldest first."""
    rows = story.api.get("/v1/charges", billing_entity=payer, limit="100").json()["data"]
    seen = dict.fromkeys(row["event"] for row in sorted(rows, key=lambda row: row["seq"]))
    return list(seen)


def closing(story: Story, payer: str) -> list[tuple[str, str, str]]:
    rows: list[dict[str, Any]] = story.api.get("/v1/closing-lines", billing_entity=payer).json()["data"]
    return [(row["kind"], row["cause"], row["amount"]) for row in rows[::-1] if row["amount"] != "0"]


def test_a_volume_tier_is_lost_again(story: Story) -> None:
    payer = story.payer(
        story.plan({"key": "v", "meter": story.meter("v"), "model": "volume", "tiers": VOLUME})
    )
    story.top_up(payer, "100")
    assert [story.charge(payer, v=units) for units in (80, 40, 30)] == ["8", "-2", "1.5"]  # 150 at 0.05
    first, second, third = events_of(story, payer)
    assert reverse(story, second) == "-2"  # 110 at 0.05 is 5.5
    assert reverse(story, third) == "2.5"  # 80 at 0.10 is 8: more than 5.5
    assert story.settled(payer) == 92
    assert reverse(story, first) == "-8"
    assert story.settled(payer) == 100


def test_a_hard_stop_opens_again_after_a_reversal(story: Story) -> None:
    payer = story.payer(story.plan(per_unit(story.meter("u"), "1")), top_up="10")
    story.charge(payer, u=10)
    assert story.refused(payer, u=1) == "insufficient_funds"
    (event,) = events_of(story, payer)
    assert reverse(story, event) == "-10"
    assert story.charge(payer, u=7) == "7"
    assert story.settled(payer) == 3


def test_grants_get_back_what_they_paid_and_expired_ones_do_not(story: Story) -> None:
    payer = story.payer(story.plan(per_unit(story.meter("u"), "1")), top_up="20")
    story.grant(payer, "5", priority=1, expires_at="2026-03-10T00:00:00Z")
    story.at(3, 2)
    story.charge(payer, u=4)
    story.charge(payer, u=3)
    assert story.remaining(payer) == ["18", "0"]
    first, second = events_of(story, payer)
    assert reverse(story, second) == "-3"  # the latest payer first: the top-up's 2, then 1 of the grant
    assert story.remaining(payer) == ["20", "1"]
    story.at(3, 11)
    assert reverse(story, first) == "-4"
    assert story.remaining(payer) == ["20", "0"]
    assert story.account(payer, "breakage") == 5  # 1 expired, 4 came back to what had expired


def test_a_quarter_of_an_invoiced_payer_with_a_commitment(story: Story) -> None:
    """31 a month is committed; 20, 40 and 0 are used, then 6 of March and 5 of April come late."""
    version = story.plan(per_unit(story.meter("u"), "1"), minimum_spend="31")
    payer = story.payer(version, settlement="invoice_only")
    for month, units in ((3, 20), (4, 40)):
        story.at(month, 5)
        story.report(payer, {"u": units})
    run_due(story, 6, 2)
    assert closing(story, payer) == [("commitment", "close", "11"), ("commitment", "close", "31")]
    assert story.account(payer, "receivable") == -(31 + 40 + 31)
    story.report(payer, {"u": 5}, occurred_at="2026-04-30T23:59:59Z")
    assert story.account(payer, "receivable") == -(31 + 45 + 31)
    story.report(payer, {"u": 6}, occurred_at="2026-05-01T00:00:00Z")
    assert closing(story, payer)[-1] == ("commitment", "late", "-6")
    assert story.account(payer, "receivable") == -(31 + 45 + 31)
    reverse(story, events_of(story, payer)[-1])
    assert closing(story, payer)[-1] == ("commitment", "late", "6")
    assert story.account(payer, "receivable") == -(31 + 45 + 31)


@pytest.mark.parametrize(
    ("policy", "wallet", "leakage"), [("delta_line", "88", "0"), ("note", "88", "0"), ("absorb", "95", "-7")]
)
def test_a_prepaid_payer_is_debited_on_arrival_unless_the_meter_absorbs(
    story: Story, policy: str, wallet: str, leakage: str
) -> None:
    payer = story.payer(story.plan(per_unit(story.meter("u", late_policy=policy), "1")), top_up="100")
    story.at(3, 20)
    story.report(payer, {"u": 5})
    run_due(story, 4, 3)
    story.report(payer, {"u": 7}, occurred_at="2026-03-21T00:00:00Z")
    assert (story.settled(payer), story.account(payer, "leakage")) == (Decimal(wallet), Decimal(leakage))
    assert story.account(payer, "revenue") == 12


def test_monthly_credit_of_an_annual_plan_pays_first_and_rolls_over(story: Story) -> None:
    monthly = [{"key": "monthly", "amount": "20", "every": "month", "priority": 10, "rollover": "5"}]
    version = story.plan(per_unit(story.meter("u"), "1"), interval="year", credits=monthly)
    payer = story.payer(version, top_up="100")
    run_due(story, 3, 1)
    assert story.settled(payer) == 120
    story.at(3, 9)
    story.charge(payer, u=12)
    run_due(story, 4, 1)  # 8 are left, of which 5 stay
    assert story.settled(payer) == 125
    story.charge(payer, u=30)  # 25 of credit, 5 of what was paid in
    assert story.settled(payer) == 95
    for _ in range(2):
        run_due(story, 5, 1)
    assert story.settled(payer) == 115
    assert story.account(payer, "promotional") == -60
    (event, *_) = events_of(story, payer)
    reverse(story, event)  # the latest payer first: 5 that were paid in, then April's credit, which is lost
    assert story.settled(payer) == 120
