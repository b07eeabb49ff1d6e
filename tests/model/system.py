"""The model of the system, after DESIGN.md and its pages: what crosses HTTP goes in, what must be answered
comes out. Time comes in as `now`."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.model import coupons
from tests.model.days import Span
from tests.model.parties import GRACE, TICK, Answer, Payer, Version, error
from tests.model.prices import ZERO, price
from tests.model.rerating import Rerating
from tests.model.wallet import Grant


class System(Rerating):
    """Calls, holds, leases, what becomes of their charges, and the rest: money in and out, pauses, closes."""

    def grant(self, payer: Payer, now: datetime, **terms: Any) -> Answer:
        """A credit grant or a top-up."""
        self.settle(now)
        if payer.status == "closed":
            return error(403, "closed")
        self.age += 1
        payer.wallet.add_grant(Grant(age=self.age, **terms), now)
        return 201, {}

    def adjust(self, payer: Payer, amount: Decimal, now: datetime) -> Answer:
        """Staff put value in, or take it out of what is good for everything, below zero if need be."""
        if amount > 0:
            return self.grant(
                payer,
                now,
                amount=amount,
                is_promotional=True,
                priority=50,
                effective_at=now,
                expires_at=None,
                components=frozenset(),
            )
        self.settle(now)
        if payer.status == "closed":
            return error(403, "closed")
        wallet, left = payer.wallet, -amount
        for grant in wallet.open_grants:
            taken = ZERO if grant.components else min(grant.remaining, left)
            grant.remaining -= taken
            left -= taken
        wallet.overdrawn += left
        return 201, {}

    def pause(self, payer: Payer, at: datetime) -> Answer:
        """Nothing is sold from `at` on; what is reported is recorded."""
        if payer.status == "closed":
            return error(403, "closed")
        if payer.version_at(at) is None:
            return error(409, "paused_already")
        return self._go_on(payer, None, at)

    def resume(self, payer: Payer, at: datetime) -> Answer:
        """It goes on, in a new segment."""
        if payer.status == "closed":
            return error(403, "closed")
        if payer.version_at(at) is not None:
            return error(409, "not_paused")
        answer = self._go_on(payer, payer.plan, at)
        payer.chosen = None
        return answer

    def close(self, payer: Payer, now: datetime) -> None:
        """A payer's subscription ends with it; but after what it was charged for by clocks that were ahead,
        and after what it was promised, as far as the month goes."""
        self.settle(now)
        seen = [one.record for one in self.seen.values() if one.record is not None]
        charged = [one.spent.occurred_at for one in seen if one.payer is payer and one.is_charge]
        promised = [hold.expires_at for hold in payer.wallet.holds if hold.is_open]
        ends = [max([one + TICK for one in each if one >= now], default=now) for each in (charged, promised)]
        at = max(ends[0], min(ends[1], payer.period_at(now)[1]))
        payer.versions.append((at, None))
        payer.ends_at = at
        for segment in payer.segments.values():
            segment.ends_at = min(segment.ends_at, at)

    def change_version(self, payer: Payer, version: Version, at: datetime) -> Answer:
        """Another version from `at` on, in a segment of its own; in a pause, from its end on."""
        if payer.status == "closed":
            return error(403, "closed")
        if payer.version_at(at) is None:
            payer.chosen = version
            return 200, {}
        return self._go_on(payer, version, at)

    def run_due(self, now: datetime) -> None:
        """What the workers do: periods close when their grace is over, with what is missing to minimums."""
        self.settle(now)
        for payer in self.payers.values():
            at = payer.versions[0][0]
            while at < payer.ends_at:
                period = payer.period_at(at)
                at = min(period[1], payer.ends_at)
                if at + GRACE > now:
                    break
                self._close(payer, period, now)

    def _close(self, payer: Payer, period: Span, now: datetime) -> None:
        starts = [one[0] for one in payer.versions if period[0] <= one[0] < period[1]]
        segments = [payer.segment_at(at) for at in sorted({max(period[0], payer.versions[0][0]), *starts})]
        closing = [one for one in segments if one is not None and not one.is_closed]
        for segment in closing:
            for component in segment.components:
                missing = segment.minimum(component) - price(component, segment.events)
                if missing > 0:
                    line = [(component["key"], missing)]
                    self._pay(payer, segment, payer.wallet.burn(line, payer.last_of(period), keeps=False))
            segment.is_closed = True
        if closing:
            coupons.settle(payer, period, now)
