"""The demo's live traffic."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO
from itertools import islice
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.demo import cast
from billing.demo.cast import CAST
from billing.demo.dice import dice_for
from billing.demo.gateway import Answer, Gateway, Unreachable
from billing.demo.people import issue_gateway_key
from billing.demo.stage import enter, set_prices
from billing.demo.traffic import Call, Sums, calls, run, send
from billing.models import Charge, TopUp
from billing.wallets import top_up
from core import clock
from metering.events import parse_event

ACTORS = {actor.slug: actor for actor in CAST}


class Answers(Gateway):
    """A gateway that answers from a list instead of over HTTP, None for a server that is away."""

    def send(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """The next answer."""
        SENT.append((path, body))
        status = SCRIPT.pop(0) if SCRIPT else 201
        if status is None:
            raise Unreachable("away")
        return Answer(status, {}, 1)


SENT: list[tuple[str, Any]] = []
SCRIPT: list[int | None] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    SENT.clear()
    SCRIPT.clear()


def some_calls(count: int = 400) -> list[Call]:
    return list(islice(calls(dice_for("traffic"), "run"), count))


def test_every_event_is_one_that_the_api_takes_under_a_key_of_its_own() -> None:
    keys = [parse_event(event, clock.now()).idempotency_key for call in some_calls() for event in call.events]
    assert len(keys) == len(set(keys))


def test_charges_and_reports_are_mixed() -> None:
    reports = [call.is_report for call in some_calls()]
    assert 50 < sum(reports) < 250


def test_wallets_that_are_meant_to_stay_as_they_are_get_no_traffic() -> None:
    called = {call.actor.slug for call in some_calls(2000)}
    assert not called & {cast.RUNNING_OUT, cast.BLOCKED, cast.OVERSPENT, cast.STUDIO, *cast.NEIGHBOURS}
    assert len(called) > 25


def test_a_call_is_sent_again_under_the_same_key_until_the_server_is_back() -> None:
    SCRIPT.extend([201, None, None, 201])
    pauses: list[Decimal] = []

    def sleep(seconds: Decimal) -> bool:
        pauses.append(seconds)
        return len(pauses) == 5

    sums = Sums()
    run(Answers("http://nowhere", "x"), dice_for("again"), "r", Decimal(1) / 3, sleep, sums)
    assert sums.failures == 2
    assert SENT[1] == SENT[2] == SENT[3]


def test_a_signal_ends_it_even_while_the_server_is_away() -> None:
    SCRIPT.extend([None] * 3)
    run(Answers("http://nowhere", "x"), dice_for("end"), "r", Decimal(1), lambda seconds: True, Sums())
    assert len(SENT) == 1


@pytest.mark.django_db(transaction=True)
def test_a_wallet_that_runs_low_is_topped_up_once_a_minute(live_server: Any) -> None:
    actor = ACTORS["drift"]
    versions = set_prices(clock.now().replace(year=2020))
    top_up(enter(actor, versions[actor.plan]).payers[0], Decimal(5))
    gateway, sums = Gateway(live_server.url, issue_gateway_key()), Sums()
    for number in range(2):
        event = {
            "idempotency_key": f"t{number}",
            "event": "completion",
            "workspace": "drift-production",
            "properties": {"input_tokens": 1000, "output_tokens": 10},
        }
        send(gateway, Call(actor, [event], False), sums)
    assert (sums.charged, sums.top_ups) == (2, 1)
    assert Charge.objects.count() == 2
    assert TopUp.objects.filter(amount=200).count() == 1


def test_without_a_loaded_demo_the_command_says_what_to_do() -> None:
    with pytest.raises(CommandError, match="load_demo"):
        call_command("demo_traffic", stdout=StringIO())
