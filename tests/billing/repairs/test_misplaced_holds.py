"""A hold counts in the limits of the organizations that it is in; else it is found, and placed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from billing.models import Authorization, LimitHold
from billing.reconciliation.repairs.running import do_repair, find_action, preview_repair
from core import clock
from tests.billing.repairs.broken import corrupt, discrepancies, found
from tests.scenarios.limits import LimitStory

pytestmark = pytest.mark.django_db
MOVE = "UPDATE accounts_workspace SET organization_id = {} WHERE external_id = 'north'"
SOUTH = "(SELECT id FROM accounts_organization WHERE external_id = 'south-division')"


@pytest.fixture
def story() -> Iterator[LimitStory]:
    yield LimitStory()
    clock.use(None)


def counted(story: LimitStory, *limits: dict[str, Any]) -> list[str]:
    """What is held of limits, by what they say and by the holds' own rows."""
    return [story.shown(limit)["held"] for limit in limits]


@pytest.mark.parametrize(
    ("asks", "place", "after"),
    [("authorizations", SOUTH, ["0", "6", "6"]), ("leases", "NULL", ["0", "0", "0"])],
)
def test_a_hold_whose_workspace_was_moved_in_sql_is_placed(
    story: LimitStory, asks: str, place: str, after: list[str]
) -> None:
    names = ("north-division", "south-division", "group")
    limits = [story.limit("20", organization=name) for name in names]
    story.limit("20", workspace="north")
    story.api.make(f"/v1/{asks}", workspace="north", amount="6", idempotency_key="h")
    assert counted(story, *limits) == ["6", "0", "6"]
    corrupt(MOVE.format(place))
    assert found() == [("limits", "hold_misplaced")] * 2
    repair_all()
    assert found() == []
    assert counted(story, *limits) == after
    kept = {(name, Decimal(amount)) for name, amount in Authorization.objects.get().counted_in}
    assert kept == set(LimitHold.objects.values_list("counter", "amount"))
    assert len(kept) == 1 + after.count("6")


def test_the_next_move_places_what_was_moved_in_sql(story: LimitStory) -> None:
    limit = story.limit("20", organization="south-division")
    story.api.make("/v1/authorizations", **story.event({"tokens": 6}, "north"))
    corrupt(MOVE.format(SOUTH))
    assert found() == [("limits", "hold_misplaced")]
    story.change("/v1/workspaces/south", organization=None)
    assert (found(), counted(story, limit)) == ([], ["6"])


def repair_all() -> None:
    for row in discrepancies():
        action = find_action(row, "place_hold")
        facts = preview_repair(row, action).facts
        do_repair(row, action, facts=facts, reason="r", by="felix")
