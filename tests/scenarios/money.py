"""A dated story about money, told through the public API; at its end all books must agree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from accounts.models import BillingEntity
from billing.replay import replay_differences
from core import clock
from core.ids import row_id
from core.sql import driver
from tests.api_client import Api
from tests.billing.invariants import broken_invariants
from tests.billing.world import make_meter, make_version

START = datetime(2026, 3, 1, tzinfo=UTC)
WALLETS = """
    SELECT a.customer_id, a.billing_entity_id, a.balance, coalesce(sum(g.remaining), 0)
    FROM billing_ledgeraccount a
    LEFT JOIN billing_creditgrant g ON g.customer_id = a.customer_id
        AND g.billing_entity_id = a.billing_entity_id AND g.booked_at IS NOT NULL
    WHERE a.kind = 'wallet'
    GROUP BY 1, 2, 3 HAVING a.balance > coalesce(sum(g.remaining), 0)"""
REVENUE = """
    SELECT a.customer_id, a.billing_entity_id, a.balance, c.amount, f.amount, l.amount, d.amount, m.revenue
    FROM billing_ledgeraccount a
    LEFT JOIN (SELECT customer_id, billing_entity_id, sum(amount) AS amount
               FROM billing_charge GROUP BY 1, 2) c USING (customer_id, billing_entity_id)
    LEFT JOIN (SELECT customer_id, billing_entity_id, sum(amount) AS amount
               FROM billing_bookedfee GROUP BY 1, 2) f USING (customer_id, billing_entity_id)
    LEFT JOIN (SELECT customer_id, billing_entity_id, sum(amount) AS amount
               FROM billing_closingline WHERE late_policy <> 'absorb'
               GROUP BY 1, 2) l USING (customer_id, billing_entity_id)
    LEFT JOIN (SELECT customer_id, billing_entity_id, sum(amount) AS amount
               FROM billing_couponcredit GROUP BY 1, 2) d USING (customer_id, billing_entity_id)
    LEFT JOIN (SELECT customer_id, billing_entity_id, sum(revenue) AS revenue
               FROM billing_marginbucket GROUP BY 1, 2) m USING (customer_id, billing_entity_id)
    WHERE a.kind = 'revenue'
        AND (a.balance <> coalesce(c.amount, 0) + coalesce(f.amount, 0) + coalesce(l.amount, 0)
                 - coalesce(d.amount, 0)
             OR a.balance <> coalesce(m.revenue, 0))"""


class Story:
    """A calendar that begins on 1 March 2026, an operator's key, and meters made as they are needed."""

    def __init__(self) -> None:
        self.now = START
        self.keep_time()
        self.api = Api()
        self._numbers = iter(range(1, 10_000))

    def keep_time(self) -> None:
        """Let the story's calendar be the clock."""
        clock.use(lambda: self.now)

    def at(self, month: int, day: int, hour: int = 0, minute: int = 0) -> None:
        """Move the clock."""
        self.now = datetime(2026, month, day, hour, minute, tzinfo=UTC)

    def clock_at(self, now: datetime) -> None:
        """Move the clock to any instant, also after a command that had a clock of its own."""
        self.now = now
        clock.use(lambda: self.now)

    def meter(self, key: str, aggregation: str = "sum", **fields: Any) -> str:
        """A meter that hears `call` and takes the property of its own name."""
        make_meter(key, aggregation=aggregation, event="call", **fields)
        return key

    def plan(self, *components: dict[str, Any], **terms: Any) -> str:
        """A published version."""
        return make_version(list(components), **terms).public_id

    def payer(self, *versions: str, top_up: str = "", **fields: Any) -> str:
        """A customer with one payer, subscribed since the story's start, and a workspace `w-<payer>`."""
        number = next(self._numbers)
        customer = self.api.make("/v1/customers", name=f"Customer {number}")["id"]
        body = {"currency": "USD", "settlement": "wallet_only", "overdraft": "0"} | fields
        payer = str(self.api.make("/v1/billing-entities", customer=customer, name=f"p{number}", **body)["id"])
        space = {"customer": customer, "name": "w", "external_id": f"w-{payer}", "billing_entity": payer}
        self.api.make("/v1/workspaces", **space)
        for version in versions:
            self.subscribe(payer, version)
        if top_up:
            self.top_up(payer, top_up)
        return payer

    def subscribe(self, payer: str, version: str) -> None:
        """Put a payer on a version since the story's start."""
        body = {"billing_entity": payer, "plan_version": version, "starts_at": START.isoformat()}
        self.api.make("/v1/subscriptions", **body)

    def top_up(self, payer: str, amount: str, **fields: Any) -> Any:
        """Pay in."""
        return self.api.make("/v1/top-ups", billing_entity=payer, amount=amount, **fields)

    def grant(self, payer: str, amount: str, **fields: Any) -> str:
        """Give credit."""
        return str(self.api.make("/v1/credit-grants", billing_entity=payer, amount=amount, **fields)["id"])

    def ask(self, payer: str, occurred_at: str | None = None, **properties: Any) -> Any:
        """A charge's answer, whatever it is."""
        return self.api.post("/v1/charges", self._event(payer, occurred_at, properties))

    def charge(self, payer: str, occurred_at: str | None = None, **properties: Any) -> str:
        """The amount of a charge that must be allowed."""
        answer = self.ask(payer, occurred_at, **properties)
        assert answer.status_code == 201, answer.content
        return str(answer.json()["amount"])

    def refused(self, payer: str, **properties: Any) -> str:
        """The reason of a charge that must be refused."""
        answer = self.ask(payer, **properties)
        assert answer.status_code == 402, answer.content
        return str(answer.json()["denial"]["reason"])

    def report(self, payer: str, *all_properties: dict[str, Any], occurred_at: str | None = None) -> None:
        """Usage that has happened, in one batch."""
        events = [self._event(payer, occurred_at, properties) for properties in all_properties]
        answer = self.api.post("/v1/events", {"events": events}).json()
        assert answer["accepted"] == len(events), answer

    def balance(self, payer: str) -> Any:
        """What `GET /v1/balance` says."""
        return self.api.get("/v1/balance", billing_entity=payer).json()

    def settled(self, payer: str) -> Decimal:
        """What is in the wallet."""
        return Decimal(self.balance(payer)["settled"])

    def remaining(self, payer: str) -> list[str]:
        """What is left of the payer's grants, the oldest first."""
        rows = self.api.get("/v1/credit-grants", billing_entity=payer).json()["data"]
        return [row["remaining"] for row in rows[::-1]]

    def account(self, payer: str, kind: str) -> Decimal:
        """The balance of one of the payer's accounts."""
        query = "SELECT balance FROM billing_ledgeraccount WHERE billing_entity_id = %s AND kind = %s"
        row = driver().execute(query, (row_id("be", payer), kind)).fetchone()
        return Decimal(0) if row is None else Decimal(row[0])

    def audit(self) -> None:
        """Every invariant of the ledger."""
        connection = driver()
        broken = broken_invariants(connection)
        assert broken == [], broken
        assert connection.execute(WALLETS).fetchall() == [], "a wallet holds no more than its grants"
        assert connection.execute(REVENUE).fetchall() == [], "charges + fees + closes = revenue = margins"
        for entity in BillingEntity.objects.order_by("pk"):
            assert replay_differences(entity) == [], "what was booked is what its history comes to"

    def _event(self, payer: str, occurred_at: str | None, properties: dict[str, Any]) -> dict[str, Any]:
        body = {"idempotency_key": f"k{next(self._numbers)}", "event": "call", "workspace": f"w-{payer}"}
        return body | {"properties": properties} | ({"occurred_at": occurred_at} if occurred_at else {})


def per_unit(key: str, price: str, **fields: Any) -> dict[str, Any]:
    """A component on the meter of its name."""
    return {"key": key, "meter": key, "model": "per_unit", "unit_price": price, **fields}


def tiers(*rows: Sequence[str | None]) -> list[dict[str, Any]]:
    """Tiers from (up_to, unit price)."""
    return [{"up_to": up_to, "unit_price": price} for up_to, price in rows]
