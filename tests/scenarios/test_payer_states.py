"""A payer's state: one column that every door reads, exact to the second whether or not a worker runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.audit import changes_of
from accounts.models import BillingEntity
from accounts.payers import suspend_overdue
from core import clock
from core.ids import row_id
from metering.models import QuarantinedEvent
from tests.scenarios.limits import LimitStory

pytestmark = pytest.mark.django_db


def address(story: LimitStory) -> str:
    return f"/v1/billing-entities/{story.payers['north']}"


def test_a_payer_past_due_is_served_until_it_is_suspended_to_the_second(story: LimitStory) -> None:
    body = {"status": "past_due", "suspends_at": "2026-03-05T12:00:00Z", "status_reason": "inv_7 is unpaid"}
    shown = story.change(address(story), **body)
    assert {name: shown[name] for name in body} == body
    story.clock_at(datetime(2026, 3, 5, 11, 59, 59, 999999, tzinfo=UTC))
    story.spend(1)
    assert story.balance(story.payers["north"])["can_spend"] is True
    story.clock_at(datetime(2026, 3, 5, 12, tzinfo=UTC))
    assert story.denial(1)["reason"] == "suspended"
    balance = story.balance(story.payers["north"])
    assert (balance["status"], balance["can_spend"]) == ("suspended", False)
    assert story.api.get(address(story)).json()["status"] == "suspended"
    story.spend(1, "south")


def test_a_worker_writes_the_suspension_down_and_nothing_changes_by_it(story: LimitStory) -> None:
    story.change(address(story), status="past_due", suspends_at="2026-03-05T12:00:00Z")
    entity = BillingEntity.objects.get(pk=row_id("be", story.payers["north"]))
    story.at(3, 5, 11)
    assert suspend_overdue(clock.now()) == 0
    story.at(3, 6)
    assert suspend_overdue(clock.now()) == 1
    assert suspend_overdue(clock.now()) == 0
    entity.refresh_from_db()
    assert (entity.status, entity.suspends_at) == ("suspended", None)
    assert story.denial(1)["reason"] == "suspended"


def test_paying_in_time_takes_the_suspension_away(story: LimitStory) -> None:
    story.change(address(story), status="past_due", suspends_at="2026-03-05T12:00:00Z", status_reason="late")
    shown = story.change(address(story), status="active")
    assert (shown["suspends_at"], shown["status_reason"]) == (None, "")
    story.at(3, 6)
    story.spend(1)


def test_only_who_is_past_due_is_suspended_later(story: LimitStory) -> None:
    answer = story.patch(address(story), suspends_at="2026-03-05T12:00:00Z")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "suspends_at")
    answer = story.patch(address(story), status="suspended", suspends_at="2026-03-05T12:00:00Z")
    assert answer.status_code == 400


def test_the_audit_trail_keeps_why(story: LimitStory) -> None:
    story.change(address(story), status="suspended", status_reason="card stolen")
    entity = BillingEntity.objects.get(pk=row_id("be", story.payers["north"]))
    change = changes_of(entity)[0]
    assert {one.field: (one.old, one.new) for one in change.fields} == {
        "status": ("active", "suspended"),
        "status_reason": ("", "card stolen"),
    }
    assert change.actor == story.api.key.public_id


def test_who_is_closed_is_refused_by_right_and_its_reports_wait_for_staff(story: LimitStory) -> None:
    story.change(address(story), status="closed", status_reason="left us")
    answer = story.call(1)
    assert answer.status_code == 403
    assert (answer.json()["error"]["type"], answer.json()["error"]["code"]) == ("permission", "closed")
    body = {"events": [story.event({"tokens": 1}, "north")]}
    assert story.api.post("/v1/events", body).json()["quarantined"] == 1
    assert QuarantinedEvent.objects.get().reason == "closed"
    assert story.patch(address(story), status="active").status_code == 409


def test_what_a_suspended_payer_has_used_already_is_still_recorded(story: LimitStory) -> None:
    story.change(address(story), status="suspended")
    story.reported(3)
    assert story.settled(story.payers["north"]) == 99_997


def test_a_refusal_for_want_of_money_says_where_to_pay_in(story: LimitStory, settings: Any) -> None:
    assert story.denial(200_000)["top_up_url"] is None
    settings.TOP_UP_URL = "https://pay.example/{billing_entity}"
    denial = story.denial(200_000)
    assert (denial["reason"], denial["retryable"]) == ("insufficient_funds", True)
    assert denial["top_up_url"] == f"https://pay.example/{story.payers['north']}"
    story.change(address(story), status="suspended")
    assert story.denial(1)["top_up_url"] is None
