"""The same events again and again, by many, at once, through both doors: each counts and is charged once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from billing.models import Charge
from billing.wallets import top_up
from metering.models import IdempotencyKey, UsageEvent
from pricing.models import PlanVersion
from tests.billing.world import balance, make_meter, make_tenant, make_version
from tests.concurrency.callers import Api, call
from tests.concurrency.crowd import at_once, deal

GRADUATED = {
    "key": "tok",
    "meter": "tokens",
    "model": "graduated",
    "tiers": [{"up_to": "100", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.001"}],
}
EVENTS, TIMES, CLIENTS = 1000, 3, 50
BATCH_SIZES = (1, 1, 1, 1, 1, 1, 1, 1, 7, 40, 130)


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version([GRADUATED])


def test_fifty_clients_send_a_thousand_events_three_times(version: PlanVersion, api: Api) -> None:
    tenants = [make_tenant(version, balance="1000") for _ in range(20)]
    events = [call(tenants[number % 20], f"key-{number}", number % 9) for number in range(EVENTS)]
    batches = _shuffled_batches(events * TIMES)
    tallies = at_once([_client(api, mine) for mine in deal(batches, CLIENTS)])
    tally = sum(tallies, Counter())
    assert tally == {"new": EVENTS, "known": EVENTS * (TIMES - 1)}
    assert UsageEvent.objects.count() == EVENTS
    assert IdempotencyKey.objects.count() == EVENTS
    assert Charge.objects.count() == EVENTS
    tokens = [sum(number % 9 for number in range(tenant, EVENTS, 20)) for tenant in range(20)]
    for tenant, used in zip(tenants, tokens, strict=True):
        price = min(used, 100) * Decimal("0.01") + max(used - 100, 0) * Decimal("0.001")
        assert balance(tenant) == 1000 - price


def test_every_answer_to_a_key_is_the_first_answer(version: PlanVersion, api: Api) -> None:
    tenant = make_tenant(version, balance="1000")
    answers = at_once([partial(api.charge, call(tenant, "one", 5))] * 16)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 15}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert balance(tenant) == Decimal("999.95")


def test_one_key_with_many_payloads_counts_once_and_conflicts_with_the_rest(
    version: PlanVersion, api: Api
) -> None:
    tenant = make_tenant(version, balance="1000")
    answers = at_once([partial(api.charge, call(tenant, "one", tokens)) for tokens in range(1, 13)])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 11}
    assert {answer.json()["error"]["param"] for answer in answers if answer.status_code == 409} == {
        "properties.tokens"
    }


def test_one_key_with_many_payloads_in_batches_is_an_error_per_index(version: PlanVersion, api: Api) -> None:
    tenant = make_tenant(version, balance="1000")
    batches = [[call(tenant, f"own-{tokens}"), call(tenant, "shared", tokens)] for tokens in range(1, 9)]
    bodies = [answer.json() for answer in at_once([partial(api.report, batch) for batch in batches])]
    assert sorted(body["accepted"] for body in bodies) == [1] * 7 + [2]
    errors = [error for body in bodies for error in body["errors"]]
    assert {error["index"] for error in errors} == {1}
    assert [error["error"]["code"] for error in errors] == ["idempotency_conflict"] * 7


def test_a_denied_key_sent_again_after_a_top_up_is_charged_once(version: PlanVersion, api: Api) -> None:
    tenant = make_tenant(version, balance="0.01", overdraft=Decimal(0))
    denied = at_once([partial(api.charge, call(tenant, "one", 5))] * 8)
    assert {answer.status_code for answer in denied} == {402}
    assert not IdempotencyKey.objects.exists()
    top_up(tenant.payer, Decimal(1))
    answers = at_once([partial(api.charge, call(tenant, "one", 5))] * 8)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 7}
    assert balance(tenant) == Decimal("0.96")


def _shuffled_batches(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The events in random order, cut into batches of different sizes."""
    chance = random.Random(7)
    chance.shuffle(events)
    batches = []
    while events:
        size = chance.choice(BATCH_SIZES)
        batches.append(events[:size])
        events = events[size:]
    return batches


def _client(api: Api, batches: list[list[dict[str, Any]]]) -> Callable[[], Counter[str]]:
    """Sends batches of one as charges and others as reports; counts what was new and what was known."""

    def run() -> Counter[str]:
        tally: Counter[str] = Counter()
        for batch in batches:
            if len(batch) == 1:
                answer = api.charge(batch[0])
                tally[{201: "new", 200: "known"}.get(answer.status_code, answer.content.decode())] += 1
            else:
                body = api.report(batch).json()
                assert not body["errors"]
                tally["new"] += body["accepted"]
                tally["known"] += body["duplicates"]
        return tally

    return run
