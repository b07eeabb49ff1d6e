"""Who pays, by which prices, and how much at most."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.model.base import AMOUNTS, DAY, HOUR, PAYERS, PICK, TICK, Json, Sender
from tests.model.coupons import redeem
from tests.model.limits import Limit
from tests.model.world import COUPONS, VERSIONS, ZONES


class TermRules(Sender):
    """What account managers do."""

    @rule(
        workspace=st.sampled_from(["north-calls", "south-calls"]),
        payer=PAYERS,
        ago=st.sampled_from([0, 0, HOUR, 3 * DAY, -HOUR, -3 * DAY]),
    )
    def move(self, workspace: str, payer: int, ago: int) -> None:
        """Another pays for a workspace, since when you like."""
        starts_at = self.now - timedelta(seconds=ago)
        row = self._payer(payer)
        body = {"workspace": self.world.ids[workspace], "billing_entity": self.world.ids[row.name]}
        answer = self.world.api.post("/v1/payer-assignments", body | {"starts_at": starts_at.isoformat()})
        self._compare(answer, self.system.move(workspace, row, starts_at))

    @rule(payer=PAYERS, version=st.sampled_from(["first", "second"]))
    def change_version(self, payer: int, version: str) -> None:
        """The subscription goes on by other prices, from now on."""
        self.now += timedelta(seconds=1)
        row = self._payer(payer)
        if row.plan is VERSIONS[version]:
            return
        address = f"/v1/subscriptions/{self.world.ids[f'{row.name}/subscription']}/change"
        body = {"plan_version": self.prices.versions[version, row.currency]}
        answer = self.world.api.post(address, body)
        self._compare(answer, self.system.change_version(row, VERSIONS[version], self.now))

    @rule(payer=PAYERS, coupon=st.sampled_from(sorted(COUPONS)))
    def redeem(self, payer: int, coupon: str) -> None:
        """A coupon is put on a subscription."""
        row = self._payer(payer)
        body = {"subscription": self.world.ids[f"{row.name}/subscription"]}
        answer = self.world.api.post(f"/v1/coupons/{coupon}-{row.currency.lower()}/redeem", body)
        self._compare(answer, redeem(row, COUPONS[coupon], self.now))

    @rule(payer=PAYERS, sure=st.integers(0, 2))
    def pause_or_resume(self, payer: int, sure: int) -> None:
        """The subscription rests, or goes on; now and then it does so already."""
        self.now += timedelta(seconds=1)
        row = self._payer(payer)
        pauses = (row.version_at(self.now) is None) is (sure == 0)
        verb, expected = ("pause", self.system.pause) if pauses else ("resume", self.system.resume)
        address = f"/v1/subscriptions/{self.world.ids[f'{row.name}/subscription']}/{verb}"
        self._compare(self.world.api.post(address, {}), expected(row, self.now))

    @rule(
        level=st.sampled_from(["api_key", "workspace", "organization", "billing_entity", "meter"]),
        which=st.integers(0, 2),
        amount=AMOUNTS,
        window=st.sampled_from(["billing_period", "day", "rolling"]),
        is_hard=st.sampled_from([True, True, False]),
        zone=st.none() | ZONES,
    )
    def limit(
        self, level: str, which: int, amount: Decimal, window: str, is_hard: bool, zone: str | None
    ) -> None:
        """A spend limit at any level, by its payer's clock or another, set when nothing else happens."""
        self.now += TICK
        names = {
            "api_key": ["north-calls/key", "south-calls/key"],
            "workspace": ["north-calls", "south-calls"],
            "organization": ["group", "north", "south"],
        }.get(level, list(self.system.payers))
        owner = names[which % len(names)]
        named = "billing_entity" if level == "meter" else level
        body: Json = {named: self.world.ids[owner], "amount": str(amount), "window": window}
        currency = self.system.payers[owner].currency if named == "billing_entity" else "USD"
        body |= {"kind": "hard" if is_hard else "soft", "currency": currency}
        body |= {"hours": 3} if window == "rolling" else {}
        body |= {"meter": "tokens"} if level == "meter" else {}
        body |= {} if zone is None else {"time_zone": zone}
        answer = self.world.api.post("/v1/spend-limits", body)
        if answer.status_code == 409:
            assert any(
                (one.level, one.owner, one.window) == (level, owner, window) and not one.is_ended
                for one in self.system.limits
            ), answer.content
            return
        assert answer.status_code == 201, answer.content
        limit = Limit(
            id=answer.json()["id"],
            level=level,
            owner=owner,
            amount=amount,
            currency=currency,
            zone=self.system.payer_at_level(level, owner, self.now).zone if zone is None else ZoneInfo(zone),
            is_hard=is_hard,
            window=window,
            hours=3 if window == "rolling" else 0,
            meter="tokens" if level == "meter" else "",
            spent_before=len(self.system.spends),
        )
        limit.first = self.system.present_window(limit, self.now)
        self.system.limits.append(limit)

    @rule(pick=PICK, amount=st.none() | AMOUNTS)
    def change_limit(self, pick: int, amount: Decimal | None) -> None:
        """A limit is raised, lowered or ended."""
        limits = [limit for limit in self.system.limits if not limit.is_ended]
        if not limits:
            return
        limit = limits[pick % len(limits)]
        address = f"/v1/spend-limits/{limit.id}"
        if amount is None:
            assert self.world.api.post(f"{address}/end", {}).status_code == 200
            limit.is_ended = True
        else:
            assert self.world.patch(address, amount=str(amount)).status_code == 200
            limit.amount = amount
