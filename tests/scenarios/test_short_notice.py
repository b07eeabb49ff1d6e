"""Announcing with less than the minimum of notice: what is a reason, what the thirty days run from."""

from __future__ import annotations

import pytest

from tests.scenarios.changes import PriceChanges
from tests.scenarios.money import Story, per_unit

pytestmark = pytest.mark.django_db


@pytest.fixture
def versions(changes: PriceChanges) -> tuple[str, str]:
    return changes.publish(per_unit("tok", "1")), changes.publish(per_unit("tok", "2"))


@pytest.mark.parametrize("reason", ["", " ", "\n\t "])
def test_blanks_are_no_reason(
    money: Story, changes: PriceChanges, versions: tuple[str, str], reason: str
) -> None:
    changes.customers(1, versions[0])
    rollout = changes.draft(versions[1], "on_date", effective_at="2026-03-30T23:59:59Z")
    status, code = changes.refused(rollout, "announce", reason=reason)
    assert (status, code) in {(422, "notice_too_short"), (400, "blank")}
    assert changes.shown(rollout)["status"] == "draft"
    assert changes.members(rollout) == []


def test_the_notice_runs_from_when_customers_are_told_not_from_the_announcement(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    changes.customers(1, versions[0])
    dates = {"notice_at": "2026-03-20T00:00:00Z", "effective_at": "2026-04-15T00:00:00Z"}
    rollout = changes.draft(versions[1], "on_date", **dates)
    assert changes.refused(rollout, "announce") == (422, "notice_too_short")


def test_a_notice_that_was_to_be_in_the_past_is_one_of_now(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    changes.customers(1, versions[0])
    dates = {"notice_at": "2026-03-02T00:00:00Z", "effective_at": "2026-04-02T00:00:00Z"}
    rollout = changes.draft(versions[1], "on_date", **dates)
    money.at(3, 4)
    assert changes.refused(rollout, "announce") == (422, "notice_too_short"), "29 days are left"
    changes.act(rollout, "announce", reason="we were late")
    assert changes.shown(rollout)["notice_at"] == "2026-03-04T00:00:00Z"


def test_one_payer_whose_renewal_comes_too_soon_is_enough(money: Story, changes: PriceChanges) -> None:
    first = changes.publish(per_unit("tok", "1"), anchor="subscription")
    second = changes.publish(per_unit("tok", "2"), anchor="subscription")
    changes.customers(2, first)
    money.at(3, 20)
    changes.customers(1, first)
    # From 10 April on: the anchors of the 1st renew on 1 May, the one of the 20th on 20 April.
    rollout = changes.draft(second, effective_at="2026-04-10T00:00:00Z")
    money.at(3, 25)
    assert changes.refused(rollout, "announce") == (422, "notice_too_short")
    shown = money.api.get(f"/v1/rollouts/{rollout}/preview").json()
    assert (shown["first_effective_at"], shown["last_effective_at"], shown["needs_reason"]) == (
        "2026-04-20T00:00:00Z",
        "2026-05-01T00:00:00Z",
        True,
    )


def test_nobody_is_moved_before_being_told_even_when_the_date_has_come(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    (payer,) = changes.customers(1, versions[0], top_up="100")
    at = "2026-03-10T00:00:00Z"
    changes.announce(versions[1], "on_date", reason="urgent", notice_at=at, effective_at=at)
    money.at(3, 9)
    changes.due()
    assert money.charge(payer, tok=1) == "1"
    money.at(3, 10)
    changes.due()
    assert (changes.on(payer), money.charge(payer, tok=1)) == (versions[1], "2")


def test_a_rollback_needs_a_reason_too(
    money: Story, changes: PriceChanges, versions: tuple[str, str]
) -> None:
    changes.customers(1, versions[0])
    rollout = changes.announce(versions[1], "immediately", reason="an error in the old one")
    changes.due()
    money.at(3, 2)
    for body in ({}, {"reason": ""}, {"reason": "  "}):
        status, _ = changes.refused(rollout, "roll-back", **body)
        assert status in (400, 422)
