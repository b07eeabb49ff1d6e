"""Leases: drawn, their calls reported in time and late, again and by other doors, returned."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.model.base import AMOUNTS, DAY, HOUR, PAYERS, PICK, Json, Sender
from tests.model.parties import CALLER, Lease
from tests.model.rules_calls import CALLS


class LeaseRules(Sender):
    """What a client does that decides by itself."""

    @rule(
        owner=st.sampled_from(["north-calls", "north-calls", "south-calls", ""]),
        payer=PAYERS,
        has_key=st.booleans(),
        amount=AMOUNTS,
        expires_in=st.sampled_from([1, 60, HOUR, DAY, DAY]),
    )
    def draw(self, owner: str, payer: int, has_key: bool, amount: Decimal, expires_in: int) -> None:
        """An allowance, of a workspace or of a payer."""
        body: Json = {"idempotency_key": self._key(), "amount": str(amount), "expires_in": expires_in}
        body |= {"workspace": owner} if owner else {"billing_entity": f"payer-{payer}"}
        self._draw(body | ({"api_key": f"{owner}/key"} if owner and has_key else {}))

    @rule(pick=PICK)
    def draw_again(self, pick: int) -> None:
        """An earlier lease or authorization of an amount again, as a lease."""
        fit = [body for body in self.sent if "amount" in body]
        if fit:
            self._draw(fit[pick % len(fit)])

    @rule(
        pick=PICK,
        calls=st.lists(CALLS, min_size=1, max_size=4),
        whose=st.sampled_from(["its", "its", "any", "named"]),
        payer=PAYERS,
        twice=st.booleans(),
    )
    def report_calls(self, pick: int, calls: list[Json], whose: str, payer: int, twice: bool) -> None:
        """What a client let pass, of the lease's workspace or another's, or of a payer that it names; perhaps
        all of it again."""
        if not self.leases:
            return
        lease = self.leases[pick % len(self.leases)]
        own = {"workspace": lease.workspace} if whose == "its" and lease.workspace else {}
        bodies = [self._event(call | own) for call in calls]
        if whose == "named":
            name = {"billing_entity": f"payer-{payer}"}
            bodies = [{n: v for n, v in body.items() if n not in CALLER[1:]} | name for body in bodies]
        self._report_calls(lease, bodies)
        if twice:
            self._report_calls(lease, bodies)

    @rule(pick=PICK, earlier=PICK)
    def report_again(self, pick: int, earlier: int) -> None:
        """An earlier call, whoever sent it by whatever door, as one of a lease."""
        fit = [body for body in self.sent if "amount" not in body and "expires_in" not in body]
        if self.leases and fit:
            body = fit[earlier % len(fit)]
            self._report_calls(self.leases[pick % len(self.leases)], [body, body])

    @rule(pick=PICK)
    def give_back(self, pick: int) -> None:
        """A lease is returned."""
        if self.leases:
            lease = self.leases[pick % len(self.leases)]
            answer = self.world.api.post(f"/v1/leases/{lease.id}/return", {})
            self._compare(answer, self.system.give_back(lease, self.now))

    def _draw(self, body: Json) -> None:
        self.sent.append(body)
        answer = self.world.api.post("/v1/leases", self._as_sent(body))
        expected, made = self.system.draw(body, self.now)
        self._compare(answer, expected)
        if made is not None:
            made.id = answer.json()["id"]
            self.leases.append(made)

    def _report_calls(self, lease: Lease, bodies: list[Json]) -> None:
        self.sent += bodies
        sent = {"events": [self._as_sent(body) for body in bodies]}
        answer = self.world.api.post(f"/v1/leases/{lease.id}/report", sent)
        self._counts_agree(answer, bodies, self.system.report_calls(lease, bodies, self.now))
        self._compare(answer, (200, self.system.lease_as_shown(lease)))
