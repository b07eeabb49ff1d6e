"""The buttons of /demo: each sends real HTTP to the API and shows what was before and what is after."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from accounts.models import ApiKey, BillingEntity, Workspace
from billing.demo import cast
from billing.demo.calls import extras_of, podcast_steps
from billing.demo.dice import thrown_dice
from billing.demo.gateway import Answer, Gateway, Unreachable
from billing.demo.new_prices import play_publish
from billing.demo.outcomes import Act, Outcome, Side
from billing.demo.proof import play_corrupt, play_repair
from core import clock
from core.numbers import ZERO, plain

CLIENTS: Final = 64
DRAIN_CALLS: Final = 100
DRAIN_SENT: Final = 192
IMAGE_PRICE: Final = Decimal("0.045")
"""What an image costs on the plan `payg`."""
_TRIES: Final = 5
_TOKENS: Final = {"provider": "openai", "model": "gpt-4o", "input_tokens": 1200, "output_tokens": 300}


def play_podcast(gateway: Gateway) -> Outcome:
    """One job: its steps cost, the podcast is what is sold."""
    workspace, trace = f"{cast.STUDIO}-production", f"podcast-{secrets.token_hex(4)}"
    before = gateway.balance(workspace)
    steps = podcast_steps(thrown_dice())
    answers = [
        gateway.charge(
            _event(workspace, f"{trace}-{n}", name, properties) | {"trace": trace} | extras_of(name)
        )
        for n, (name, properties) in enumerate(steps)
    ]
    after = gateway.balance(workspace)
    cost = sum((Decimal(one.body["cost"] or 0) for one in answers if "cost" in one.body), ZERO)
    outcome = _outcome(answers, [_wallet("Wallet of Echo Studio", before, after)])
    outcome.sides.append(Side("Cost of the steps", ZERO, cost, "USD"))
    outcome.links += [
        ("The trace", "trace", (cast.STUDIO, trace)),
        *_charge_link("The charge of the podcast", answers[-1]),
        ("Echo Studio", "customer", (cast.STUDIO,)),
    ]
    outcome.sense = f"{len(steps)} events, {_amount(answers[-1])} charged once, for the podcast."
    return outcome


def play_two_payers(gateway: Gateway) -> Outcome:
    """Two people behind one address call at the same time, with keys of two customers."""
    names = cast.NEIGHBOURS
    keys = [ApiKey.objects.filter(workspace__external_id=f"{name}-production").first() for name in names]
    before = [gateway.balance(f"{name}-production") for name in names]
    events = []
    for name, key in zip(names, keys, strict=True):
        one = _event(None, f"shared-{secrets.token_hex(4)}", "completion", _TOKENS)
        events.append(one | {"api_key": key.public_id if key else "", "user": f"{name}-user-1"})
    answers = send_at_once(gateway, events, clients=2)
    after = [gateway.balance(f"{name}-production") for name in names]
    outcome = _outcome(
        answers,
        [
            _wallet(f"Wallet of {n.capitalize()}", *pair)
            for n, *pair in zip(names, before, after, strict=True)
        ],
    )
    for name, answer in zip(names, answers, strict=True):
        outcome.links += [
            *_charge_link(f"{name.capitalize()}'s charge", answer),
            (name.capitalize(), "customer", (name,)),
        ]
    outcome.sense = "The same address, two keys: each call went to the payer of its own workspace."
    return outcome


def play_repeats(gateway: Gateway) -> Outcome:
    """A client that retries fifty times, and one call that comes three weeks late."""
    workspace, key = "fathom-production", f"retry-{secrets.token_hex(4)}"
    before = gateway.balance(workspace)
    event = _event(workspace, key, "completion", _TOKENS)
    answers = send_at_once(gateway, [event] * 50, clients=16)
    middle = gateway.balance(workspace)
    late = _event(workspace, f"late-{key}", "completion", _TOKENS)
    late["occurred_at"] = (clock.now() - timedelta(days=21)).isoformat()
    arrived = gateway.charge(late)
    after = gateway.balance(workspace)
    outcome = _outcome(
        [*answers, arrived],
        [
            _wallet("One call, sent 50 times", before, middle),
            _wallet("One call, three weeks late", middle, after),
        ],
    )
    outcome.links += [
        *_charge_link("The one charge", answers[0]),
        *_charge_link("The late charge", arrived),
        ("Fathom", "customer", ("fathom",)),
    ]
    outcome.sense = (
        f"50 requests under one key made one charge of {_amount(answers[0])}; the late call was charged "
        f"{_amount(arrived)}, in the period in which it happened."
    )
    return outcome


def play_drain(gateway: Gateway) -> Outcome:
    """A wallet for exactly a hundred calls, and 64 clients that ask for many more at once."""
    workspace, payer = f"{cast.BLOCKED}-production", f"{cast.BLOCKED}-billing"
    _fill(gateway, workspace, payer)
    before = gateway.balance(workspace)
    run = secrets.token_hex(4)
    properties = {"size": "small"}
    events = [_event(workspace, f"drain-{run}-{n}", "image_created", properties) for n in range(DRAIN_SENT)]
    answers = send_at_once(gateway, events, clients=CLIENTS)
    outcome = _outcome(answers, [_wallet("Wallet of Pixelforge", before, gateway.balance(workspace))])
    charged = [answer for answer in answers if answer.status == 201]
    outcome.sides.append(Side("Charged", ZERO, Decimal(len(charged))))
    denied = sum(answer.is_denied for answer in answers)
    outcome.sides.append(Side("Denied", ZERO, Decimal(denied)))
    outcome.links += [*_charge_link("The first charge", charged[0] if charged else answers[0])]
    outcome.links += [
        ("Its denials", "customer_denials", (cast.BLOCKED,)),
        ("Pixelforge", "customer", (cast.BLOCKED,)),
    ]
    outcome.sense = f"{CLIENTS} clients sent {DRAIN_SENT} calls; the balance covered exactly {DRAIN_CALLS}."
    return outcome


def _fill(gateway: Gateway, workspace: str, payer: str) -> None:
    """Put exactly the price of DRAIN_CALLS images into the wallet."""
    wanted = IMAGE_PRICE * DRAIN_CALLS - Decimal(gateway.balance(workspace)["settled"])
    if not wanted:
        return
    body = {"billing_entity": payer, "amount": plain(wanted), "reason": "Set up for the demo"}
    gateway.send("POST", "/v1/adjustments", body, key=secrets.token_hex(8))


def send_at_once(gateway: Gateway, events: Sequence[dict[str, Any]], *, clients: int) -> list[Answer]:
    """Charge all events with so many clients at the same time; answers in the order of the events."""

    def charge(event: dict[str, Any]) -> Answer:
        return _charge(gateway, event)

    with ThreadPoolExecutor(max_workers=clients) as pool:
        return list(pool.map(charge, events))


def _charge(gateway: Gateway, event: dict[str, Any]) -> Answer:
    """A charge by a client that tries again under the same key when its connection is refused."""
    for attempt in range(1, _TRIES):
        try:
            return gateway.charge(event)
        except Unreachable:
            time.sleep(attempt / 10)
    return gateway.charge(event)


def _event(workspace: str | None, key: str, name: str, properties: dict[str, Any]) -> dict[str, Any]:
    event = {"idempotency_key": key, "event": name, "properties": properties}
    return event if workspace is None else event | {"workspace": workspace}


def _outcome(answers: Sequence[Answer], sides: list[Side]) -> Outcome:
    counted = Counter(answer.status for answer in answers)
    names = {201: "201 charged", 200: "200 answered again", 402: "402 denied"}
    found = [(names.get(status, str(status)), number) for status, number in sorted(counted.items())]
    return Outcome(found, sides, milliseconds=max(answer.milliseconds for answer in answers))


def _wallet(label: str, before: dict[str, Any], after: dict[str, Any]) -> Side:
    return Side(label, Decimal(before["settled"]), Decimal(after["settled"]), str(after["currency"]))


def _charge_link(text: str, answer: Answer) -> list[tuple[str, str, tuple[str, ...]]]:
    public_id = str(answer.body.get("id", ""))
    return [(text, "charge", (public_id,))] if public_id.startswith("ch_") else []


def _amount(answer: Answer) -> str:
    if "amount" not in answer.body:
        return "nothing"
    return f"{answer.body['amount']} {answer.body['currency']}"


ACTS: Final = (
    Act(
        "podcast",
        "A podcast, step by step",
        "Transcription, voices and encoding cost the operator money and have no price; the podcast at the "
        "end is sold once. The trace shows one price against all its costs.",
        "Make a podcast",
        play_podcast,
    ),
    Act(
        "payers",
        "Two users, one address, two payers",
        "Two people behind the same office address call at the same moment. The key decides who pays, not "
        "the address.",
        "Let both call",
        play_two_payers,
    ),
    Act(
        "repeats",
        "Sent 50 times, and three weeks late",
        "A client retries one call fifty times: it is charged once, and every answer is the first. Another "
        "call arrives three weeks late and is rated where it happened.",
        "Send them",
        play_repeats,
    ),
    Act(
        "drain",
        "Drain a wallet with 64 clients",
        "The wallet is set to the price of exactly 100 calls, with a hard stop. 64 clients ask for 192 at "
        "once: 100 are charged, the rest get 402, and the balance ends at 0.",
        "Open the tap",
        play_drain,
    ),
    Act(
        "publish",
        "Publish new prices, and see them as the customer",
        "The plan Pay as you go gets a new version in which output tokens cost a fifth more, or what they "
        "cost at first. Nobody moves: one sees what it would mean to Fathom Search, on its own usage.",
        "Publish a version",
        play_publish,
    ),
    Act(
        "corrupt",
        "Corrupt a balance behind the system's back",
        "Somebody with the database's password raises Echo Studio's wallet by 25, without an entry. A run "
        "of reconciliation looks at that customer and says what does not agree, by how much, and why.",
        "Break in",
        play_corrupt,
    ),
    Act(
        "repair",
        "Repair it, with the history kept",
        "The repair is previewed, done under the payer's lock, and kept with its reason. Then another run "
        "looks, and no longer finds it. The wallet is what its entries come to.",
        "Repair it",
        play_repair,
    ),
)


def is_loaded() -> bool:
    """Whether the demo's customers are here."""
    found = Workspace.objects.filter(external_id=f"{cast.STUDIO}-production").exists()
    return found and BillingEntity.objects.filter(external_id=f"{cast.BLOCKED}-billing").exists()
