"""Margin floors, quotas and limits begin anew with the period, on the payer's clock: month ends that are not
of one length, summer time that comes and goes, zones half an hour aside."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from core import clock
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db
FLOOR = {"min_margin": "0.20", "min_volume": "10", "action": "deny"}
QUOTA = {"feature": "quota", "type": "metered", "meter": "images", "limit": "3"}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


class Bounded:
    """A payer with a margin floor, a quota of three images and a limit of 20 for tokens in each period;
    subscribed from `starts_at` on."""

    def __init__(self, story: LifeStory, zone: str, starts_at: str, **terms: Any) -> None:
        self.story = story
        for meter in ("tokens", "images"):
            story.meter(meter)
        components = (per_unit("tokens", "1"), per_unit("images", "1"))
        version = story.plan(*components, margin_floor=FLOOR, entitlements=[QUOTA], **terms)
        story.clock_at(utc(starts_at))
        self.payer = story.payer(top_up="10000", time_zone=zone)
        story.start(self.payer, version)
        limited = {"billing_entity": self.payer, "meter": "tokens", "amount": "20"}
        self.limit = story.api.make("/v1/spend-limits", **limited)["id"]

    def ask(self, cost: str | None = None, **properties: int) -> str:
        """201, or the reason of the refusal with what it says of a reset."""
        event = self.story._event(self.payer, None, properties)
        if cost is not None:
            event["costs"] = [{"vendor": "v", "amount": cost, "currency": "USD"}]
        answer = self.story.api.post("/v1/charges", event)
        if answer.status_code == 201:
            return "201"
        denial = answer.json()["denial"]
        return f"{denial['reason']} until {denial['resets_at'][:16]}"

    def fill(self) -> None:
        """Use all of it up, to the last: the quota, the limit, and the margin."""
        assert self.ask(images=3) == "201"
        assert self.ask("16", tokens=20) == "201"

    def refusals(self) -> list[str]:
        """What a call says that passes the quota, the limit, and the floor."""
        return [self.ask(images=1), self.ask(tokens=1), self.ask("90", other=1)]


@pytest.fixture
def story() -> Iterator[LifeStory]:
    told = LifeStory()
    yield told
    told.audit()
    clock.use(None)


@pytest.mark.parametrize(
    ("zone", "anchor", "starts_at", "resets"),
    [
        ("UTC", "calendar", "2026-03-05T10:00", ["2026-04-01T00:00", "2026-05-01T00:00"]),
        ("Europe/Berlin", "calendar", "2026-03-05T10:00", ["2026-03-31T22:00", "2026-04-30T22:00"]),
        ("Europe/Berlin", "calendar", "2026-10-05T10:00", ["2026-10-31T23:00", "2026-11-30T23:00"]),
        ("Asia/Kolkata", "calendar", "2026-03-05T10:00", ["2026-03-31T18:30", "2026-04-30T18:30"]),
        ("America/Sao_Paulo", "calendar", "2026-03-05T10:00", ["2026-04-01T03:00", "2026-05-01T03:00"]),
        ("UTC", "subscription", "2026-03-31T10:00", ["2026-04-30T00:00", "2026-05-31T00:00"]),
        ("Europe/Berlin", "subscription", "2026-08-31T10:00", ["2026-09-29T22:00", "2026-10-30T23:00"]),
        ("America/Sao_Paulo", "subscription", "2026-12-31T10:00", ["2027-01-31T03:00", "2027-02-28T03:00"]),
        ("Asia/Kolkata", "subscription", "2027-01-31T10:00", ["2027-02-27T18:30", "2027-03-30T18:30"]),
    ],
)
def test_all_bounds_begin_anew_at_the_same_instant(
    story: LifeStory, zone: str, anchor: str, starts_at: str, resets: list[str]
) -> None:
    bounded = Bounded(story, zone, starts_at, anchor=anchor)
    for reset in resets:
        bounded.fill()
        expected = [f"{reason} until {reset}" for reason in ("entitlement", "spend_limit")]
        assert bounded.refusals()[:2] == expected
        story.clock_at(utc(reset + ":00") - (utc("2026-01-01T00:00:01") - utc("2026-01-01T00:00:00")))
        assert bounded.refusals()[:2] == expected  # a second before
        story.clock_at(utc(reset))
    bounded.fill()


@pytest.mark.parametrize(
    ("zone", "starts_at", "reset"),
    [
        ("Europe/Berlin", "2026-03-05T10:00", "2026-03-31T22:00"),
        ("Europe/Berlin", "2026-10-05T10:00", "2026-10-31T23:00"),
        ("America/Sao_Paulo", "2026-03-05T10:00", "2026-04-01T03:00"),
    ],
)
def test_a_margin_is_that_of_the_period(story: LifeStory, zone: str, starts_at: str, reset: str) -> None:
    bounded = Bounded(story, zone, starts_at)
    assert bounded.ask("8", tokens=10) == "201"
    assert bounded.ask("1", tokens=1) == f"margin_floor until {reset}"
    story.clock_at(utc(reset))
    assert bounded.ask("1", tokens=1) == "201"  # the new period has not its volume yet
    assert bounded.ask("9", tokens=9).startswith("margin_floor until")


def test_a_rolling_day_has_24_hours_when_the_clock_goes_forward_and_back(story: LifeStory) -> None:
    for starts_at, before, after in (
        ("2026-03-28T12:00", "2026-03-29T12:23", "2026-03-29T12:24"),
        ("2026-10-24T12:00", "2026-10-25T12:23", "2026-10-25T12:24"),
    ):
        story.clock_at(utc(starts_at))
        version = _version(story)
        payer = story.payer(top_up="100", time_zone="Europe/Berlin")
        story.start(payer, version)
        limit = {"billing_entity": payer, "amount": "10", "window": "rolling", "hours": 24}
        story.api.make("/v1/spend-limits", **limit)
        assert story.charge(payer, tokens=10) == "10"
        story.clock_at(utc(before))  # a slot is of 24 minutes: the first one leaves whole
        assert story.refused(payer, tokens=1) == "spend_limit"
        story.clock_at(utc(after))
        assert story.charge(payer, tokens=10) == "10"


def _version(story: LifeStory) -> str:
    if not hasattr(story, "version"):
        story.meter("tokens")
        story.version = story.plan(per_unit("tokens", "1"))  # type: ignore[attr-defined]
    return str(story.version)  # type: ignore[attr-defined]
