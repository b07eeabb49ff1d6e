"""What moves in a customer's tree takes its open holds from the limits that it leaves to those it joins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from billing.models import Authorization, LimitHold
from tests.billing.authorizing import table
from tests.scenarios.limits import LimitStory

pytestmark = pytest.mark.django_db
DOCUMENT = Path(__file__).parents[2] / "docs/algorithms/limits.md"
MOVES: dict[str, tuple[str, dict[str, Any]]] = {
    "n moves to S": ("/v1/workspaces/north", {"organization": "south-division"}),
    "the payer of S moves to N": ("/v1/billing-entities/{south}", {"organization": "north-division"}),
    "S moves below N": ("/v1/organizations/south-division", {"parent": "north-division"}),
    "S leaves the group": ("/v1/organizations/south-division", {"parent": None}),
}
NAMES = {"n": "north", "s": "south", "N": "north-division", "S": "south-division"}


def hold(story: LimitStory, tokens: int, workspace: str | None = "north", **fields: Any) -> str:
    body = story.event({"tokens": tokens}, workspace, **fields)
    return str(story.api.make("/v1/authorizations", **body)["id"])


def capture(story: LimitStory, held: str, tokens: int) -> Any:
    return story.api.post(f"/v1/authorizations/{held}/capture", {"properties": {"tokens": tokens}})


def shown(story: LimitStory, *limits: dict[str, Any]) -> list[str]:
    """What is used and held of limits."""
    rows = [story.shown(limit) for limit in limits]
    return [f"{row['used']} + {row['held']}" for row in rows]


class Table:
    """Does what a row says, and tells the answer."""

    def __init__(self, story: LimitStory) -> None:
        self.story = story
        self.holds: dict[str, str] = {}

    def does(self, happens: str, tokens: int) -> str:
        if happens in MOVES:
            path, place = MOVES[happens]
            self.story.change(path.format(**self.story.payers), **place)
            return "moved"
        what, where = happens.split(" ", 1)
        if what == "capture":
            answer = capture(self.story, self.holds[where], tokens)
        else:
            fields: dict[str, Any] = {}
            if where.startswith("of"):
                fields = {"billing_entity": self.story.payers["south"]}
            workspace = None if fields else NAMES[where.removeprefix("in ")]
            path = "/v1/charges" if what == "charge" else "/v1/authorizations"
            answer = self.story.api.post(path, self.story.event({"tokens": tokens}, workspace, **fields))
            if what == "hold":
                self.holds[where] = answer.json().get("id", "")
        assert answer.status_code in (201, 402), answer.content
        return "refused" if answer.status_code == 402 else "held" if what == "hold" else "charged"


def test_the_table_row_by_row(story: LimitStory) -> None:
    """The table of docs/algorithms/limits.md."""
    amounts = {"north-division": "10", "south-division": "10", "group": "20"}
    limits = [story.limit(amount, organization=name, window="day") for name, amount in amounts.items()]
    teller = Table(story)
    for minute, row in enumerate(table("what happens | of | answer", DOCUMENT)):
        story.at(3, 1, 0, minute)
        answer = teller.does(row["what happens"], int(row["of"] or 0))
        found = [answer, *shown(story, *limits)]
        assert found == [row[name] for name in ("answer", "N", "S", "group")], row["what happens"]
        if answer == "moved":
            story.audit()
    assert not LimitHold.objects.exists()


@pytest.mark.parametrize("window", [{"window": "rolling", "hours": 24}, {"window": "billing_period"}])
def test_a_hold_moves_in_windows_of_every_kind(story: LimitStory, window: dict[str, Any]) -> None:
    left, joined = (
        story.limit("10", organization=f"{name}-division", **window) for name in ("north", "south")
    )
    held = hold(story, 6)
    story.at(3, 1, 0, 5)
    story.change("/v1/workspaces/north", organization="south-division")
    assert shown(story, left, joined) == ["0 + 0", "0 + 6"]
    assert story.denial(5, "south")["used"] == "6"
    assert capture(story, held, 6).status_code == 201
    assert shown(story, left, joined) == ["0 + 0", "6 + 0"]


def test_what_comes_may_pass_a_limit_and_is_captured_all_the_same(story: LimitStory) -> None:
    limit = story.limit("10", organization="south-division")
    held = hold(story, 8)
    story.spend(7, "south")
    story.change("/v1/workspaces/north", organization="south-division")
    assert shown(story, limit) == ["7 + 8"]
    assert story.denial(1, "south")["used"] == "15"
    assert capture(story, held, 8).status_code == 201
    assert shown(story, limit) == ["15 + 0"]


def test_only_what_is_still_held_moves(story: LimitStory) -> None:
    limit = story.limit("20", organization="south-division")
    lease = story.api.make("/v1/leases", workspace="north", amount="8", expires_in=3600)["id"]
    call = story.event({"tokens": 3}, "north")
    assert story.api.post(f"/v1/leases/{lease}/report", {"events": [call]}).json()["accepted"] == 1
    void = hold(story, 2)
    assert story.api.post(f"/v1/authorizations/{void}/void", {}).status_code == 200
    hold(story, 4, expires_in=600)
    story.at(3, 1, 0, 10)
    story.change("/v1/workspaces/north", organization="south-division")
    assert shown(story, limit) == ["0 + 5"]
    call = story.event({"tokens": 1}, "north")
    assert story.api.post(f"/v1/leases/{lease}/report", {"events": [call]}).json()["accepted"] == 1
    assert shown(story, limit) == ["1 + 4"]
    assert story.api.post(f"/v1/leases/{lease}/return", {}).status_code == 200
    assert shown(story, limit) == ["1 + 0"]


def test_a_hold_that_moved_ends_and_lasts_as_any_other(story: LimitStory) -> None:
    limit = story.limit("10", organization="south-division")
    held = hold(story, 6, expires_in=600)
    story.change("/v1/workspaces/north", organization="south-division")
    extended = story.api.post(f"/v1/authorizations/{held}/extend", {"expires_in": 3600})
    assert extended.status_code == 200
    story.at(3, 1, 0, 59)
    assert shown(story, limit) == ["0 + 6"]
    story.at(3, 1, 1)
    assert shown(story, limit) == ["0 + 0"]


def test_other_levels_currencies_and_quotas_stay_as_they_were() -> None:
    quota = {"feature": "tokens_a_month", "type": "metered", "meter": "tokens", "limit": "10"}
    story = LimitStory(entitlements=[quota])
    owners: list[dict[str, Any]] = [
        {"workspace": "north"},
        {"billing_entity": story.payers["north"]},
        {"billing_entity": story.payers["north"], "meter": "tokens"},
        {"organization": "north-division", "currency": "EUR"},
        {"organization": "south-division", "currency": "EUR"},
    ]
    limits = [story.limit("10", **owner) for owner in owners]
    hold(story, 6)
    before = shown(story, *limits)
    assert before == ["0 + 6"] * 3 + ["0 + 0"] * 2
    rows = set(LimitHold.objects.values_list("counter", "amount"))
    assert len(rows) == 4
    story.change("/v1/workspaces/north", organization="south-division")
    assert shown(story, *limits) == before
    assert set(LimitHold.objects.values_list("counter", "amount")) == rows
    assert story.denial(5)["used"] == "6"
    story.audit()


def test_another_payer_of_a_workspace_moves_nothing(story: LimitStory) -> None:
    limits = [story.limit("20", organization=name) for name in ("north-division", "south-division")]
    held = hold(story, 6)
    body = {
        "workspace": "north",
        "billing_entity": story.payers["south"],
        "starts_at": "2026-03-01T00:01:00Z",
    }
    story.api.make("/v1/payer-assignments", **body)
    story.at(3, 1, 0, 2)
    assert shown(story, *limits) == ["0 + 6", "0 + 0"]
    story.spend(1)
    assert capture(story, held, 5).status_code == 201
    assert shown(story, *limits) == ["6 + 0", "0 + 0"]


def test_a_change_without_a_move_and_a_move_without_limits_change_no_hold(story: LimitStory) -> None:
    hold(story, 6)
    story.change("/v1/workspaces/north", organization="south-division")
    assert Authorization.objects.get().counted_in == []
    limit = story.limit("10", organization="south-division")
    counted = Authorization.objects.get().counted_in
    story.change("/v1/workspaces/north", name="North", organization="south-division")
    story.change(f"/v1/billing-entities/{story.payers['north']}", name="North", low_balance=["5"])
    assert Authorization.objects.get().counted_in == counted
    assert shown(story, limit) == ["0 + 6"]
    assert story.api.post(f"/v1/spend-limits/{limit['id']}/end", {}).status_code == 200
    story.change("/v1/workspaces/north", organization=None)
    story.spend(9)


def test_a_move_that_is_refused_leaves_every_hold_in_its_place(story: LimitStory) -> None:
    limits = [story.limit("10", organization=name) for name in ("group", "north-division")]
    hold(story, 6)
    refused = story.patch("/v1/organizations/group", parent="north-division")
    assert refused.status_code == 409
    assert shown(story, *limits) == ["0 + 6", "0 + 6"]


def test_what_an_import_moves_takes_its_holds_along(story: LimitStory, tmp_path: Path) -> None:
    limits = [story.limit("20", organization=name) for name in ("north-division", "south-division")]
    story.change(f"/v1/customers/{story.customer}", external_id="group-inc")
    hold(story, 6)
    hold(story, 3, "south")
    line = {"customer": "group-inc", "organization": "south-division", "workspace": "north"}
    file = tmp_path / "moves.jsonl"
    file.write_text(json.dumps(line) + "\n")
    call_command("import_customers", file, dry_run=True)
    assert shown(story, *limits) == ["0 + 6", "0 + 3"]
    call_command("import_customers", file)
    assert shown(story, *limits) == ["0 + 0", "0 + 9"]
