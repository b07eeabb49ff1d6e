"""The model's calls: what a charge or a report comes to, in the order of DESIGN.md section 4."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from tests.model import coupons
from tests.model.days import Span
from tests.model.limits import LEVELS, Limit, Spent
from tests.model.parties import (
    AHEAD,
    LATE,
    Answer,
    Authorization,
    Payer,
    Priced,
    Record,
    Seen,
    Segment,
    amounts_of,
    error,
    instant,
    same,
)
from tests.model.prices import METERS, ZERO, Event, hears
from tests.model.wallet import Part


class Calls:
    """One customer, its payers and workspaces. `assignments`: by workspace, since when who pays."""

    def __init__(self) -> None:
        self.payers: dict[str, Payer] = {}
        self.assignments: dict[str, dict[datetime, Payer]] = {}
        self.workspaces: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.limits: list[Limit] = []
        self.spends: list[Spent] = []
        self.reserved: list[Spent] = []
        self.seen: dict[str, Seen] = {}
        self.quarantine: dict[str, Event] = {}
        self.changed: dict[tuple[str, Span], None] = {}
        """Closed periods, by payer, whose lines have changed in what is under way."""
        self.age = 0

    # --- who pays ---------------------------------------------------------------------------------------

    def settle(self, now: datetime) -> None:
        """Let all that is due take effect."""
        for payer in self.payers.values():
            payer.wallet.settle(now)

    def payer_at(self, workspace: str, at: datetime) -> Payer | None:
        """Who pays for a workspace's calls at an instant."""
        since = [start for start in self.assignments[workspace] if start <= at]
        return self.assignments[workspace][max(since)] if since else None

    def payer_of(self, body: Event, at: datetime) -> Payer | None:
        """Who pays for a body's caller: the payer that it names, or the workspace's."""
        if "billing_entity" in body:
            return self.payers[body["billing_entity"]]
        return self.payer_at(body["workspace"], at)

    def move(self, workspace: str, payer: Payer, starts_at: datetime) -> Answer:
        """Another pays from `starts_at` to the next change that is planned."""
        if payer.status == "closed":
            return error(409, "closed")
        if self.payer_at(workspace, starts_at) is not payer:
            self.assignments[workspace][starts_at] = payer
        return 201, {}

    def _problem(
        self,
        payer: Payer | None,
        at: datetime,
        now: datetime,
        *,
        is_any_age: bool = False,
        is_promised: bool = False,
    ) -> Answer | None:
        """What keeps a call from being looked at. A closed payer pays for what was promised before."""
        if payer is None:
            return error(422, "no_payer")
        if at < now - LATE and not is_any_age:
            return error(422, "too_late")
        if at > now + AHEAD:
            return error(422, "in_future")
        return error(403, "closed") if payer.status == "closed" and not is_promised else None

    # --- calls --------------------------------------------------------------------------------------------

    def ask(self, body: Event, now: datetime) -> Answer:
        """`POST /v1/charges`."""
        self.settle(now)
        known = self.seen.get(body["idempotency_key"])
        if known is not None:
            return self._again(known, body, "event")
        at = instant(body["occurred_at"]) if "occurred_at" in body else now
        payer = self.payer_of(body, at)
        problem = self._problem(payer, at, now)
        if problem is not None or payer is None:
            return problem or error(422, "no_payer")
        spent, lines, segment = self._rate(body, payer, at, now, asked=True)
        parts = payer.wallet.burn(amounts_of(lines), at, keeps=True)
        refusal = self._refusal(body, payer, spent, parts, at, now)
        if refusal is not None:
            return 402, refusal
        answer = self._book(body, payer, segment, spent, lines, parts, now, asked=True)
        self.finish(now)
        return 201, answer

    def report(self, body: Event, now: datetime, *, is_any_age: bool = False) -> str:
        """One event of `POST /v1/events`: what it counts as."""
        known = self.seen.get(body["idempotency_key"])
        if known is not None:
            status, _ = self._again(known, body, "event")
            return "duplicates" if status == 200 else "rejected"
        at = instant(body["occurred_at"]) if "occurred_at" in body else now
        payer = self.payer_of(body, at)
        problem = self._problem(payer, at, now, is_any_age=is_any_age)
        if payer is None or problem is not None:
            self.quarantine[body["idempotency_key"]] = body
            return "quarantined"
        spent, lines, segment = self._rate(body, payer, at, now, asked=False)
        parts = payer.wallet.burn(amounts_of(lines), at, keeps=False)
        self._book(body, payer, segment, spent, lines, parts, now, asked=False)
        return self._counts_as(body, lines)

    @staticmethod
    def _counts_as(body: Event, lines: Sequence[Priced]) -> str:
        is_heard = any(hears(meter, body) for meter in METERS)
        return "accepted" if lines else "unpriced" if is_heard else "unmatched"

    def _again(self, known: Seen, body: Event, kind: str) -> Answer:
        """A key that has counted: the first answer, or a conflict."""
        if known.kind != kind or not same(known.body, body):
            return error(409, "idempotency_conflict")
        return 200, known.answer

    def _rate(
        self, body: Event, payer: Payer, at: datetime, now: datetime, *, asked: bool
    ) -> tuple[Spent, list[Priced], Segment | None]:
        segment = payer.segment_at(at)
        lines = []
        for component in segment.components if segment else ():
            if segment is not None and hears(component["meter"], body):
                with_it = segment.cost(component, [*segment.events, body])
                amount = with_it - segment.cost(component, segment.events)
                lines.append(Priced(component["key"], component["meter"], amount))
        return self._spent(body, payer, lines, at, now, asked=asked), lines, segment

    def _spent(
        self, body: Event, payer: Payer, lines: Sequence[Priced], at: datetime, now: datetime, *, asked: bool
    ) -> Spent:
        """What lines count in limits."""
        owners = {"billing_entity": payer.name, "organization": payer.organizations}
        if "workspace" in body:
            owners |= {"workspace": body["workspace"], "organization": self.workspaces[body["workspace"]]}
        if "api_key" in body:
            owners["api_key"] = body["api_key"]
        by_meter = self._by_meter(lines)
        amount = sum(by_meter.values(), ZERO)
        return Spent(owners, payer.currency, payer.zone, amount, by_meter, at, now, asked)

    @staticmethod
    def _by_meter(lines: Sequence[Priced]) -> dict[str, Decimal]:
        """What lines cost their payer, by meter."""
        by_meter: dict[str, Decimal] = {}
        for line in lines:
            by_meter[line.meter] = by_meter.get(line.meter, ZERO) + line.amount - line.absorbed
        return by_meter

    def _refusal(
        self, body: Event, payer: Payer, spent: Spent, parts: Sequence[Part], at: datetime, now: datetime
    ) -> dict[str, Any] | None:
        """The first reason to refuse, in DESIGN.md's order."""
        said: dict[str, Any] = {"level": "billing_entity", "limit": None, "used": None}
        if payer.status == "suspended":
            said["reason"] = "suspended"
        elif payer.segment_at(at) is None:
            said["reason"] = "no_subscription"
        elif (missing := self._missing(body, payer, at)) is not None:
            said |= missing
        elif (over := self._over(spent, now)) is not None:
            said |= over
        elif spent.amount > 0 and not payer.wallet.allows(parts):
            said["reason"] = "insufficient_funds"
        else:
            return None
        return said | {"balance": payer.wallet.balance()}

    def _missing(self, body: Event, payer: Payer, at: datetime) -> dict[str, Any] | None:
        """The quota of images that a call would pass."""
        version = payer.version_at(at)
        if version is None or version.quota is None or body.get("event") != "image":
            return None
        used = self.quota_used(payer, at)
        if used + 1 <= version.quota:
            return None
        return {"reason": "entitlement", "level": "entitlement", "limit": version.quota, "used": used}

    def quota_used(self, payer: Payer, at: datetime, *, with_held: bool = True) -> Decimal:
        """Images of the month, with those that are held."""
        start, end = payer.period_at(at)
        images = [one for one in payer.counted if one["body"]["event"] == "image"]
        used = [one for one in images if start <= one["at"] < end]
        held = [
            one.authorization
            for one in self.seen.values()
            if one.authorization is not None and one.authorization.payer is payer
        ]
        open_ones = [a for a in held if a.status_at() == "authorized" and a.body.get("event") == "image"]
        return Decimal(
            len(used) + (len([a for a in open_ones if start <= a.authorized_at < end]) * with_held)
        )

    def _over(self, spent: Spent, now: datetime) -> dict[str, Any] | None:
        """The first hard limit that it would pass, by level."""
        if spent.amount <= 0:
            return None
        for limit in self.limits_of(spent):
            amount = limit.amount_of(spent)
            used = limit.used(self.spends, limit.window_of(spent, now)) + limit.reserved(self.reserved)
            if limit.is_hard and amount > 0 and used + amount > limit.amount:
                found = {"reason": "spend_limit", "level": limit.level, "limit": limit.amount, "used": used}
                return found | {"resets": "never"} if amount > limit.amount else found
        return None

    def present_window(self, limit: Limit, now: datetime) -> Span:
        """The window of now: a billing period is that of who pays at the limit's level now."""
        return limit.window_at(now, now, self.payer_at_level(limit.level, limit.owner, now).zone)

    def payer_at_level(self, level: str, owner: str, now: datetime) -> Payer:
        """Who pays there now; of an organization the oldest payer in it, or else of its customer."""
        if level == "organization":
            inside = [one for one in self.payers.values() if one.organizations.split()[0] == owner]
            return (inside or list(self.payers.values()))[0]
        workspace = owner.removesuffix("/key")
        payer = self.payer_at(workspace, now) if workspace in self.workspaces else self.payers[owner]
        assert payer is not None, "every workspace has had a payer from the first"
        return payer

    def limits_of(self, spent: Spent) -> list[Limit]:
        """The limits in which it counts, in the order in which they are asked."""
        chain = spent.owners["organization"].split()
        found = [limit for limit in self.limits if limit.concerns(spent)]
        return sorted(
            found,
            key=lambda limit: (
                LEVELS.index(limit.level),
                chain.index(limit.owner) if limit.level == "organization" else 0,
            ),
        )

    def _book(
        self,
        body: Event,
        payer: Payer,
        segment: Segment | None,
        spent: Spent,
        lines: list[Priced],
        parts: list[Part],
        now: datetime,
        *,
        asked: bool,
        authorization: Authorization | None = None,
        most: Decimal | None = None,
        is_of_lease: bool = False,
    ) -> dict[str, Any]:
        """Take it in. The answer's balance is that of this entry; what is breakage after it goes after it."""
        record = Record(body, payer, segment, lines, spent, most, is_charge=bool(lines) or asked)
        parts = self._enter(record, parts, is_of_lease=is_of_lease)
        payer.counted.append({"at": spent.occurred_at, "body": body})
        if record.is_charge:
            payer.charged.append(spent.amount)
        answer: dict[str, Any] = {
            "status": "charged",
            "billing_entity": payer.name,
            "amount": spent.amount,
            "lines": {line.component: line.amount for line in lines},
            "balance": payer.wallet.balance(),
        }
        if not lines and not asked:
            answer = {"status": "recorded"}
        self.seen[body["idempotency_key"]] = Seen("event", body, answer, record)
        if any(part.amount < 0 for part in parts) or authorization is not None:
            payer.wallet.expire(now)
        return answer

    def _enter(self, record: Record, parts: list[Part], *, is_of_lease: bool = False) -> list[Part]:
        """Let an event count in its segment, limits and wallet; gives what was paid and given back."""
        segment, lines, spent = record.segment, record.lines, record.spent
        self._falls(record.payer, segment, lines)
        if segment is not None:
            for line in lines:
                line.absorbed = segment.payments.bear(line.component, line.amount, line.absorbed)
            spent.by_meter = self._by_meter(lines)
            spent.amount = sum(spent.by_meter.values(), ZERO)
            segment.events.append(record.body)
            segment.was_used = segment.was_used or bool(lines)
        parts = parts + self._give_back(segment, lines)
        self._pay(record.payer, segment, parts, is_of_lease=is_of_lease)
        self.spends.append(spent)
        return parts

    def finish(self, now: datetime) -> None:
        """At the end of a request, what coupons take off closed lines that it has changed."""
        for name, period in sorted(self.changed):
            coupons.settle(self.payers[name], period, now)
        self.changed = {}

    def _falls(self, payer: Payer, segment: Segment | None, lines: Sequence[Priced]) -> None:
        """Lines are about to change; of closed ones, coupons may then take less."""
        if segment is not None and segment.is_closed and lines:
            coupons.take_back(payer, {(segment, line.component): line.amount for line in lines})
            self.changed[payer.name, segment.period] = None

    def _give_back(self, segment: Segment | None, lines: Sequence[Priced]) -> list[Part]:
        back: list[Part] = []
        for line in lines:
            amount = line.amount - line.absorbed
            if amount < 0 and segment is not None:
                back += segment.payments.give_back(line.component, -amount)
        return back

    @staticmethod
    def _pay(
        payer: Payer, segment: Segment | None, parts: Sequence[Part], *, is_of_lease: bool = False
    ) -> None:
        before = payer.wallet.beyond
        payer.wallet.apply(parts)
        payer.overspent[is_of_lease] += max(ZERO, payer.wallet.beyond - before)
        if segment is not None:
            segment.payments.note(parts)
