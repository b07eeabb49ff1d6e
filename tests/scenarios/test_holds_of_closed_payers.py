"""A payer is closed while calls are under way: nothing new begins, and what was promised is charged."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from billing.authorizations import expire_due
from billing.models import Authorization, Denial, LimitHold, Overspend
from core import clock
from metering.models import QuarantinedEvent
from tests.scenarios.limits import LimitStory

pytestmark = pytest.mark.django_db


@pytest.fixture
def story() -> Iterator[LimitStory]:
    told = LimitStory()
    yield told
    told.at(3, 3)
    expire_due(told.now)
    told.audit()
    assert not Authorization.objects.filter(held__gt=0).exists(), "a hold is left over"
    assert not LimitHold.objects.exists()
    clock.use(None)


class Closing:
    """A payer of a story, its hold, and the instant at which it is closed."""

    def __init__(self, story: LimitStory, tokens: int = 6, **fields: Any) -> None:
        self.story, self.payer = story, story.payers["north"]
        self.key = "the-call"
        body = story.event({"tokens": tokens}, "north") | {"idempotency_key": self.key} | fields
        self.hold = str(story.api.make("/v1/authorizations", **body)["id"])

    def close(self) -> None:
        self.story.change(f"/v1/billing-entities/{self.payer}", status="closed")

    def capture(self, tokens: int, **fields: Any) -> Any:
        body = {"properties": {"tokens": tokens}} | fields
        return self.story.api.post(f"/v1/authorizations/{self.hold}/capture", body)

    def status(self) -> str:
        return str(self.story.api.get(f"/v1/authorizations/{self.hold}").json()["status"])

    def held(self) -> str:
        return str(self.story.balance(self.payer)["held"])


def test_nothing_new_begins(story: LimitStory) -> None:
    Closing(story).close()
    for path in ("/v1/charges", "/v1/authorizations"):
        answer = story.api.post(path, story.event({"tokens": 1}, "north"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "closed")
    lease = story.api.post("/v1/leases", {"workspace": "north", "amount": "1"})
    assert (lease.status_code, lease.json()["error"]["code"]) == (403, "closed")
    story.at(3, 2)


@pytest.mark.parametrize(
    ("tokens", "over", "status", "charged"),
    [
        (4, "reject", 201, "4"),
        (6, "reject", 201, "6"),
        (9, "cap", 201, "6"),
        (9, "overdraft", 201, "9"),
    ],
)
def test_an_open_hold_is_captured_as_if_nothing_had_happened(
    story: LimitStory, tokens: int, over: str, status: int, charged: str
) -> None:
    limit = story.limit("100", workspace="north")
    call = Closing(story)
    call.close()
    answer = call.capture(tokens, over=over)
    assert answer.status_code == status, answer.content
    assert (call.status(), call.held()) == ("captured", "0")
    assert story.used(limit) == Decimal(charged)
    assert story.settled(call.payer) == 100000 - Decimal(charged)
    assert not LimitHold.objects.exists()
    assert call.capture(tokens, over=over).status_code == 200  # again: the first answer


def test_beyond_what_is_held_it_is_refused_unless_it_says_otherwise_and_stays_held(story: LimitStory) -> None:
    call = Closing(story)
    call.close()
    assert call.capture(9).status_code == 402
    assert (call.status(), call.held()) == ("authorized", "6")
    assert story.api.post(f"/v1/authorizations/{call.hold}/void", {}).status_code == 200
    assert call.held() == "0"


@pytest.mark.parametrize("named_by", ["key", "id"])
def test_a_report_under_the_calls_name_captures_it(story: LimitStory, named_by: str) -> None:
    call = Closing(story)
    call.close()
    key = call.key if named_by == "key" else call.hold
    event = story.event({"tokens": 8}, "north") | {"idempotency_key": key}
    for _ in range(2):
        story.api.post("/v1/events", {"events": [event]})
    assert (call.status(), call.held(), story.settled(call.payer)) == ("captured", "0", 99992)
    assert not QuarantinedEvent.objects.exists()


def test_after_its_time_a_capture_is_refused_and_the_report_is_recorded(story: LimitStory) -> None:
    call = Closing(story, expires_in=600)
    call.close()
    story.at(3, 1, 0, 10)
    answer = call.capture(5)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "authorization_expired")
    event = story.event({"tokens": 5}, "north") | {"idempotency_key": call.hold}
    assert story.api.post("/v1/events", {"events": [event]}).json()["accepted"] == 1
    assert (call.status(), call.held(), story.settled(call.payer)) == ("captured", "0", 99995)
    for model in (Denial, QuarantinedEvent, Overspend):
        assert not model.objects.exists()


def test_what_the_wallet_lacks_for_a_late_report_is_overspend(story: LimitStory) -> None:
    call = Closing(story, tokens=99999, expires_in=600)
    story.at(3, 1, 0, 10)
    story.spend(99000)
    call.close()
    event = story.event({"tokens": 1500}, "north") | {"idempotency_key": call.hold}
    assert story.api.post("/v1/events", {"events": [event]}).json()["accepted"] == 1
    (row,) = Overspend.objects.all()
    assert (row.amount, row.cause, story.settled(call.payer)) == (500, "late_capture", -500)


def test_any_other_usage_that_is_reported_waits_in_quarantine(story: LimitStory) -> None:
    Closing(story).close()
    answer = story.api.post("/v1/events", {"events": [story.event({"tokens": 1}, "north")]})
    assert answer.json()["quarantined"] == 1
    assert QuarantinedEvent.objects.get().reason == "closed"
    story.at(3, 2)


def test_the_calls_of_a_lease_are_charged_and_it_may_be_returned(story: LimitStory) -> None:
    limit = story.limit("100", organization=story.group)
    lease = story.api.make("/v1/leases", workspace="north", amount="8", expires_in=600)["id"]
    story.change(f"/v1/billing-entities/{story.payers['north']}", status="closed")
    calls = [story.event({"tokens": tokens}, "north") for tokens in (3, 2)]
    reported = story.api.post(f"/v1/leases/{lease}/report", {"events": calls}).json()
    assert (reported["accepted"], reported["used"], reported["held"]) == (2, "5", "3")
    returned = story.api.post(f"/v1/leases/{lease}/return", {}).json()
    assert (returned["status"], returned["balance"]["held"]) == ("returned", "0")
    assert story.used(limit) == 5


def test_a_call_of_another_payers_workspace_is_not_the_leases(story: LimitStory) -> None:
    lease = story.api.make("/v1/leases", workspace="north", amount="8", expires_in=600)["id"]
    story.change(f"/v1/billing-entities/{story.payers['south']}", status="closed")
    reported = story.api.post(
        f"/v1/leases/{lease}/report", {"events": [story.event({"tokens": 3}, "south")]}
    ).json()
    assert (reported["quarantined"], reported["used"]) == (1, "0")
    assert QuarantinedEvent.objects.get().reason == "closed"
    story.at(3, 2)


def test_what_is_held_lasts_no_longer_than_when_it_was_closed(story: LimitStory) -> None:
    call = Closing(story, expires_in=600)
    call.close()
    answer = story.api.post(f"/v1/authorizations/{call.hold}/extend", {"expires_in": 86400})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "closed")
    story.at(3, 1, 0, 9)
    assert call.capture(5).status_code == 201
