"""Calls: asked, reported, held, captured, sent again, taken back."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.model.base import AMOUNTS, DAY, HOUR, MINUTE, PICK, Json, Sender
from tests.model.parties import CALLER

AGO = [0, 30, 20 * MINUTE, 3 * HOUR, 20 * HOUR, 5 * DAY, 33 * DAY, -HOUR]
"""How many seconds ago a call was that says when it was. Some callers' clocks are ahead."""
CALLS = st.fixed_dictionaries(
    {
        "event": st.sampled_from(["chat", "chat", "chat", "image", "image", "ping"]),
        "workspace": st.sampled_from(["north-calls", "south-calls"]),
        "has_key": st.booleans(),
        "tokens": st.decimals("0", "15", places=1),
        "person": st.sampled_from("abc"),
        "ago": st.sampled_from([None] * 6 + AGO),
    }
)


class CallRules(Sender):
    """What callers do."""

    @rule(call=CALLS)
    def charge(self, call: Json) -> None:
        """A call that asks."""
        self._charge(self._event(call))

    @rule(calls=st.lists(CALLS, min_size=1, max_size=5))
    def report(self, calls: list[Json]) -> None:
        """A batch of what has happened."""
        self._report([self._event(call) for call in calls])

    @rule(pick=PICK, tokens=st.sampled_from([None, "3.3"]), door=st.sampled_from(["ask", "report", "hold"]))
    def again(self, pick: int, tokens: str | None, door: str) -> None:
        """An earlier call again, by any door, perhaps with another value."""
        if not self.sent:
            return
        body = dict(self.sent[pick % len(self.sent)])
        waits = body["idempotency_key"] in self.system.quarantine  # with another value it would wait twice
        if tokens is not None and not waits and "tokens" in body.get("properties", {}):
            body["properties"] = body["properties"] | {"tokens": tokens}
        if door == "hold":
            self._authorize(body)
        elif "amount" not in body and "expires_in" not in body:
            self._charge(body) if door == "ask" else self._report([body, body])

    @rule(call=CALLS, expires_in=st.sampled_from([1, 60, 600, HOUR, DAY]), amount=st.none() | AMOUNTS)
    def authorize(self, call: Json, expires_in: int, amount: Decimal | None) -> None:
        """A hold, of an event's price or of an amount."""
        body = self._event(call | {"ago": None}) | {"expires_in": expires_in}
        if amount is not None:
            body = {n: v for n, v in body.items() if n not in ("event", "properties")} | {
                "amount": str(amount)
            }
        self._authorize(body)

    @rule(
        pick=PICK,
        tokens=st.decimals("0", "25", places=1),
        over=st.sampled_from(["reject", "cap", "overdraft"]),
        reports=st.sampled_from([False, False, True]),
    )
    def capture(self, pick: int, tokens: Decimal, over: str, reports: bool) -> None:
        """The real usage of a call that was authorized, captured or reported under its key."""
        if not self.holds:
            return
        held = self.holds[pick % len(self.holds)]
        name = held.body.get("event", "chat")
        body: Json = {"event": name, "properties": {"tokens": str(tokens), "person": "a"}}
        if reports:
            caller: Json = {n: held.body[n] for n in CALLER[1:] if n in held.body}
            self._report([{**caller, **body, "idempotency_key": held.key}])
            return
        answer = self.world.api.post(f"/v1/authorizations/{held.id}/capture", body | {"over": over})
        self._compare(answer, self.system.capture(held, body, self.now, over=over))

    @rule(pick=PICK)
    def void(self, pick: int) -> None:
        """A hold is let go."""
        if self.holds:
            held = self.holds[pick % len(self.holds)]
            answer = self.world.api.post(f"/v1/authorizations/{held.id}/void", {})
            self._compare(answer, self.system.void(held, self.now))

    @rule(pick=PICK, seconds=st.sampled_from([1, 600, 5 * HOUR]))
    def extend(self, pick: int, seconds: int) -> None:
        """A hold lasts longer."""
        if self.holds:
            held = self.holds[pick % len(self.holds)]
            answer = self.world.api.post(f"/v1/authorizations/{held.id}/extend", {"expires_in": seconds})
            self._compare(answer, self.system.extend(held, seconds, self.now))

    @rule(pick=PICK)
    def reverse(self, pick: int) -> None:
        """An event is to count for nothing."""
        records = [seen.record for seen in self.system.seen.values() if seen.record is not None]
        if records:
            record = records[pick % len(records)]
            key = record.body["idempotency_key"]
            body = {"event": key, "customer": self.world.ids["customer"], "reason": "a mistake"}
            self._compare(self.world.api.post("/v1/reversals", body), self.system.reverse(record, self.now))
