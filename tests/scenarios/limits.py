"""A customer with two divisions and a payer for each, whose spend is bounded; told through the public API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from core.sql import driver
from tests.billing.invariants import broken_invariants
from tests.scenarios.money import Story, per_unit


class LimitStory(Story):
    """`group` has the divisions `north` and `south`; each pays for the workspace of its name.

    A call costs 1 per token and 10 per image. Wallets are full: what refuses is a limit.
    """

    def __init__(self, time_zone: str = "UTC", **terms: Any) -> None:
        super().__init__()
        self.meter("tokens")
        self.meter("images")
        self.version = self.plan(per_unit("tokens", "1"), per_unit("images", "10"), **terms)
        self.customer = self.api.make("/v1/customers", name="Group")["id"]
        self.group = self._organization("group", None)
        self.payers: dict[str, str] = {}
        for name in ("north", "south"):
            self._division(name, time_zone)

    def _organization(self, name: str, parent: str | None) -> str:
        body = {"customer": self.customer, "external_id": name, "parent": parent}
        return str(self.api.make("/v1/organizations", **body)["id"])

    def _division(self, name: str, time_zone: str) -> None:
        division = self._organization(f"{name}-division", self.group)
        body = {"customer": self.customer, "name": name, "organization": division, "time_zone": time_zone}
        payer = self.api.make("/v1/billing-entities", currency="USD", overdraft="0", **body)["id"]
        space = {"customer": self.customer, "external_id": name, "organization": division}
        self.api.make("/v1/workspaces", billing_entity=payer, **space)
        self.subscribe(payer, self.version)
        self.top_up(payer, "100000")
        self.payers[name] = payer

    def key(self, workspace: str = "north") -> tuple[str, str]:
        """A new API key of a workspace: its id and its secret."""
        made = self.api.make("/v1/api-keys", workspace=workspace, name="k")
        return str(made["id"]), str(made["secret"])

    def limit(self, amount: str, **fields: Any) -> dict[str, Any]:
        """Set a limit that must be allowed."""
        made: dict[str, Any] = self.api.make("/v1/spend-limits", amount=amount, **fields)
        return made

    def call(self, tokens: int, workspace: str | None = "north", **fields: Any) -> Any:
        """A charge's answer: so many tokens."""
        return self.api.post("/v1/charges", self.event({"tokens": tokens}, workspace, **fields))

    def spend(self, tokens: int, workspace: str | None = "north", **fields: Any) -> None:
        """A charge that must be allowed."""
        answer = self.call(tokens, workspace, **fields)
        assert answer.status_code == 201, answer.content

    def denial(self, tokens: int, workspace: str | None = "north", **fields: Any) -> dict[str, Any]:
        """What the refusal of a charge says."""
        answer = self.call(tokens, workspace, **fields)
        assert answer.status_code == 402, answer.content
        denial: dict[str, Any] = answer.json()["denial"]
        return denial

    def reported(self, tokens: int, workspace: str | None = "north", **fields: Any) -> None:
        """Usage that has happened."""
        body = {"events": [self.event({"tokens": tokens}, workspace, **fields)]}
        assert self.api.post("/v1/events", body).json()["accepted"] == 1

    def event(self, properties: dict[str, Any], workspace: str | None, **fields: Any) -> dict[str, Any]:
        """An event under a new key."""
        body = {"idempotency_key": f"k{next(self._numbers)}", "event": "call", "properties": properties}
        return body | ({"workspace": workspace} if workspace else {}) | fields

    def shown(self, limit: dict[str, Any]) -> dict[str, Any]:
        """A limit as it is now."""
        found: dict[str, Any] = self.api.get(f"/v1/spend-limits/{limit['id']}").json()
        return found

    def used(self, limit: dict[str, Any]) -> Decimal:
        """What a limit's present window has used."""
        return Decimal(self.shown(limit)["used"])

    def change(self, path: str, **fields: Any) -> Any:
        """PATCH, which must be allowed."""
        answer = self.patch(path, **fields)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def patch(self, path: str, **fields: Any) -> Any:
        """PATCH."""
        headers = {"Authorization": f"Bearer {self.api.secret}"}
        return self.api.client.patch(
            path, json.dumps(fields), content_type="application/json", headers=headers
        )

    def alerts(self, **filters: str) -> list[dict[str, Any]]:
        """What has fired, the oldest first."""
        rows: list[dict[str, Any]] = self.api.get("/v1/alerts", **filters).json()["data"]
        return rows[::-1]

    def instant(self, text: str) -> None:
        """Move the clock to an instant (UTC, `2026-03-05T10:00`)."""
        self.clock_at(datetime.fromisoformat(text).replace(tzinfo=UTC))

    def audit(self) -> None:
        """Every invariant of the ledger, and of what limits have counted."""
        super().audit()
        assert broken_invariants(driver()) == []


def thresholds(alerts: list[dict[str, Any]]) -> list[str]:
    """What they fired at."""
    return [alert["threshold"] for alert in alerts]
