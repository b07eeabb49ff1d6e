"""A small installation with a row of everything that reconciliation looks at, made through the API."""

from __future__ import annotations

from typing import Any

from billing import rollouts
from core import clock
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit
from tests.scenarios.test_coupons import coupon


class Books(LifeStory):
    """A payer in March and April 2026: prepaid, with a closed period, coupons, holds, limits and a reversal.

    A token costs 0.5, a user 1, the plan 31 a month with a minimum of 30 for tokens.
    """

    def __init__(self) -> None:
        super().__init__()
        self.meter("tokens", group_by=["model"])
        self.meter("users", "unique")
        self.meter("peak", "max")
        tokens = per_unit("tokens", "0.5", minimum="30", group_by=["model"])
        plan = self.plan(
            tokens,
            per_unit("users", "1"),
            per_unit("peak", "2"),
            base_fees=[{"key": "platform", "amount": "31", "prorate": True}],
        )
        self.payer_id = self.payer(top_up="1000")
        self.subscription = self.start(self.payer_id, plan)
        coupon(self, self.subscription, percent="50", components=["tokens"], periods=1)
        self.api.make("/v1/spend-limits", billing_entity=self.payer_id, amount="500", window="day")
        self.api.make("/v1/spend-limits", workspace=f"w-{self.payer_id}", amount="900")
        self.api.make("/v1/margin-floors", billing_entity=self.payer_id, min_margin="0.1", action="notify")
        self.grant(self.payer_id, "10", kind="promotional")
        self._use_march()
        self._use_april()

    def _use_march(self) -> None:
        self.at(3, 5, 10)
        self.charge(self.payer_id, tokens=4, model="a")
        self.charge(self.payer_id, tokens=6, model="b", users="ann", peak=3)
        self.at(3, 5, 11)
        self.report(self.payer_id, {"tokens": 2, "users": "ben"}, {"tokens": 3, "users": "ann"})
        self.at(4, 3)
        self.run_due()

    def _use_april(self) -> None:
        self.at(4, 5, 9)
        reversed_key = self._key()
        self.post("/v1/charges", self.call(reversed_key, tokens=8, model="a"))
        self.post("/v1/reversals", {"event": reversed_key, "reason": "Sent by mistake"})
        self.charge(self.payer_id, tokens=20, model="a", users="eve")
        charged = self.post("/v1/charges", self.call(self._key(), tokens=2, peak=1))["id"]
        self.post(f"/v1/charges/{charged}/costs", {"costs": [self.cost("0.4")]})
        self.post("/v1/charges", self.call(self._key(), tokens=2) | {"costs": [self.cost("0.2")]})
        self.post("/v1/authorizations", self.call(self._key(), tokens=10) | {"expires_in": 86400})
        hold = self.post("/v1/authorizations", self.call(self._key(), tokens=10))["id"]
        self.post(f"/v1/authorizations/{hold}/capture", {"properties": {"tokens": 7}})
        self.post("/v1/leases", {"workspace": f"w-{self.payer_id}", "amount": "5"})
        rollouts.deliver_outbox(clock.now())
        self.at(4, 6)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST, which must work."""
        has_key = "idempotency_key" in body or path.endswith("/capture")
        headers = {} if has_key else {"Idempotency-Key": self._key()}
        answer = self.api.post(path, body, **headers)
        assert answer.status_code in (200, 201), (path, answer.content)
        return answer.json()

    def call(self, key: str, **properties: Any) -> dict[str, Any]:
        """A call of the payer's workspace."""
        space = f"w-{self.payer_id}"
        return {"idempotency_key": key, "event": "call", "workspace": space, "properties": properties}

    def cost(self, amount: str) -> dict[str, str]:
        """What a vendor takes."""
        return {"vendor": "v", "amount": amount, "currency": "USD"}

    def _key(self) -> str:
        return f"k{next(self._numbers)}"
