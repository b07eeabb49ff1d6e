"""The model's holds, after docs/algorithms/authorizations.md."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.model.calls import Calls
from tests.model.parties import CALLER, Answer, Authorization, Priced, Seen, amounts_of, error, instant, same
from tests.model.prices import ZERO, Event


class Holds(Calls):
    """Authorizations, captures, voids."""

    def report(self, body: Event, now: datetime, *, is_any_age: bool = False) -> str:
        """As any event; under the key of an authorization it is that call's usage, and is never refused."""
        known = self.seen.get(body["idempotency_key"])
        if known is None or known.authorization is None or not same(known.body, body, CALLER):
            return super().report(body, now, is_any_age=is_any_age)
        status, _ = self.capture(known.authorization, body, now, is_report=True)
        record = self.seen[known.authorization.id].record if status == 201 else None
        if record is not None:
            return self._counts_as(body, record.lines)
        return "duplicates" if status == 200 else "rejected"

    def authorize(self, body: Event, now: datetime) -> Answer:
        """`POST /v1/authorizations`: an event with expected properties, or an amount."""
        self.settle(now)
        known = self.seen.get(body["idempotency_key"])
        if known is not None:
            return self._again(known, body, "hold")
        at = instant(body["occurred_at"]) if "occurred_at" in body else now
        payer = self.payer_of(body, at)
        problem = self._problem(payer, at, now)
        if problem is not None or payer is None:
            return problem or error(422, "no_payer")
        if "amount" in body:
            lines, amount = [Priced("", "", Decimal(body["amount"]))], Decimal(body["amount"])
            spent = self._spent(body, payer, lines, at, now, asked=True)
        else:
            spent, lines, _ = self._rate(body, payer, at, now, asked=True)
            amount = max(ZERO, spent.amount)
        parts = payer.wallet.burn(amounts_of(lines), at, keeps=True)
        refusal = self._refusal(body, payer, spent, parts, at, now)
        if refusal is not None:
            return 402, refusal
        hold = payer.wallet.hold(amount, now + timedelta(seconds=body.get("expires_in", 600)), parts)
        spent.hold = hold
        self.reserved.append(spent)
        answer = {
            "status": "authorized",
            "billing_entity": payer.name,
            "amount": amount,
            "expires_at": hold.expires_at,
            "balance": payer.wallet.balance(),
        }
        made = Authorization(body["idempotency_key"], body, payer, hold, at, amount, spent, answer)
        self.seen[made.key] = Seen("hold", body, answer, authorization=made)
        return 201, answer

    def void(self, held: Authorization, now: datetime) -> Answer:
        """`POST /v1/authorizations/{id}/void`."""
        self.settle(now)
        status = held.status_at()
        if status in ("captured", "expired"):
            return error(409, f"authorization_{status}")
        held.status, held.hold.is_open = "voided", False
        held.payer.wallet.expire(now)
        return 200, {"status": "voided", "balance": held.payer.wallet.balance()}

    def extend(self, held: Authorization, seconds: int, now: datetime) -> Answer:
        """`POST /v1/authorizations/{id}/extend`."""
        self.settle(now)
        if held.status_at() != "authorized":
            return error(409, f"authorization_{held.status_at()}")
        if held.payer.status == "closed":
            return error(403, "closed")
        held.hold.expires_at = max(held.hold.expires_at, now + timedelta(seconds=seconds))
        return 200, {"expires_at": held.hold.expires_at, "balance": held.payer.wallet.balance()}

    def capture(
        self,
        held: Authorization,
        body: Event,
        now: datetime,
        *,
        over: str = "reject",
        is_report: bool = False,
    ) -> Answer:
        """`POST /v1/authorizations/{id}/capture`, or usage that is reported under the authorization's key."""
        self.settle(now)
        payer, wallet, key = held.payer, held.payer.wallet, held.id
        event = {"event": held.body.get("event", "chat"), **body, "idempotency_key": key}
        known = self.seen.get(key)
        if known is not None:
            return self._again(known, event, "event")
        status = held.status_at()
        is_open = status == "authorized"
        is_over = status in ("captured", "voided") or (status == "expired" and payer.status == "closed")
        if is_over and not is_report:
            return error(409, f"authorization_{status}")
        first = held.authorized_at if is_open and not is_report else now
        at = instant(body["occurred_at"]) if "occurred_at" in body else first
        call = {name: held.body[name] for name in CALLER[1:] if name in held.body} | event
        spent, lines, segment = self._rate(call, payer, at, now, asked=not is_report)
        excess = spent.amount - held.hold.amount
        if is_open and excess > 0 and not is_report and over == "reject":
            said = {"reason": "insufficient_funds", "level": "authorization", "limit": held.hold.amount}
            return 402, said | {"used": ZERO, "balance": wallet.balance()}
        was_open, held.hold.is_open = held.hold.is_open, False
        most = held.hold.amount if is_open and not is_report and over == "cap" else None
        if most is not None and excess > 0:
            self._cap(lines, excess)
            spent = self._spent(call, payer, lines, at, now, asked=True)
        parts = wallet.burn(amounts_of(lines), now, keeps=not is_report)
        if not is_report:
            refusal = None
            if not is_open:
                refusal = self._refusal(call, payer, spent, parts, at, now)
            elif excess > 0 and over == "overdraft":
                refusal = self._over(spent, now)
                if refusal is None and not wallet.allows(parts):
                    refusal = {"reason": "insufficient_funds", "level": "billing_entity"}
            if refusal is not None:
                held.hold.is_open = was_open
                return (
                    (402, refusal | {"balance": wallet.balance()})
                    if is_open
                    else error(409, "authorization_expired")
                )
        was_voided = held.status == "voided"
        how: Any = {"asked": not is_report, "authorization": held, "most": most}
        answer = self._book(call, payer, segment, spent, lines, parts, now, **how)
        if not is_report:
            self.finish(now)
        held.status = "voided" if was_voided else "captured"
        self.seen[key].body = event
        return 201, answer

    @staticmethod
    def _cap(lines: Sequence[Priced], excess: Decimal) -> None:
        """The operator bears the excess, of the last lines first."""
        for line in reversed(lines):
            line.absorbed = max(ZERO, min(excess, line.amount))
            excess -= line.absorbed
