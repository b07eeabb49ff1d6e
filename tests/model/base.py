"""What the rules of the machine share: how a body is sent, and how an answer is compared with the model's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from core import clock
from tests.api_client import Api
from tests.model.parties import Answer, Authorization, Lease, Payer
from tests.model.system import System
from tests.model.world import START, Prices, World

Json = dict[str, Any]
MINUTE, HOUR, DAY = 60, 3600, 86400
TICK = timedelta(microseconds=1)
AMOUNTS = st.decimals("0.01", "12", places=2)
PICK = st.integers(0, 1_000)
PAYERS = st.integers(0, 2)
WAITS = st.sampled_from([1, 59, 10 * MINUTE, HOUR, 7 * HOUR, DAY, 9 * DAY, 25 * DAY])


class Sender(RuleBasedStateMachine):
    """Sends to the API what the model is asked, under the API's ids for the model's names."""

    prices: ClassVar[Prices]
    api: ClassVar[Api]
    steps: ClassVar[int] = 0
    world: World
    system: System

    def __init__(self) -> None:
        super().__init__()
        self.now = START + timedelta(days=3, hours=5)
        self.made = 0
        self.holds: list[Authorization] = []
        self.leases: list[Lease] = []
        self.sent: list[Json] = []
        self.has_failed = False
        clock.use(self._now)
        self._savepoint = transaction.savepoint()

    def _now(self) -> datetime:
        return self.now

    def _payer(self, at: int) -> Payer:
        return self.system.payers[f"payer-{at}"]

    def _key(self) -> str:
        self.made += 1
        return f"k{self.made}"

    def _event(self, call: Json) -> Json:
        """A new event, by the model's names."""
        properties = {"tokens": str(call["tokens"]), "person": call["person"]}
        body: Json = {"idempotency_key": self._key(), "event": call["event"], "workspace": call["workspace"]}
        body["properties"] = properties
        if call["has_key"]:
            body["api_key"] = f"{call['workspace']}/key"
        if call["ago"] is not None:
            body["occurred_at"] = (self.now - timedelta(seconds=call["ago"])).isoformat()
        return body

    def _as_sent(self, body: Json) -> Json:
        """A body with the API's ids for the model's names."""
        named = {name: self.world.ids[body[name]] for name in ("workspace", "billing_entity") if name in body}
        sent = body | named
        return sent | ({"api_key": self.world.secrets[body["api_key"]]} if "api_key" in body else {})

    def _charge(self, body: Json) -> None:
        self.sent.append(body)
        answer = self.world.api.post("/v1/charges", self._as_sent(body))
        self._compare(answer, self.system.ask(body, self.now))

    def _report(self, bodies: list[Json]) -> None:
        self.sent += bodies
        answer = self.world.api.post("/v1/events", {"events": [self._as_sent(body) for body in bodies]})
        self.system.settle(self.now)
        outcomes = [self.system.report(body, self.now) for body in bodies]
        self.system.finish(self.now)
        self._counts_agree(answer, bodies, outcomes)

    def _counts_agree(self, answer: Any, bodies: list[Json], outcomes: list[str]) -> None:
        """What a batch of events came to."""
        assert answer.status_code == 200, answer.content
        counted: dict[str, int] = dict.fromkeys(
            ("accepted", "duplicates", "quarantined", "rejected", "unmatched", "unpriced"), 0
        )
        for outcome in outcomes:
            counted[outcome] += 1
            counted["accepted"] += outcome in ("unmatched", "unpriced")
        told = {name: answer.json()[name] for name in counted}
        waiting = self.world.api.get("/v1/quarantine").json()["data"] if told != counted else []
        why = [(row["idempotency_key"], row["reason"], row["message"]) for row in waiting]
        self._agree(told, counted, [why, bodies, answer.json()])

    def _authorize(self, body: Json) -> None:
        self.sent.append(body)
        answer = self.world.api.post("/v1/authorizations", self._as_sent(body))
        expected = self.system.authorize(body, self.now)
        self._compare(answer, expected)
        if expected[0] == 201:
            held = self.system.seen[body["idempotency_key"]].authorization
            assert held is not None
            held.id = answer.json()["id"]
            self.holds.append(held)

    def _money(self, path: str, payer: int, body: Json) -> Any:
        return self.world.api.post(path, body | {"billing_entity": self.world.ids[f"payer-{payer}"]})

    def _agree(self, told: object, expected: object, about: object = None) -> None:
        """What was told is what the model says; once it is not, nothing after it means anything."""
        self.has_failed = self.has_failed or told != expected
        assert told == expected, f"\ntold:     {told}\nexpected: {expected}\nabout:    {about}"

    def _compare(self, answer: Any, expected: Answer) -> None:
        """What the API said is what the model says, as far as it says anything."""
        status, body = expected
        told = answer.json()
        self._agree(answer.status_code, status, [told, body])
        if "error" in body:
            self._agree(told["error"]["code"], body["error"], told)
            return
        if status == 402:
            told = told["denial"] | {"balance": told["balance"]}
        self._agree({name: self._read(name, told) for name in body}, body, answer.json())

    def _read(self, name: str, told: Json) -> Any:
        """A part of an answer, by the model's names and in its types."""
        readers: dict[str, Callable[[Any], Any]] = {
            "balance": lambda balance: {n: Decimal(v) for n, v in balance.items()},
            "lines": lambda lines: {line["component"]: Decimal(line["amount"]) for line in lines},
            "billing_entity": lambda given: next(n for n, i in self.world.ids.items() if i == given),
            "expires_at": datetime.fromisoformat,
            "amount": Decimal,
            "held": Decimal,
            "exposure": Decimal,
            "limit": lambda limit: None if limit is None else Decimal(limit),
            "used": lambda used: None if used is None else Decimal(used),
        }
        if name == "resets":
            return "never" if not told["retryable"] else ""
        return readers.get(name, lambda value: value)(told[name])
