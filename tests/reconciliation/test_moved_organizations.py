"""A workspace that moves inside a group leaves the group's limit to be compared, not its divisions'."""

from __future__ import annotations

import pytest

from billing.reconciliation.checking import findings_of
from core import clock
from core.sql import driver
from tests.accounts.caller import Caller
from tests.billing.repairs.broken import corrupt
from tests.scenarios.limits import LimitStory

pytestmark = pytest.mark.django_db
RAISE = "UPDATE billing_limitcounter SET used = used + 3 WHERE counter LIKE 'lim:%%'"


def test_only_limits_whose_edge_was_crossed_are_left_out() -> None:
    story = LimitStory()
    limits = {
        name: story.limit("1000", organization=name, window="day")["id"]
        for name in ("group", "north-division", "south-division")
    }
    story.spend(5, "north")
    story.spend(7, "south")
    assert raised() == set()
    corrupt(RAISE)
    assert raised() == set(limits.values())
    corrupt(RAISE.replace("+", "-"))
    moved = Caller(story.api.secret).patch("/v1/workspaces/north", {"organization": "south-division"})
    assert moved.status == 200
    story.spend(11, "north")
    assert raised() == set()
    corrupt(RAISE)
    assert raised() == {limits["group"]}
    clock.use(None)


def raised() -> set[str]:
    """The limits that have counted 3 too much; nothing else disagrees."""
    found = [finding for _, finding in findings_of(driver(), clock.now())]
    assert all((one.type, one.difference) == ("limit_counter", 3) for one in found), found
    return {str(one.detail["limit"]) for one in found}
