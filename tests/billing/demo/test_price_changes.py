"""The demo's price changes: what is there on the first run, in a load of 60 days."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import override_settings

from accounts.models import BillingEntity, Customer
from accounts.scoping import OPERATOR
from billing.demo import cast, price_changes
from billing.demo.bounds import HELD
from billing.demo.loading import load
from billing.limits.filling import fills_of
from billing.models import ClosingLine, OutboxMessage, SpendLimit
from billing.reports.coming_prices import coming_prices
from billing.reports.holds import live_holds
from billing.rollouts import make_whole, preview_make_whole
from core import clock
from pricing.models import BillingPeriod, PlanVersion, Rollout, RolloutMember, Simulation, Subscription

pytestmark = pytest.mark.django_db
State = RolloutMember.State


@pytest.fixture(scope="module")
def loaded(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """A demo of 60 days with few calls, for all tests of this file; rolled back after them."""
    folder = Path(tmp_path_factory.mktemp("notes"))
    with django_db_blocker.unblock(), transaction.atomic(), override_settings(DEMO_NOTES_DIR=folder):
        load(lambda line: None, days=60, per_day=70)
        yield
        transaction.set_rollback(True)


def states(name: str) -> dict[str, str]:
    """Customer -> where it stands in a price change."""
    members = RolloutMember.objects.filter(rollout__name=name).select_related("customer")
    return {member.customer.external_id or "": member.state for member in members}


def test_an_announced_price_change_waits_with_answers_a_holdout_and_an_exception(loaded: None) -> None:
    rollout = Rollout.objects.get(name=price_changes.ANNOUNCED)
    assert rollout.status == "announced"
    found = states(rollout.name)
    assert {slug for slug, state in found.items() if state == State.ACKNOWLEDGED} == {
        "beacon",
        "fathom",
        "mosaic",
    }
    assert found[price_changes.HELD_OUT] == State.HELD_OUT
    assert found[price_changes.EXCEPTED] == State.EXCEPTED
    others = {slug for slug, state in found.items() if state == State.NOTIFIED}
    payg = {actor.slug for actor in cast.CAST if actor.plan == cast.PAYG and actor.slug != "north"}
    assert set(found) == payg
    assert others == payg - {"beacon", "fathom", "mosaic", "orchard", "silo"}
    assert cast.RUNNING_OUT in others, "whose login the demo hands out has not answered yet"


def test_it_came_with_a_month_of_notice_and_nobody_moves_before(loaded: None) -> None:
    rollout = Rollout.objects.get(name=price_changes.ANNOUNCED)
    assert rollout.notice_at is not None
    assert rollout.effective_at == rollout.notice_at + timedelta(days=30)
    assert rollout.reason == ""
    members = rollout.members.all()
    assert all(member.notified_at == rollout.notice_at for member in members)
    assert all(member.effective_at >= rollout.effective_at > clock.now() for member in members)
    told = OutboxMessage.objects.filter(payload__rollout=rollout.public_id)
    assert set(told.values_list("customer_id", flat=True)) == {member.customer_id for member in members}
    held = members.get(state=State.HELD_OUT)
    assert held.held_until is not None
    assert held.held_until > rollout.effective_at + timedelta(days=90)


def test_it_introduces_a_price_for_embeddings_that_one_customer_has_limited(loaded: None) -> None:
    rollout = Rollout.objects.get(name=price_changes.ANNOUNCED)
    assert [one["meter"] for found in rollout.overages.values() for one in found] == ["embeddings"]
    fathom = rollout.members.get(customer__external_id="fathom")
    assert fathom.limits == {"embeddings": "20000000"}
    assert fathom.acknowledged_by == "cto@fathom.example"


def test_the_customer_who_signs_in_sees_its_own_usage_under_both_prices(loaded: None) -> None:
    payers = list(BillingEntity.objects.filter(customer__external_id=cast.RUNNING_OUT))
    (coming,) = coming_prices(OPERATOR, payers, clock.now())
    assert coming.member is not None
    assert coming.member.rollout.name == price_changes.ANNOUNCED
    assert any(statement.difference for _, statement in coming.statements)


def test_newcomers_are_on_the_new_version_and_nobody_else(loaded: None) -> None:
    version = PlanVersion.objects.get(plan__key=cast.PAYG, number=2)
    assert version.status == "published"
    assert [one.customer.external_id for one in version.subscriptions.all()] == ["north"]


def test_a_price_change_that_is_over_moved_everybody_and_can_be_made_whole(loaded: None) -> None:
    rollout = Rollout.objects.get(name=price_changes.DONE)
    assert rollout.status == "done"
    assert set(states(rollout.name).values()) == {State.MOVED}
    on = Subscription.objects.filter(version__plan__key=cast.PODCAST)
    assert set(on.values_list("version__number", flat=True)) == {2}
    previews = preview_make_whole(rollout)
    assert previews
    for preview in previews:
        # every podcast since the move: 0.15 more than at the old price of 1.20
        assert preview.due == preview.comparison.difference > 0
        assert preview.due * 9 == preview.comparison.new_amount
    credited = make_whole(rollout)
    assert sum(one.amount for one in credited) == sum(one.due for one in previews)


def test_two_simulations_are_kept_with_what_they_found(loaded: None) -> None:
    tokens, flat = Simulation.objects.order_by("pk")
    assert (tokens.status, flat.status) == ("done", "done")
    assert [version["label"] == "content" for version in tokens.versions] == [False, True]
    assert tokens.payers_done == 14
    assert all(Decimal(total["simulated"]) > 0 for total in tokens.totals)
    assert flat.versions[0]["label"] == PlanVersion.objects.get(plan__key=cast.FLAT, number=2).public_id


def test_a_draft_of_the_flat_plan_waits_for_somebody_to_publish_it(loaded: None) -> None:
    draft = PlanVersion.objects.get(plan__key=cast.FLAT, number=2)
    assert draft.status == "draft"
    assert draft.content["components"][0]["included"] == "400"


def test_spend_is_bounded_at_several_levels_and_alerts_were_given(loaded: None) -> None:
    levels = SpendLimit.objects.values_list("level", "window", "kind", "set_by")
    assert set(levels) == {
        ("billing_entity", "billing_period", "hard", "staff"),
        ("billing_entity", "billing_period", "soft", "customer"),
        ("workspace", "day", "hard", "customer"),
        ("workspace", "day", "hard", "staff"),
        ("organization", "billing_period", "hard", "staff"),
        ("api_key", "rolling", "soft", "staff"),
    }
    fills = fills_of(SpendLimit.objects.select_related("meter", "api_key"), clock.now())
    assert any(fill.used for fill in fills.values())


def test_money_is_held_for_calls_that_are_under_way(loaded: None) -> None:
    held = live_holds(OPERATOR, clock.now())
    payers = BillingEntity.objects.in_bulk([hold.billing_entity_id for hold in held])
    slugs = {payer.customer.external_id for payer in payers.values()}
    assert slugs == {slug for slug, _ in HELD}
    assert all(hold.held > 0 for hold in held)


def test_periods_were_closed_when_their_grace_was_over(loaded: None) -> None:
    closed = BillingPeriod.objects.filter(status="closed")
    assert closed.exists()
    for period in closed:
        assert period.closed_at is not None
        assert timedelta(hours=24) <= period.closed_at - period.ends_at <= timedelta(days=2)
    lines = ClosingLine.objects.values_list("period_id", flat=True)
    assert set(lines) <= set(closed.values_list("pk", flat=True))


def test_what_is_due_is_done_without_a_word_of_failure(
    loaded: None, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Customer.objects.count(), Rollout.objects.values_list("status").count()
    call_command("run_due")
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert "billing.tasks.execute_rollouts" in capsys.readouterr().out
    assert (Customer.objects.count(), Rollout.objects.values_list("status").count()) == before
    assert not OutboxMessage.objects.filter(delivered_at=None).exists()
    assert Rollout.objects.get(name=price_changes.ANNOUNCED).status == "announced"
