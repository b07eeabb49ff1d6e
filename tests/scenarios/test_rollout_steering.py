"""Notice, reasons, pauses, cancellations and rollbacks of price changes, dated and through the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest

from accounts.audit import changes_of
from billing.models import OutboxMessage
from billing.rollouts import moving
from billing.subscriptions.moving import Wanted, move_many
from core.errors import Conflict
from core.ids import row_id
from pricing.models import Rollout, RolloutMember
from tests.scenarios.changes import PriceChanges
from tests.scenarios.money import Story, per_unit, tiers

pytestmark = pytest.mark.django_db
IN_APRIL = "2026-04-10T00:00:00Z"


@pytest.fixture
def versions(changes: PriceChanges) -> tuple[str, str]:
    return changes.publish(per_unit("tok", "1")), changes.publish(per_unit("tok", "2"))


def test_less_notice_than_thirty_days_needs_a_reason_which_is_kept(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    changes.customers(1, versions[0])
    money.at(3, 12)
    rollout = changes.draft(versions[1], "on_date", effective_at="2026-04-10T23:59:59Z")
    preview = money.api.get(f"/v1/rollouts/{rollout}/preview").json()
    assert (preview["subscriptions"], preview["needs_reason"]) == (1, True)
    assert changes.refused(rollout, "announce") == (422, "notice_too_short")
    assert changes.shown(rollout)["status"] == "draft"
    changes.act(rollout, "announce", reason="the vendor's price doubled")
    shown = changes.shown(rollout)
    assert (shown["status"], shown["reason"]) == ("announced", "the vendor's price doubled")
    latest = changes_of(Rollout.objects.get())[0]
    assert {field.field: field.new for field in latest.fields}["reason"] == "the vendor's price doubled"
    assert (latest.source, latest.actor) == ("api", money.api.key.public_id)


def test_thirty_days_of_notice_need_no_reason(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    changes.customers(1, versions[0])
    money.at(3, 12)
    rollout = changes.announce(versions[1], "on_date", effective_at="2026-04-11T00:00:00Z")
    assert changes.shown(rollout)["reason"] == ""


def test_without_a_date_it_comes_when_the_least_notice_is_over(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    (payer,) = changes.customers(1, versions[0])
    money.at(3, 2)
    rollout = changes.announce(versions[1], "on_date", notice_at="2026-03-05T00:00:00Z")
    assert changes.shown(rollout)["effective_at"] == "2026-04-04T00:00:00Z"
    assert changes.member(rollout, payer)["effective_at"] == "2026-04-04T00:00:00Z"


def test_customers_are_told_on_the_date_of_the_notice(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    (payer,) = changes.customers(1, versions[0])
    rollout = changes.announce(
        versions[1], "on_date", notice_at="2026-03-10T00:00:00Z", effective_at=IN_APRIL
    )
    changes.due()
    assert changes.member(rollout, payer)["state"] == "pending"
    assert not OutboxMessage.objects.exists()
    money.at(3, 10)
    changes.due()
    changes.due()
    member = changes.member(rollout, payer)
    assert (member["state"], member["notified_at"]) == ("notified", "2026-03-10T00:00:00Z")
    message = OutboxMessage.objects.get()
    assert (message.kind, message.created_at, message.delivered_at) == (
        "rollout.notice",
        money.now,
        money.now,
    )
    (change,) = message.payload["changes"]
    assert message.payload["rollout"] == rollout
    assert change == {
        "subscription": changes.subscriptions[payer],
        "billing_entity": payer,
        "from_version": versions[0],
        "to_version": versions[1],
        "effective_at": IN_APRIL,
        "introduces_overage": False,
        "ceilings": {},
    }


def test_who_is_held_out_before_the_notice_is_told_with_the_others(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    held, kept, first = changes.customers(3, versions[0])
    rollout = changes.announce(
        versions[1], "on_date", notice_at="2026-03-10T00:00:00Z", effective_at=IN_APRIL
    )
    changes.act(rollout, "hold-out", subscriptions=changes.names(held), until="2026-05-01T00:00:00Z")
    changes.act(rollout, "hold-out", subscriptions=changes.names(kept))
    changes.act(rollout, "acknowledge", subscription=changes.subscriptions[first])
    money.at(3, 10)
    changes.due()
    told = [changes.member(rollout, payer)["notified_at"] for payer in (held, kept, first)]
    assert told == ["2026-03-10T00:00:00Z", None, "2026-03-10T00:00:00Z"]
    states = [changes.member(rollout, payer)["state"] for payer in (held, kept, first)]
    assert states == ["held_out", "held_out", "acknowledged"]
    assert OutboxMessage.objects.count() == 2


def test_a_customer_with_two_payers_gets_one_message(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    (payer,) = changes.customers(1, versions[0])
    customer = money.api.get(f"/v1/billing-entities/{payer}").json()["customer"]
    second = money.api.make("/v1/billing-entities", customer=customer, name="2", currency="USD")["id"]
    changes.start(second, plan_version=versions[0])
    changes.announce(versions[1], effective_at=IN_APRIL)
    message = OutboxMessage.objects.get()
    assert {change["billing_entity"] for change in message.payload["changes"]} == {payer, second}


def test_on_a_date_usage_before_is_at_the_old_price_and_tiers_begin_anew(
    money: Story, changes: PriceChanges
) -> None:
    old = changes.publish(
        {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("10", "1"), (None, "0.5"))}
    )
    new = changes.publish(
        {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("10", "2"), (None, "1"))}
    )
    (payer,) = changes.customers(1, old, top_up="100")
    rollout = changes.announce(new, "on_date", effective_at=IN_APRIL)
    money.at(4, 9)
    assert money.charge(payer, tok=12) == "11"  # 10 at 1, 2 at 0.5
    money.at(4, 10)
    changes.due()
    assert changes.member(rollout, payer)["state"] == "moved"
    assert money.charge(payer, tok=12) == "22"  # 10 at 2, 2 at 1
    assert money.charge(payer, tok=2, occurred_at="2026-04-09T23:59:59Z") == "1"  # the old tier goes on
    assert money.settled(payer) == 100 - 11 - 22 - 1


def test_immediately_means_with_the_next_run(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    (payer,) = changes.customers(1, versions[0], top_up="100")
    money.at(3, 20)
    rollout = changes.draft(versions[1], "immediately")
    assert changes.refused(rollout, "announce") == (422, "notice_too_short")
    changes.act(rollout, "announce", reason="a mistake in the old one")
    assert money.charge(payer, tok=1) == "1"
    changes.due()
    assert money.charge(payer, tok=1) == "2"
    assert changes.shown(rollout)["status"] == "done"


def test_while_it_is_paused_nobody_moves_and_nobody_is_moved_back_in_time(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    (payer,) = changes.customers(1, versions[0], top_up="100")
    rollout = changes.announce(versions[1], effective_at=IN_APRIL)
    money.at(4, 20)
    changes.act(rollout, "pause")
    money.at(5, 3)
    changes.due()
    assert changes.on(payer) == versions[0]
    assert money.charge(payer, tok=5) == "5"
    money.at(5, 4)
    assert changes.act(rollout, "resume")["status"] == "announced"
    assert changes.member(rollout, payer)["effective_at"] == "2026-06-01T00:00:00Z"
    changes.due()
    assert changes.on(payer) == versions[0], "its next renewal is in June"
    money.at(6, 1)
    changes.due()
    assert (changes.on(payer), money.charge(payer, tok=5)) == (versions[1], "10")


def test_a_cancellation_leaves_the_moved_and_tells_the_others(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    early, late = changes.customers(2, versions[0], top_up="100")
    rollout = changes.announce(versions[1], "on_date", effective_at=IN_APRIL)
    changes.act(rollout, "hold-out", subscriptions=changes.names(late), until="2026-05-20T00:00:00Z")
    money.at(4, 10)
    changes.due()
    assert changes.act(rollout, "cancel")["progress"] == {"all": 2, "moved": 1, "canceled": 1}
    money.at(5, 21)
    changes.due()
    assert [changes.on(early), changes.on(late)] == [versions[1], versions[0]]
    (told,) = OutboxMessage.objects.filter(kind="rollout.canceled")
    assert told.payload["changes"][0]["billing_entity"] == late
    assert changes.refused(rollout, "cancel") == (409, "not_announced")
    assert changes.refused(rollout, "resume") == (409, "not_paused")


def test_a_rollback_returns_those_who_moved_and_is_linked(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    moved, held, gone = changes.customers(3, versions[0], top_up="100")
    rollout = changes.announce(versions[1], "on_date", effective_at=IN_APRIL)
    changes.act(rollout, "hold-out", subscriptions=changes.names(held), until="2026-06-01T00:00:00Z")
    money.at(4, 10)
    changes.due()
    assert [money.charge(payer, tok=3) for payer in (moved, held, gone)] == ["6", "3", "6"]
    money.at(4, 11)
    subscription = changes.subscriptions[gone]
    assert money.api.post(f"/v1/subscriptions/{subscription}/cancel", {}).status_code == 200
    money.at(4, 12)
    back = changes.act(rollout, "roll-back", reason="customers left")
    assert (back["rollback_of"], back["plan_version"], back["status"]) == (rollout, None, "announced")
    assert back["progress"] == {"all": 1, "notified": 1}
    assert changes.shown(rollout)["status"] == "canceled", "who has not moved stays"
    changes.due()
    assert [changes.on(moved), changes.on(held)] == [versions[0]] * 2
    assert [money.charge(payer, tok=3) for payer in (moved, held)] == ["3", "3"]
    assert [changes.member(rollout, payer)["state"] for payer in (moved, held, gone)] == [
        "rolled_back",
        "canceled",
        "moved",
    ]
    assert changes.member(rollout, moved)["rolled_back_at"] == "2026-04-12T00:00:00Z"
    assert changes.shown(back["id"])["status"] == "done"
    assert changes.refused(rollout, "roll-back", reason="again") == (409, "rolled_back_already")


def test_what_fails_is_named_and_tried_again(
    money: Story, changes: PriceChanges, versions: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = changes.customers(2, versions[0], top_up="100")
    rollout = changes.announce(versions[1], "on_date", effective_at=IN_APRIL)
    broken = row_id("sub", changes.subscriptions[bad])

    def move_or_fail(wanted: Sequence[Wanted], now: datetime) -> None:
        move_many(wanted, now)
        if any(each.subscription.pk == broken for each in wanted):
            raise Conflict("meter_priced_already", "An add-on prices the meter.")

    money.at(4, 10)
    with monkeypatch.context() as patched:
        patched.setattr(moving, "move_many", move_or_fail)
        changes.due()
        changes.due()
    member = changes.member(rollout, bad)
    assert (member["state"], member["attempts"]) == ("failed", 2)
    assert member["result"] == "An add-on prices the meter."
    assert [changes.on(good), changes.on(bad)] == [versions[1], versions[0]]
    assert changes.shown(rollout)["status"] == "running"
    changes.due()
    assert changes.on(bad) == versions[1]
    assert changes.shown(rollout)["progress"] == {"all": 2, "moved": 2}


def test_who_is_gone_or_elsewhere_by_then_is_left_alone(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    third = changes.publish(per_unit("tok", "3"))
    ended, elsewhere = changes.customers(2, versions[0], top_up="100")
    rollout = changes.announce(versions[1], "on_date", effective_at=IN_APRIL)
    money.at(3, 20)
    money.api.post(f"/v1/subscriptions/{changes.subscriptions[ended]}/cancel", {})
    member = RolloutMember.objects.get(subscription_id=row_id("sub", changes.subscriptions[elsewhere]))
    subscription = member.subscription
    subscription.version_id = row_id("pv", third)
    subscription.save()
    money.at(4, 10)
    changes.due()
    members = [changes.member(rollout, payer) for payer in (ended, elsewhere)]
    assert [(member["state"], member["result"]) for member in members] == [
        ("left", "The subscription is canceled."),
        ("left", "The subscription is on pro v3 by then."),
    ]
    assert changes.shown(rollout)["status"] == "done"


def test_cohorts_are_plans_versions_customers_subscriptions_and_revenue(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    third = changes.publish(per_unit("tok", "3"))
    small, large = changes.customers(2, versions[0], top_up="100")
    (other,) = changes.customers(1, versions[1], top_up="100")
    money.charge(small, tok=4)
    money.charge(large, tok=40)
    customer = money.api.get(f"/v1/billing-entities/{small}").json()["customer"]
    money.at(3, 3)

    def cohort(**fields: Any) -> int:
        rollout = changes.draft(third, effective_at=IN_APRIL, cohort=fields)
        return int(money.api.get(f"/v1/rollouts/{rollout}/preview").json()["subscriptions"])

    assert cohort() == 3
    assert cohort(plans=["pro"]) == 3
    assert cohort(from_versions=[versions[0]]) == 2
    assert cohort(customers=[customer]) == 1
    assert cohort(subscriptions=changes.names(large, other)) == 2
    assert cohort(min_revenue="4") == 2
    assert cohort(max_revenue="4") == 2
    assert cohort(min_revenue="4.01", max_revenue="40") == 1
    assert cohort(from_versions=[versions[0]], subscriptions=changes.names(other)) == 0
    rollout = changes.draft(third, effective_at=IN_APRIL, cohort={"min_revenue": "1000"})
    assert changes.refused(rollout, "announce") == (422, "empty_cohort")


def test_a_subscription_waits_for_one_price_change_at_a_time(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    third = changes.publish(per_unit("tok", "3"))
    changes.customers(2, versions[0])
    first = changes.announce(versions[1], effective_at=IN_APRIL)
    second = changes.draft(third, effective_at=IN_APRIL)
    assert changes.refused(second, "announce") == (409, "in_another_rollout")
    changes.act(first, "cancel")
    changes.act(second, "announce")
    assert changes.refused(second, "announce") == (409, "not_draft")


def test_what_cannot_be_is_refused(money: Story, changes: PriceChanges, versions: tuple[str, str]) -> None:
    payer, stranger = changes.customers(2, versions[0])
    draft = {"name": "Pro", "currency": "USD", "plan": "pro", "components": []}
    unpublished = money.api.make("/v1/plan-versions", **draft)["id"]
    assert changes.refused(changes.draft(unpublished), "announce") == (422, "not_published")
    late = changes.draft(versions[1], "on_date", effective_at="2026-03-02T00:00:00Z")
    money.at(3, 3)
    assert changes.refused(late, "announce", reason="x") == (422, "in_past")
    rollout = changes.announce(
        versions[1], effective_at=IN_APRIL, cohort={"subscriptions": changes.names(payer)}
    )
    names, outside = changes.names(payer), changes.names(stranger)
    assert changes.refused(rollout, "hold-out", subscriptions=outside) == (422, "not_a_member")
    assert changes.refused(rollout, "hold-out", subscriptions=names, until=IN_APRIL) == (400, "in_past")
    assert changes.refused(rollout, "except", subscriptions=names, reason="") == (400, "blank")
    assert changes.refused(rollout, "roll-back", reason="x") == (409, "nothing_moved")
    assert changes.refused(rollout, "make-whole") == (409, "nothing_moved")
    assert changes.shown(rollout)["status"] == "announced", "a refused rollback cancels nothing"
    changes.act(rollout, "except", subscriptions=names, reason="a friend")
    assert changes.refused(rollout, "acknowledge", subscription=names[0]) == (409, "not_moving")
