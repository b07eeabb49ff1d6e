"""What can be read now and then: limits, charges, usage, entitlements, and the books."""

from __future__ import annotations

from decimal import Decimal

from hypothesis.stateful import rule

from accounts.models import BillingEntity
from billing.models import Overspend
from billing.replay import replay_differences
from core.ids import row_id
from core.sql import driver
from tests.billing.invariants import broken_invariants
from tests.model.base import PICK, Sender
from tests.model.prices import ZERO, quantity_of


class Looks(Sender):
    """Reads, and compares with the model; what the model does not know must agree with itself."""

    @rule()
    def look(self) -> None:
        """All of it."""
        self.system.settle(self.now)
        self._limits_agree()
        self._leases_agree()
        self._overspend_agrees()
        self._charges_agree()
        self._usage_agrees()
        self._entitlements_agree()
        self._books_agree()

    @rule(pick=PICK)
    def prove(self, pick: int) -> None:
        """Any charge is what its stored event comes to."""
        address = {"customer": self.world.ids["customer"], "limit": "500"}
        found = self.world.api.get("/v1/charges", **address).json()["data"]
        if found:
            charge = found[pick % len(found)]["id"]
            answer = self.world.api.post(f"/v1/charges/{charge}/recompute", {}).json()
            self._agree(answer["matches"], True, answer)

    def _limits_agree(self) -> None:
        for limit in self.system.limits:
            if not limit.is_ended:
                row = self.world.api.get(f"/v1/spend-limits/{limit.id}").json()
                used = limit.used(self.system.spends, self.system.present_window(limit, self.now))
                held = limit.reserved(self.system.reserved)
                self._agree((Decimal(row["used"]), Decimal(row["held"])), (used, held), [limit, row])

    def _leases_agree(self) -> None:
        """Every lease, as it stands."""
        for lease in self.leases:
            answer = self.world.api.get(f"/v1/leases/{lease.id}")
            self._compare(answer, (200, self.system.lease_as_shown(lease)))

    def _overspend_agrees(self) -> None:
        """What was charged below each payer's floor, by calls of leases and by others."""
        for payer in self.system.payers.values():
            entity_id = row_id("be", self.world.ids[payer.name])
            rows = Overspend.objects.filter(billing_entity_id=entity_id)
            told = {True: ZERO, False: ZERO}
            for row in rows:
                told[row.cause == Overspend.Cause.LEASE] += row.amount
            self._agree(told, payer.overspent, payer.name)

    def _charges_agree(self) -> None:
        """The list of each payer's charges, the newest first, reversals among them."""
        for payer in self.system.payers.values():
            address = {"billing_entity": self.world.ids[payer.name], "limit": "500"}
            rows = self.world.api.get("/v1/charges", **address).json()["data"]
            told = [Decimal(row["amount"]) for row in rows]
            self._agree(sorted(told), sorted(payer.charged), payer.name)

    def _usage_agrees(self) -> None:
        """What the month has counted, without what was reversed."""
        for payer in self.system.payers.values():
            start, end = payer.period_at(self.now)
            window = {"from": start.isoformat(), "to": end.isoformat(), "granularity": "month"}
            for meter in ("images", "tokens"):
                scope = {"billing_entity": self.world.ids[payer.name], "meter": meter}
                answer = self.world.api.get("/v1/usage", **scope, **window)
                assert answer.status_code == 200, answer.content
                told = [Decimal(one["total"] or 0) for one in answer.json()["data"]]
                events = [one["body"] for one in payer.counted if start <= one["at"] < end]
                self._agree(sum(told, ZERO), quantity_of(meter, events), [payer.name, meter, answer.json()])

    def _entitlements_agree(self) -> None:
        """The quota of images, where the version of now has one."""
        for payer in self.system.payers.values():
            answer = self.world.api.get("/v1/entitlements", billing_entity=self.world.ids[payer.name]).json()
            told = [
                [Decimal(one[name]) for name in ("limit", "used", "remaining")]
                for one in answer["entitlements"]
            ]
            version = payer.version_at(self.now)
            quota = None if version is None else version.quota
            used = self.system.quota_used(payer, self.now, with_held=False)
            taken = self.system.quota_used(payer, self.now)
            self._agree(told, [] if quota is None else [[quota, used, quota - taken]], [payer.name, answer])

    def _books_agree(self) -> None:
        self._agree(broken_invariants(driver()), [])
        for payer in self.system.payers.values():
            entity = BillingEntity.objects.get(pk=row_id("be", self.world.ids[payer.name]))
            self._agree(replay_differences(entity), [], payer.name)
