"""Price changes in a dated story: versions of one plan, rollouts through the API, and time that passes."""

from __future__ import annotations

from typing import Any

from django.utils.module_loading import import_string

from config.schedule import SCHEDULE
from tests.scenarios.money import Story

Json = dict[str, Any]


class PriceChanges:
    """One plan of a story, its subscriptions by payer, and what the operator does with them."""

    def __init__(self, story: Story, key: str = "pro", **terms: Any) -> None:
        self.story, self.key, self.api = story, key, story.api
        self.terms: Json = {"name": "Pro", "currency": "USD", "interval": "month"} | terms
        self.subscriptions: dict[str, str] = {}

    def publish(self, *components: Json, **terms: Any) -> str:
        """The id of the plan's next version, published."""
        document = {"plan": self.key, **self.terms, "components": list(components), **terms}
        version = self.api.make("/v1/plan-versions", **document)["id"]
        answer = self.api.post(f"/v1/plan-versions/{version}/publish", {})
        assert answer.status_code == 200, answer.content
        return str(version)

    def customers(self, number: int, version: str, **payer: Any) -> list[str]:
        """So many payers, each of a customer of its own, on a version from now on."""
        payers = [self.story.payer(**payer) for _ in range(number)]
        for each in payers:
            self.start(each, plan_version=version)
        return payers

    def start(self, payer: str, **body: Any) -> Json:
        """Subscribe a payer, from now on."""
        made: Json = self.api.make("/v1/subscriptions", billing_entity=payer, **body)
        self.subscriptions[payer] = made["id"]
        return made

    def draft(self, version: str, when: str = "at_renewal", **body: Any) -> str:
        """A price change that nobody has heard of."""
        return str(self.api.make("/v1/rollouts", plan_version=version, when=when, **body)["id"])

    def announce(self, version: str, when: str = "at_renewal", reason: str = "", **body: Any) -> str:
        """A price change, announced."""
        rollout = self.draft(version, when, **body)
        self.act(rollout, "announce", **({"reason": reason} if reason else {}))
        return rollout

    def act(self, rollout: str, verb: str, **body: Any) -> Json:
        """Do something to it that must work; gives the answer."""
        answer = self.api.post(f"/v1/rollouts/{rollout}/{verb}", body)
        assert answer.status_code == 200, answer.content
        found: Json = answer.json()
        return found

    def refused(self, rollout: str, verb: str, **body: Any) -> tuple[int, str]:
        """Do something to it that must not work: (status, code)."""
        answer = self.api.post(f"/v1/rollouts/{rollout}/{verb}", body)
        assert answer.status_code >= 400, answer.content
        return answer.status_code, answer.json()["error"]["code"]

    def shown(self, rollout: str) -> Json:
        """The price change as the API shows it."""
        found: Json = self.api.get(f"/v1/rollouts/{rollout}").json()
        return found

    def members(self, rollout: str, **params: str) -> list[Json]:
        """Its members, by subscription."""
        answer = self.api.get(f"/v1/rollouts/{rollout}/members", limit="500", **params).json()
        return sorted(answer["data"], key=lambda member: member["subscription"])

    def member(self, rollout: str, payer: str) -> Json:
        """A payer's member."""
        (found,) = self.members(rollout, billing_entity=payer)
        return found

    def on(self, payer: str) -> str:
        """The version that a payer's subscription is on."""
        return str(self.api.get(f"/v1/subscriptions/{self.subscriptions[payer]}").json()["plan_version"])

    def names(self, *payers: str) -> list[str]:
        """The subscriptions of payers."""
        return [self.subscriptions[payer] for payer in payers]

    def due(self) -> None:
        """Everything that time has brought, in the order of the schedule."""
        for row in SCHEDULE:
            import_string(row.task)()
