"""Staff: those who change what calls are decided by, while calls are under way."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from tests.soak.clients import Client

MIX: Final = {
    "change_limit": 24,
    "set_and_end_a_limit": 6,
    "move_payer": 14,
    "change_plan": 10,
    "raise_credit": 8,
    "grant": 10,
    "adjust": 8,
    "suspend": 4,
    "reverse": 10,
}
STRICT_ONLY_ADDS: Final = ("reverse",)
"""What may take money that nobody asked for: not of strict customers."""
REST_SECONDS: Final = 1.5
DECIMALS: Final = 12
FOUND: Final = (201, 404, 409)


@dataclass
class Staff(Client):
    """One of a customer's two. The first of them also raises the limits that are raised only."""

    is_first: bool = False

    async def step(self) -> None:
        """Do something at random."""
        left_out = STRICT_ONLY_ADDS if self.customer.is_strict else ()
        mix = {name: weight for name, weight in MIX.items() if name not in left_out}
        name = self.dice.choices(list(mix), list(mix.values()))[0]
        await getattr(self, name)()

    async def rest(self, stop: asyncio.Event) -> None:
        """Think."""
        await self.pause(stop, self.dice.uniform(0.2, 2) * REST_SECONDS)

    async def change_limit(self) -> None:
        """Set a limit near what is used, or raise it."""
        limits = [limit for limit in self.customer.limits if self.is_first or limit.how == "moved"]
        limit = self.dice.choice(limits)
        more = Decimal(self.money(0, 40))
        amount = limit.amount + more
        if limit.how == "moved":
            amount = max(Decimal(0), limit.amount * Decimal(self.dice.choice(["0.9", "1", "1"])) + more)
            amount = round(amount, DECIMALS)  # or each tenth off would add one
        body, path = {"amount": f"{amount:f}"}, f"/v1/spend-limits/{limit.id}"
        act = await self.ask(
            "limit", path, body, allowed=(200,), method="PATCH", key=self.new_key(), limit=limit.id
        )
        limit.amount = max(amount, Decimal(act.answer["used"])) if limit.how == "moved" else amount

    async def set_and_end_a_limit(self) -> None:
        """A limit for a day that comes and goes."""
        place = self.dice.choice(self.customer.places)
        body = {"workspace": place.workspace, "window": "day", "amount": self.money(0, 200)}
        act = await self.ask(
            "new_limit", "/v1/spend-limits", body, allowed=(201, 409), key=self.new_key(), workspace=place.row
        )
        if not act.is_done:
            return
        limit = act.answer["id"]
        await asyncio.sleep(self.dice.uniform(0, 3))
        path = f"/v1/spend-limits/{limit}/end"
        await self.ask("end_limit", path, {}, allowed=(200,), key=self.new_key(), limit=limit)

    async def move_payer(self) -> None:
        """Another payer of the customer pays for a workspace, from now on."""
        place, payer = self.dice.choice(self.customer.places), self.dice.choice(self.customer.payers)
        body = {"workspace": place.workspace, "billing_entity": payer.id}
        await self.ask("move", "/v1/payer-assignments", body, allowed=(201, 409), key=self.new_key())

    async def change_plan(self) -> None:
        """Another version: now, in a moment, or (of an open customer) as of a moment ago."""
        payer = self.dice.choice(self.customer.payers)
        body: dict[str, Any] = {"plan_version": self.dice.choice(self.customer.plans)}
        chance, now = self.dice.random(), datetime.now(UTC)
        if chance < 0.2:
            body["at"] = (now + timedelta(seconds=self.dice.uniform(2, 6))).isoformat()
        elif chance < 0.4 and not self.customer.is_strict:
            body["at"] = (now - timedelta(seconds=self.dice.uniform(1, 60))).isoformat()
        path = f"/v1/subscriptions/{payer.subscription}/change"
        await self.ask("plan", path, body, allowed=(200, 409), key=self.new_key(), payer=payer.id)

    async def raise_credit(self) -> None:
        """An invoiced payer may owe more."""
        payers = [payer for payer in self.customer.payers if payer.credit_limit is not None]
        if not payers:
            return
        payer = self.dice.choice(payers)
        assert payer.credit_limit is not None
        payer.credit_limit += Decimal(self.money(1, 30))
        body, path = {"credit_limit": f"{payer.credit_limit:f}"}, f"/v1/billing-entities/{payer.id}"
        await self.ask(
            "credit", path, body, allowed=(200,), method="PATCH", key=self.new_key(), payer=payer.id
        )

    async def grant(self) -> None:
        """A block of credit; some end soon, some are for one component only."""
        payer = self.dice.choice(self.customer.payers)
        body: dict[str, Any] = {"billing_entity": payer.id, "amount": self.money(1, 10)}
        body["priority"] = self.dice.choice([10, 50])
        if self.dice.random() < 0.5:
            ends = datetime.now(UTC) + timedelta(seconds=self.dice.uniform(8, 40))
            body["expires_at"] = ends.isoformat()
        if self.dice.random() < 0.3:
            body["components"] = [self.dice.choice(["tok", "images"])]
        await self.ask(
            "grant", "/v1/credit-grants", body, allowed=(201, 400), key=self.new_key(), payer=payer.id
        )

    async def adjust(self) -> None:
        """A correction; takes money out only where usage is reported, too."""
        payer = self.dice.choice(self.customer.payers)
        amount = self.money(0.1, 3)
        if not self.customer.is_strict and self.dice.random() < 0.5:
            amount = f"-{amount}"
        body = {"billing_entity": payer.id, "amount": amount, "reason": "soak"}
        await self.ask("adjust", "/v1/adjustments", body, allowed=(201,), key=self.new_key(), payer=payer.id)

    async def suspend(self) -> None:
        """A payer may not spend for a moment."""
        payer = self.dice.choice(self.customer.payers)
        path = f"/v1/billing-entities/{payer.id}"
        for status in ("suspended", "active"):
            body = {"status": status}
            await self.ask(
                "state", path, body, allowed=(200,), method="PATCH", key=self.new_key(), payer=payer.id
            )
            await asyncio.sleep(self.dice.uniform(0, 0.5))

    async def reverse(self) -> None:
        """A call that was charged is to count for nothing."""
        if self.customer.charged:
            event = self.dice.choice(self.customer.charged)["idempotency_key"]
            body = {"event": event, "reason": "soak"}
            await self.ask("reverse", "/v1/reversals", body, allowed=FOUND, key=self.new_key(), event=event)
