"""What the demo's customers call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from billing.demo import cast
from billing.demo.calls import Made, draw_events
from billing.demo.cast import CAST, Actor
from billing.demo.dice import dice_for
from metering.events import parse_event

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
ACTORS = {actor.slug: actor for actor in CAST}


def drawn(actor: Actor, count: int = 60) -> list[Made]:
    dice = dice_for(actor.slug)
    return [one for n in range(count) for one in draw_events(actor, ["main", "side"], AT, f"k{n}", dice)]


def test_every_customer_makes_events_that_the_api_takes() -> None:
    for actor in CAST:
        for made in drawn(actor, 20):
            event = parse_event(made.event, AT)
            assert event.occurred_at == made.at


def test_keys_are_used_once() -> None:
    for actor in CAST:
        keys = [made.event["idempotency_key"] for made in drawn(actor)]
        assert len(keys) == len(set(keys))


def test_a_podcast_is_a_trace_of_steps_that_ends_with_what_is_sold() -> None:
    made = draw_events(ACTORS[cast.STUDIO], ["studio"], AT, "job", dice_for("x"))
    names = [one.event["event"] for one in made]
    assert names[0] == "transcription"
    assert names[-2:] == ["encoding", "podcast_created"]
    assert set(names[1:-2]) == {"generation"}
    assert {one.event["trace"] for one in made} == {"podcast-job"}
    assert made[-1].at - made[0].at == timedelta(seconds=40 * (len(made) - 1))


def test_the_podcast_itself_is_known_to_cost_nothing() -> None:
    made = draw_events(ACTORS[cast.STUDIO], ["studio"], AT, "job", dice_for("x"))
    assert made[-1].event["costs"] == []
    assert all("costs" not in one.event for one in made[:-1])


def test_the_loss_maker_uses_the_dear_model_only() -> None:
    made = drawn(ACTORS[cast.LOSS_MAKER])
    assert {one.event["properties"]["model"] for one in made} == {"gpt-4o"}


def test_some_calls_have_no_known_vendor_price() -> None:
    providers = [made.event["properties"].get("provider") for made in drawn(ACTORS["fathom"], 400)]
    assert 5 < providers.count("nimbus") < 60
