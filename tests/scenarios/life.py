"""A dated story about subscriptions: started, changed, paused and ended through the public API."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management import call_command

from billing.models import BookedFee
from core.ids import row_id
from core.instants import instant_text
from core.numbers import plain
from tests.scenarios.money import Story

ADDRESS = "/v1/subscriptions"


class LifeStory(Story):
    """What a story about money has, and the verbs of a subscription."""

    def start(self, payer: str, version: str, **fields: Any) -> str:
        """Start a subscription, from now on where `starts_at` does not say otherwise."""
        body = {"billing_entity": payer, "plan_version": version} | fields
        return str(self.api.make(ADDRESS, **body)["id"])

    def do(self, subscription: str, verb: str, **fields: Any) -> Any:
        """A verb that must work, and the subscription as it is then."""
        answer = self.api.post(f"{ADDRESS}/{subscription}/{verb}", fields)
        assert answer.status_code == 200, answer.content
        return answer.json()

    def refusal(self, subscription: str, verb: str, **fields: Any) -> tuple[int, str]:
        """(status, code) of a verb that must be refused."""
        answer = self.api.post(f"{ADDRESS}/{subscription}/{verb}", fields)
        assert answer.status_code >= 400, answer.content
        return answer.status_code, str(answer.json()["error"]["code"])

    def read(self, subscription: str) -> Any:
        """`GET /v1/subscriptions/{id}`."""
        return self.api.get(f"{ADDRESS}/{subscription}").json()

    def run_due(self) -> None:
        """What the workers do, now."""
        call_command("run_due", now=self.now.isoformat())
        self.keep_time()

    def fees(self, subscription: str, since: int = 0) -> list[str]:
        """The fees booked, from the number `since` on: `key amount MM-DD..MM-DD` in the order of booking."""
        rows = BookedFee.objects.filter(subscription_id=row_id("sub", subscription)).order_by("seq")
        return [
            f"{row.key} {plain(row.amount)} {_day(row.covers_start)}..{_day(row.covers_end)}"
            for row in rows[since:]
        ]

    def segments(self, subscription: str) -> list[tuple[str, str]]:
        """(start, end) of the subscription's segments."""
        found = self.read(subscription)["segments"]
        return [(segment["starts_at"], segment["ends_at"]) for segment in found]

    def changes(self, subscription: str) -> list[tuple[str, str]]:
        """(action, status) of what was done to the subscription, but for its start."""
        found = [change for change in self.read(subscription)["changes"] if change["action"] != "start"]
        return [(change["action"], change["status"]) for change in found]


def _day(instant: datetime) -> str:
    text = instant_text(instant)[5:]
    return text[:5] if text.endswith("T00:00:00Z") else text[:11]
