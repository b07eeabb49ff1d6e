"""The buttons of /demo, over real HTTP."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billing.demo import cast
from billing.demo.acts import DRAIN_CALLS, DRAIN_SENT, play_drain, play_podcast, play_repeats, play_two_payers
from billing.demo.cast import CAST
from billing.demo.gateway import Gateway, Unreachable
from billing.demo.new_prices import dearer, play_publish
from billing.demo.people import issue_gateway_key
from billing.demo.stage import enter, set_prices
from billing.models import Charge, Denial
from billing.wallets import top_up
from core import clock
from metering.models import UsageEvent
from pricing.models import PlanVersion

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gateway(live_server: Any) -> Gateway:
    """The stage with the customers that the buttons charge, each with 20 in its wallet."""
    versions = set_prices(clock.now().replace(year=2020))
    for actor in CAST:
        if actor.slug in (cast.STUDIO, cast.BLOCKED, *cast.NEIGHBOURS):
            top_up(enter(actor, versions[actor.plan]).payers[0], Decimal(20))
    return Gateway(live_server.url, issue_gateway_key())


def test_a_podcast_is_charged_once_and_its_steps_cost(gateway: Gateway) -> None:
    outcome = play_podcast(gateway)
    wallet, cost = outcome.sides
    assert (wallet.before, wallet.after) == (Decimal(20), Decimal("18.8"))
    assert cost.after > 0
    assert outcome.links[0][1] == "trace"
    assert UsageEvent.objects.filter(trace=outcome.links[0][2][1]).count() == outcome.answers[0][1]


def test_two_users_behind_one_address_are_paid_for_by_two(gateway: Gateway) -> None:
    outcome = play_two_payers(gateway)
    assert outcome.answers == [("201 charged", 2)]
    assert [side.before - side.after for side in outcome.sides] == [Decimal("0.00999")] * 2


def test_fifty_repeats_are_one_charge_and_a_late_call_is_another(gateway: Gateway) -> None:
    subscription = "the subscription began today, so three weeks ago nothing prices the call"
    outcome = play_repeats(gateway)
    assert dict(outcome.answers)["200 answered again"] == 49, subscription
    first = outcome.sides[0]
    assert first.before - first.after == Decimal("0.00999")
    assert Charge.objects.count() == 1


def test_a_drained_wallet_ends_at_zero_after_exactly_its_calls(gateway: Gateway) -> None:
    outcome = play_drain(gateway)
    assert dict(outcome.answers) == {"201 charged": DRAIN_CALLS, "402 denied": DRAIN_SENT - DRAIN_CALLS}
    wallet = outcome.sides[0]
    assert (wallet.before, wallet.after) == (Decimal("4.5"), Decimal(0))
    assert Denial.objects.count() == DRAIN_SENT - DRAIN_CALLS


def test_a_drain_can_be_repeated(gateway: Gateway) -> None:
    play_drain(gateway)
    assert dict(play_drain(gateway).answers)["201 charged"] == DRAIN_CALLS


def test_a_published_version_moves_nobody_and_shows_a_customer_its_price(gateway: Gateway) -> None:
    outcome = play_publish(gateway)
    assert outcome.answers == [("201 answered", 1), ("200 answered", 1)]
    assert outcome.sense.startswith("v2 is published.")
    assert [link[1] for link in outcome.links] == ["customer_price_as", "plan_version", "plan"]
    assert [side.currency for side in outcome.sides] == ["USD"]
    first, second = PlanVersion.objects.filter(plan__key=cast.PAYG).order_by("number")
    assert (second.status, second.content) == ("published", dearer(first.content))
    assert not second.subscriptions.exists()
    prices = [tier["unit_price"] for tier in second.content["components"][1]["tiers"]]
    assert prices == ["0.0000198", "0.0000168", "0.000015"]


def test_it_is_pressed_again_and_again_and_the_price_goes_to_and_fro(gateway: Gateway) -> None:
    for number in (2, 3, 4):
        assert play_publish(gateway).sense.startswith(f"v{number} is published.")
    contents = (
        PlanVersion.objects.filter(plan__key=cast.PAYG).order_by("number").values_list("content", flat=True)
    )
    assert [contents[0] == content for content in contents] == [True, False, True, False]


def test_a_key_that_is_no_longer_valid_is_said_clearly(gateway: Gateway) -> None:
    with pytest.raises(Unreachable, match="still valid"):
        play_podcast(Gateway(gateway.url, "tg_nonsense"))


def test_a_server_that_is_away_is_said_clearly() -> None:
    with pytest.raises(Unreachable):
        Gateway("http://127.0.0.1:9", "tg_x").balance("fathom-production")
