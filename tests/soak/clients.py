"""A client that does not give up: what is in doubt is sent again, under the same key, until it is known."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from tests.soak.journal import Act, Journal
from tests.soak.members import Customer
from tests.soak.wire import DROPS, Wire

PATIENCE_SECONDS: Final = 240
PAUSE_SECONDS_MAX: Final = 2.0
DROPPED: Final = 0.02
STEPS: Final = (
    *(timedelta(0),) * 6,
    timedelta(seconds=-45),
    timedelta(hours=-3),
    timedelta(days=-6),
    timedelta(days=-30),
    timedelta(minutes=2),
)
"""How far a caller's clock may be off; it steps now and then."""


class Unexpected(AssertionError):
    """An answer that no rule explains."""


@dataclass
class Client:
    """One connection of one customer's caller, with dice and a clock of its own."""

    name: str
    customer: Customer
    wire: Wire
    journal: Journal
    dice: random.Random
    offset: timedelta = timedelta(0)
    problem: BaseException | None = None
    _number: int = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`; what then is under way is brought to its end."""
        try:
            while not stop.is_set():
                await self.step()
                await self.rest(stop)
        except Exception as problem:
            self.problem = problem
        finally:
            self.wire.close()

    async def step(self) -> None:
        """Do the next thing."""
        raise NotImplementedError

    async def rest(self, stop: asyncio.Event) -> None:
        """Wait for the next thing."""
        raise NotImplementedError

    async def pause(self, stop: asyncio.Event, seconds: float) -> None:
        """Wait so long, or until `stop`."""
        try:
            await asyncio.wait_for(stop.wait(), seconds)
        except TimeoutError:
            return

    def new_key(self) -> str:
        """A key that nobody has used."""
        self._number += 1
        return f"{self.name}-{self._number}"

    def occurred_at(self) -> dict[str, str]:
        """When a call happened by this client's clock; one that is right often leaves it out."""
        if self.dice.random() < 0.03:
            self.offset = self.dice.choice(STEPS)
        if not self.offset and self.dice.random() < 0.6:
            return {}
        return {"occurred_at": (datetime.now(UTC) + self.offset).isoformat()}

    def money(self, low: float, high: float) -> str:
        """An amount of so many units."""
        return f"{Decimal(repr(round(self.dice.uniform(low, high), 3))) * self.customer.unit:f}"

    async def ask(
        self,
        kind: str,
        path: str,
        body: dict[str, Any],
        *,
        allowed: tuple[int, ...],
        key: str | None = None,
        method: str = "POST",
        wire: Wire | None = None,
        **about: Any,
    ) -> Act:
        """Send it as often as it takes. Raises Unexpected for an answer that is not `allowed`."""
        act = Act(kind, self.name, method, path, body, key, about | {"customer": self.customer.name})
        act.sent_at, deadline = time.time(), time.monotonic() + PATIENCE_SECONDS
        self.journal.begin(act)
        drop = self.dice.choice(DROPS) if self.dice.random() < DROPPED else None
        while not act.status:
            try:
                status, answer = await (wire or self.wire).send(method, path, body, key, drop=drop)
                if status < 500 and not _is_busy(status, answer):
                    act.status, act.answer, act.answered_at = status, answer, time.time()
                    break
                act.failures.append(f"{status} {str(answer)[:300]}")
            except (OSError, EOFError) as error:
                act.failures.append(repr(error)[:300])
            drop = None
            if time.monotonic() > deadline:
                raise Unexpected(f"no answer for {PATIENCE_SECONDS} seconds: {act}")
            await asyncio.sleep(self.dice.random() * min(PAUSE_SECONDS_MAX, 0.2 * 2 ** len(act.failures)))
        self.journal.end(act)
        if act.status not in allowed:
            raise Unexpected(f"{act.kind} was answered by {act.status}: {act}")
        return act


def _is_busy(status: int, answer: Any) -> bool:
    """Whether the answer is that another request stood in the way: the same again may go through."""
    return status == 409 and answer["error"]["code"] == "busy"
