"""The crowd: callers who charge, hold, capture, void, lease and report, in a random mix."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from tests.soak.clients import Client
from tests.soak.journal import Act
from tests.soak.members import Hold

STRICT_MIX: Final = {"charge": 40, "authorize": 18, "settle": 28, "top_up": 7, "again": 4, "clash": 1}
OPEN_MIX: Final = STRICT_MIX | {"report": 12, "draw": 4, "use_lease": 10}
BURST: Final = 5
REST_SECONDS: Final = 3.0
TWINS: Final = 0.04
"""How often a call reaches the server twice at once, on two connections."""
SHARED: Final = 0.15
"""How often somebody else may settle the same hold."""
TOO_OLD: Final = timedelta(days=40)
NEW: Final = (200, 201, 402)


def seconds(instant: str) -> float:
    """An answered instant in seconds of the epoch."""
    return datetime.fromisoformat(instant).timestamp()


@dataclass
class Caller(Client):
    """One of the crowd."""

    async def step(self) -> None:
        """Do something at random."""
        mix = STRICT_MIX if self.customer.is_strict else OPEN_MIX
        name = self.dice.choices(list(mix), list(mix.values()))[0]
        await getattr(self, name)()

    async def rest(self, stop: asyncio.Event) -> None:
        """Go on at once for a while, then rest."""
        if self.dice.random() < 1 / BURST:
            await self.pause(stop, self.dice.uniform(0, 2) * REST_SECONDS)

    def caller(self) -> dict[str, str]:
        """Who calls: a workspace, its API key, or the payer itself."""
        place = self.dice.choice(self.customer.places)
        chance = self.dice.random()
        if chance < 0.6:
            return {"workspace": place.workspace}
        if chance < 0.9:
            return {"api_key": place.api_key}
        return {"billing_entity": self.dice.choice(self.customer.payers).id}

    def usage(self, name: str, tokens_max: int) -> dict[str, Any]:
        """What a call of this name used."""
        if name == "image":
            return {"images": self.dice.randint(1, 6)}
        return {"tokens": self.dice.randint(1, tokens_max), "person": self.dice.choice("abcdefgh")}

    def event(self, tokens_max: int = 2000) -> dict[str, Any]:
        """A call with a new key."""
        name = "image" if self.dice.random() < 0.2 else "completion"
        made = {"idempotency_key": self.new_key(), "event": name, "properties": self.usage(name, tokens_max)}
        return made | self.caller() | self.occurred_at()

    async def charge(self) -> None:
        """A call that asks."""
        event = self.event()
        if self.dice.random() < TWINS:
            await self._charge_twice(event)
            return
        self._note(await self.ask("charge", "/v1/charges", event, allowed=NEW))

    async def _charge_twice(self, event: dict[str, Any]) -> None:
        other = self.wire.another()
        try:
            acts = await asyncio.gather(
                self.ask("charge", "/v1/charges", event, allowed=NEW),
                self.ask("charge", "/v1/charges", event, allowed=NEW, wire=other),
            )
        finally:
            other.close()
        for act in acts:
            self._note(act)

    def _note(self, act: Act) -> None:
        if act.is_done:
            self.customer.charged.append(act.body)

    async def again(self) -> None:
        """A call that was charged is sent once more: the first answer."""
        if self.customer.charged:
            event = self.dice.choice(self.customer.charged)
            await self.ask("charge", "/v1/charges", event, allowed=(200,))

    async def clash(self) -> None:
        """Its key with another payload: a conflict."""
        if self.customer.charged:
            event = self.dice.choice(self.customer.charged)
            other = {name: value * 2 for name, value in event["properties"].items()}
            await self.ask("clash", "/v1/charges", event | {"properties": other}, allowed=(409,))

    async def report(self) -> None:
        """What has happened already, some of it too long ago."""
        events = [self.event(150) for _ in range(self.dice.randint(1, 12))]
        late = []
        if self.dice.random() < 0.1:
            events[0]["occurred_at"] = (datetime.now(UTC) - TOO_OLD).isoformat()
            late.append(events[0]["idempotency_key"])
        keys = [event["idempotency_key"] for event in events]
        await self.ask("report", "/v1/events", {"events": events}, allowed=(200,), keys=keys, late=late)

    async def authorize(self) -> None:
        """A hold for a call, by its price or an amount, for a few seconds."""
        body = self.event() | {"expires_in": self.dice.choice([2, 5, 10, 20])}
        if self.dice.random() < 0.3:
            body["amount"] = self.money(0.1, 4)
        act = await self.ask("authorize", "/v1/authorizations", body, allowed=NEW)
        if act.is_done:
            self.customer.holds.append(_hold(act))

    async def settle(self) -> None:
        """Capture, void or extend a hold, perhaps one whose time is over; or leave it to expire."""
        if not self.customer.holds:
            return await self.authorize()
        at = self.dice.randrange(len(self.customer.holds))
        hold = self.customer.holds[at]
        if self.dice.random() >= SHARED:
            self.customer.holds.pop(at)
        chance = self.dice.random()
        if chance < 0.6:
            await self._capture(hold)
        elif chance < 0.75:
            path = f"/v1/authorizations/{hold.id}/void"
            await self.ask("void", path, {}, allowed=(200, 409), hold=hold.id)
        elif chance < 0.85:
            await self._extend(hold)
        return None

    async def _capture(self, hold: Hold) -> None:
        body: dict[str, Any] = {"over": self.dice.choice(["reject", "cap", "overdraft"])}
        if self.dice.random() < 0.75:  # else it used what was expected
            body["properties"] = self.usage(hold.name, self.dice.choice([500, 2000, 4000]))
        if self.dice.random() < 0.5:
            body["idempotency_key"] = self.new_key()
        path = f"/v1/authorizations/{hold.id}/capture"
        act = await self.ask(
            "capture",
            path,
            body,
            allowed=(*NEW, 409),
            hold=hold.id,
            held=f"{hold.amount:f}",
            ends=hold.expires_at,
        )
        if act.code == "authorization_expired" and not self.customer.is_strict and "properties" in body:
            key = body.get("idempotency_key", hold.id)
            event = {
                "idempotency_key": key,
                "event": hold.name,
                "properties": body["properties"],
            } | hold.caller
            await self.ask("report", "/v1/events", {"events": [event]}, allowed=(200,), keys=[key], late=[])

    async def _extend(self, hold: Hold) -> None:
        path, body = f"/v1/authorizations/{hold.id}/extend", {"expires_in": self.dice.choice([2, 10, 20])}
        act = await self.ask("extend", path, body, allowed=(200, 409), hold=hold.id)
        if act.is_done:
            hold.expires_at = seconds(act.answer["expires_at"])
            self.customer.holds.append(hold)

    async def draw(self) -> None:
        """A lease for a few seconds."""
        body = self.caller() | {"amount": self.money(2, 12), "expires_in": self.dice.choice([5, 15, 30])}
        key = self.new_key()
        act = await self.ask("draw", "/v1/leases", body, allowed=NEW, key=key)
        if act.is_done:
            self.customer.leases.append(_hold(act, key))

    async def use_lease(self) -> None:
        """Report calls of a lease, then perhaps return it. Its time may be over by then."""
        if not self.customer.leases:
            return await self.draw()
        at = self.dice.randrange(len(self.customer.leases))
        lease = self.customer.leases[at]
        if self.dice.random() < 0.3:
            self.customer.leases.pop(at)
            await self.ask("return", f"/v1/leases/{lease.id}/return", {}, allowed=(200,), hold=lease.id)
            return None
        events = [self.event(600) for _ in range(self.dice.randint(1, 5))]
        for event in events:
            for name in ("workspace", "api_key", "billing_entity"):
                event.pop(name, None)
            event |= lease.caller
        keys, path = [event["idempotency_key"] for event in events], f"/v1/leases/{lease.id}/report"
        await self.ask("report", path, {"events": events}, allowed=(200,), keys=keys, late=[], lease=lease.id)
        return None

    async def top_up(self) -> None:
        """Somebody pays in."""
        payer = self.dice.choice(self.customer.payers)
        body = {"billing_entity": payer.id, "amount": self.money(2, 20)}
        await self.ask("top_up", "/v1/top-ups", body, allowed=(201,), key=self.new_key(), payer=payer.id)


def _hold(act: Act, key: str | None = None) -> Hold:
    body = act.body
    names = ("workspace", "api_key", "billing_entity")
    return Hold(
        act.answer["id"],
        key or body["idempotency_key"],
        body.get("event", ""),
        {name: body[name] for name in names if name in body},
        Decimal(act.answer["amount"]),
        max(seconds(act.answer["expires_at"]), time.time()),
    )
