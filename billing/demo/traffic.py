"""Live traffic: a few calls a second, charges and reports mixed, as long as the demo runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from billing.demo import cast
from billing.demo.calls import completion, extras_of, podcast_steps
from billing.demo.cast import Actor
from billing.demo.gateway import Answer, Gateway, Unreachable
from core import clock

SCALE: Final = 5
"""The size of a live call, per mille of one of the history, which stands for a minute of a busy gateway."""
_LEFT_ALONE: Final = (
    *(cast.RUNNING_OUT, cast.BLOCKED, cast.OVERSPENT),
    *(cast.STUDIO, *cast.NEIGHBOURS),
)
"""Whose wallets are meant to be as they are, or are looked at before and after the buttons of /demo."""
_SELDOM: Final = (cast.CREDITS, cast.PODCAST)

Sleep = Callable[[Decimal], bool]
"""Waits so many seconds; whether it is time to stop."""


@dataclass(frozen=True, slots=True)
class Call:
    """What goes over HTTP at once: one charge, or a report of several events."""

    actor: Actor
    events: list[dict[str, Any]]
    is_report: bool


@dataclass(slots=True)
class Sums:
    """What the traffic has come to."""

    charged: int = 0
    denied: int = 0
    reported: int = 0
    top_ups: int = 0
    failures: int = 0
    topped_up_at: dict[str, datetime] = field(default_factory=dict)


def calls(dice: Random, run: str) -> Iterator[Call]:
    """Calls without end; `run` keeps the keys of one process apart from those of another."""
    actors = [actor for actor in cast.CAST if actor.slug not in _LEFT_ALONE]
    weights = [max(1, actor.volume // 8) if actor.plan in _SELDOM else actor.volume for actor in actors]
    number = 0
    while True:
        number += 1
        actor = dice.choices(actors, weights)[0]
        yield draw_call(actor, f"live-{run}-{number}", clock.now(), dice)


def draw_call(actor: Actor, key: str, now: datetime, dice: Random) -> Call:
    """One call of an actor: mostly a charge, else a small report."""
    workspace = "meridian-storefront" if actor.slug == cast.TREE else f"{actor.slug}-production"

    def event(number: int, name: str, properties: dict[str, Any]) -> dict[str, Any]:
        at = now - timedelta(milliseconds=dice.randrange(5, 1500))
        return extras_of(name) | {
            "idempotency_key": f"{key}-{number}",
            "event": name,
            "workspace": workspace,
            "occurred_at": at.isoformat(),
            "properties": properties,
        }

    if actor.plan == cast.PODCAST:
        steps = [event(number, *step) for number, step in enumerate(podcast_steps(dice))]
        return Call(actor, [step | {"trace": f"podcast-{key}"} for step in steps], True)
    if dice.randrange(4) == 0:
        made = [
            event(n, "completion", completion(actor, dice, scale=SCALE)) for n in range(dice.randrange(1, 4))
        ]
        return Call(actor, made, True)
    return Call(actor, [event(0, "completion", completion(actor, dice, scale=SCALE))], False)


def send(gateway: Gateway, call: Call, sums: Sums) -> None:
    """Send one call, and pay in where a wallet runs low. Raises Unreachable."""
    if call.is_report:
        answer = gateway.report(call.events)
        sums.reported += int(answer.body.get("accepted", 0))
        return
    answer = gateway.charge(call.events[0])
    sums.charged += answer.status in (200, 201)
    sums.denied += answer.is_denied
    _keep_alive(gateway, call, answer, sums)


def run(gateway: Gateway, dice: Random, name: str, pause: Decimal, sleep: Sleep, sums: Sums) -> None:
    """Send calls until `sleep` says stop; while the server is away, the same call is tried again."""
    for call in calls(dice, name):
        while True:
            try:
                send(gateway, call, sums)
                break
            except Unreachable:
                sums.failures += 1
                if sleep(Decimal(1)):
                    return
        if sleep(pause * dice.randrange(40, 160) / 100):
            return


def _keep_alive(gateway: Gateway, call: Call, answer: Answer, sums: Sums) -> None:
    """Top up a prepaid wallet below a fifth of its usual top-up, at most once a minute."""
    actor, balance = call.actor, answer.body.get("balance") or {}
    if not actor.is_prepaid or "settled" not in balance:
        return
    usual, now = cast.TOP_UPS[actor.currency], clock.now()
    last = sums.topped_up_at.get(actor.slug)
    if Decimal(balance["settled"]) > usual / 5 or (last and now - last < timedelta(minutes=1)):
        return
    sums.topped_up_at[actor.slug] = now
    paid_in = {"billing_entity": f"{actor.slug}-billing", "amount": str(usual), "reference": "automatic"}
    answer = gateway.send("POST", "/v1/top-ups", paid_in, key=f"top-{call.events[0]['idempotency_key']}")
    sums.top_ups += answer.status == 201
