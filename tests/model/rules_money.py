"""Money in and out, and the terms and states of payers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.model.base import AMOUNTS, DAY, HOUR, PAYERS, WAITS, Json, Sender
from tests.model.parties import Answer, Payer


class MoneyRules(Sender):
    """What finance does."""

    @rule(payer=PAYERS, amount=AMOUNTS, expires=st.none() | WAITS)
    def top_up(self, payer: int, amount: Decimal, expires: int | None) -> None:
        """Somebody pays."""
        at = None if expires is None else self.now + timedelta(seconds=expires)
        body = {"amount": str(amount)} | ({} if at is None else {"expires_at": at.isoformat()})
        answer = self._money("/v1/top-ups", payer, body)
        terms = {"amount": amount, "is_promotional": False, "priority": 50, "effective_at": self.now}
        expected = self.system.grant(
            self._payer(payer), self.now, **terms, expires_at=at, components=frozenset()
        )
        self._compare(answer, expected)

    @rule(
        payer=PAYERS,
        amount=AMOUNTS,
        is_promotional=st.booleans(),
        priority=st.sampled_from([10, 50, 90]),
        starts=st.sampled_from([None, None, -HOUR, HOUR, 3 * DAY]),
        lasts=st.none() | WAITS,
        components=st.sampled_from([[], [], ["graduated"], ["images", "people"]]),
    )
    def grant(
        self,
        payer: int,
        amount: Decimal,
        is_promotional: bool,
        priority: int,
        starts: int | None,
        lasts: int | None,
        components: list[str],
    ) -> None:
        """A block of credit, for all or for some components, from now or another instant, for ever or not."""
        begins = self.now + timedelta(seconds=starts or 0)
        ends = None if lasts is None else max(begins, self.now) + timedelta(seconds=lasts)
        body: Json = {"amount": str(amount), "priority": priority, "components": components}
        body["kind"] = "promotional" if is_promotional else "paid"
        body |= {} if starts is None else {"effective_at": begins.isoformat()}
        body |= {} if ends is None else {"expires_at": ends.isoformat()}
        answer = self._money("/v1/credit-grants", payer, body)
        terms = {"amount": amount, "is_promotional": is_promotional, "priority": priority}
        terms |= {"effective_at": begins, "expires_at": ends, "components": frozenset(components)}
        self._compare(answer, self.system.grant(self._payer(payer), self.now, **terms))

    @rule(payer=PAYERS, amount=AMOUNTS, sign=st.sampled_from([1, -1]))
    def adjust(self, payer: int, amount: Decimal, sign: int) -> None:
        """Staff correct a wallet."""
        answer = self._money("/v1/adjustments", payer, {"amount": str(sign * amount), "reason": "a mistake"})
        self._compare(answer, self.system.adjust(self._payer(payer), sign * amount, self.now))

    @rule(
        payer=PAYERS,
        change=st.sampled_from(
            [{"overdraft": "0"}, {"overdraft": "3"}, {"overdraft": None}]
            + [{"credit_limit": "0"}, {"credit_limit": "5"}, {"credit_limit": None}]
            + [{"settlement": s} for s in ("wallet_only", "wallet_then_invoice", "invoice_only")]
            + [{"status": s} for s in ("suspended", "active", "active")]
        ),
    )
    def change_payer(self, payer: int, change: Json) -> None:
        """A payer's terms or state."""
        row = self._payer(payer)
        answer = self.world.patch(f"/v1/billing-entities/{self.world.ids[row.name]}", **change)
        self._compare(answer, self._changed(row, change))

    @rule(payer=PAYERS, sure=st.integers(0, 5))
    def close_payer(self, payer: int, sure: int) -> None:
        """Now and then a payer is closed, for ever."""
        if sure == 0:
            self.change_payer(payer=payer, change={"status": "closed"})

    def _changed(self, row: Payer, change: Json) -> Answer:
        self.system.settle(self.now)
        for name, value in change.items():
            if name == "status":
                if row.status == "closed" and value != "closed":
                    return 409, {"error": "closed"}
                if value == "closed" and row.status != "closed":
                    self.system.close(row, self.now)
                row.status = value
            elif name == "settlement":
                row.wallet.settlement = value
            else:
                setattr(row.wallet, name, None if value is None else Decimal(value))
        return 200, {}
