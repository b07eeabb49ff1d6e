"""The model's leases, after docs/algorithms/leases.md: an allowance, and the calls that are charged to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.model.holds import Holds
from tests.model.parties import Answer, Lease, Payer, Priced, Seen, amounts_of, error, instant
from tests.model.prices import ZERO, Event


class Leases(Holds):
    """Draw, report, return."""

    def draw(self, body: Event, now: datetime) -> tuple[Answer, Lease | None]:
        """`POST /v1/leases`: the answer, and the lease if one was made."""
        self.settle(now)
        known = self.seen.get(body["idempotency_key"])
        if known is not None:
            return self._again(known, body, "lease"), None
        payer = self.payer_of(body, now)
        problem = self._problem(payer, now, now)
        if problem is not None or payer is None:
            return problem or error(422, "no_payer"), None
        amount = Decimal(body["amount"])
        lines = [Priced("", "", amount)]
        spent = self._spent(body, payer, lines, now, now, asked=True)
        parts = payer.wallet.burn(amounts_of(lines), now, keeps=True)
        refusal = self._refusal(body, payer, spent, parts, now, now)
        if refusal is not None:
            return (402, refusal), None
        hold = payer.wallet.hold(amount, now + timedelta(seconds=body["expires_in"]), parts)
        spent.hold = hold
        self.reserved.append(spent)
        answer = {
            "status": "open",
            "billing_entity": payer.name,
            "amount": amount,
            "expires_at": hold.expires_at,
            "balance": payer.wallet.balance(),
        }
        self.seen[body["idempotency_key"]] = Seen("lease", body, answer)
        return (201, answer), Lease(payer, body.get("workspace"), hold, amount, spent)

    def report_calls(self, lease: Lease, bodies: Sequence[Event], now: datetime) -> list[str]:
        """`POST /v1/leases/{id}/report`: what each of the calls counts as."""
        self.settle(now)
        outcomes = [self._report_call(lease, body, now) for body in bodies]
        self.finish(now)
        return outcomes

    def _report_call(self, lease: Lease, body: Event, now: datetime) -> str:
        known = self.seen.get(body["idempotency_key"])
        if known is not None:
            return "duplicates" if self._again(known, body, "event")[0] == 200 else "rejected"
        at = instant(body["occurred_at"]) if "occurred_at" in body else now
        payer = self._payer_of_call(lease, body, at)
        problem = self._problem(payer, at, now, is_promised=payer is lease.payer)
        if payer is None or problem is not None:
            self.quarantine[body["idempotency_key"]] = body
            return "quarantined"
        spent, lines, segment = self._rate(body, payer, at, now, asked=False)
        is_its = payer is lease.payer
        if is_its:
            self._draw_on(lease, spent.amount)
        parts = payer.wallet.burn(amounts_of(lines), now if is_its else at, keeps=False)
        self._book(body, payer, segment, spent, lines, parts, now, asked=False, is_of_lease=is_its)
        if is_its:
            payer.wallet.expire(now)
        return self._counts_as(body, lines)

    def _payer_of_call(self, lease: Lease, body: Event, at: datetime) -> Payer | None:
        """Who gave the lease, for calls of its workspace; else who pays."""
        is_its = lease.workspace is not None and body.get("workspace") == lease.workspace
        return lease.payer if is_its else self.payer_of(body, at)

    @staticmethod
    def _draw_on(lease: Lease, price: Decimal) -> None:
        """The lease reserves so much less, in the wallet and in limits, as far as it reserves anything."""
        lease.used += price
        if not lease.hold.is_open:
            return
        freed = min(lease.hold.amount, max(ZERO, price))
        lease.hold.amount -= freed
        lease.reserved.amount -= freed
        lease.reserved.by_meter[""] -= freed

    def give_back(self, lease: Lease, now: datetime) -> Answer:
        """`POST /v1/leases/{id}/return`."""
        self.settle(now)
        if lease.status_at() == "open":
            lease.status, lease.hold.is_open = "returned", False
            lease.payer.wallet.expire(now)
        return 200, self.lease_as_shown(lease) | {"balance": lease.payer.wallet.balance()}

    @staticmethod
    def lease_as_shown(lease: Lease) -> dict[str, Any]:
        """What is told of a lease. Exposure is what it reserves, and after its time what is left of it."""
        status = lease.status_at()
        held = lease.hold.amount if status == "open" else ZERO
        left = max(ZERO, lease.amount - lease.used) if status == "expired" else held
        told = {"status": status, "amount": lease.amount, "used": lease.used, "held": held}
        return told | {"exposure": left}
