"""The model's money: what a payer has, who pays for a line, what is held, what expires.

After docs/algorithms/funding.md and authorizations.md. All that falls due takes effect at the instant that it
names, one after the other, whether or not anybody looked at that instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

ZERO = Decimal(0)
Line = tuple[str, Decimal]
"""A component's key, and an amount."""


@dataclass(eq=False)
class Grant:
    """A block of credit. `covered`: what of it filled an overdraft that it met."""

    age: int
    amount: Decimal
    is_promotional: bool
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    components: frozenset[str]
    remaining: Decimal = ZERO
    covered: Decimal = ZERO
    booked_at: datetime | None = None

    def order(self) -> tuple[int, bool, float, bool, int]:
        """Lower priority number, earlier expiry (none = last), promotional first, then the older."""
        expiry = 0.0 if self.expires_at is None else self.expires_at.timestamp()
        return self.priority, self.expires_at is None, expiry, not self.is_promotional, self.age

    def pays_for(self, component: str, at: datetime) -> bool:
        """Whether it may pay for usage of this component at that instant."""
        return self.effective_at <= at and (not self.components or component in self.components)


@dataclass(eq=False)
class Hold:
    """What is reserved until it ends. `counts_on`: the limited grants that would pay for it."""

    amount: Decimal
    expires_at: datetime
    is_open: bool = True
    counts_on: dict[Grant, Decimal] = field(default_factory=dict)


@dataclass
class Part:
    """So much of a line was paid by a grant, or else by `account`: wallet (overdrawn) or receivable."""

    component: str
    account: str
    amount: Decimal
    grant: Grant | None = None


@dataclass(eq=False)
class Wallet:
    """One payer's money."""

    settlement: str
    overdraft: Decimal | None
    credit_limit: Decimal | None
    grants: list[Grant] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    overdrawn: Decimal = ZERO
    owed: Decimal = ZERO

    @property
    def open_grants(self) -> list[Grant]:
        """Those with something left, in the order in which they burn."""
        return sorted((g for g in self.grants if g.booked_at and g.remaining), key=Grant.order)

    @property
    def settled(self) -> Decimal:
        """What is in the wallet."""
        return sum((g.remaining for g in self.open_grants), ZERO) - self.overdrawn

    @property
    def held(self) -> Decimal:
        """What open holds reserve."""
        return sum((hold.amount for hold in self.holds if hold.is_open), ZERO)

    @property
    def available(self) -> Decimal:
        """What may still be spent; where there is no bound, what there is."""
        bound = self.overdraft if self.settlement == "wallet_only" else self.credit_limit
        return self.settled - self.held + (ZERO if bound is None else bound - self._used_of_bound)

    @property
    def _used_of_bound(self) -> Decimal:
        return ZERO if self.settlement == "wallet_only" else self.owed

    @property
    def beyond(self) -> Decimal:
        """How far it is below its floor; without a bound, below zero. A credit line without one has none."""
        if self.settlement == "wallet_only":
            return max(ZERO, self.overdrawn - (self.overdraft or ZERO))
        return ZERO if self.credit_limit is None else max(ZERO, self.owed - self.credit_limit)

    def balance(self) -> dict[str, Decimal]:
        """As answers show it."""
        return {"available": self.available, "settled": self.settled, "held": self.held}

    # --- time -------------------------------------------------------------------------------------------

    def settle(self, now: datetime) -> None:
        """Let everything take effect that is due by `now`, each at its instant."""
        due = {hold.expires_at for hold in self.holds if hold.is_open}
        due |= {at for g in self.grants for at in (g.effective_at, g.expires_at) if at is not None}
        for at in sorted(each for each in due if each < now):
            self._settle_at(at)
        self._settle_at(now)

    def _settle_at(self, at: datetime) -> None:
        for hold in self.holds:
            hold.is_open = hold.is_open and hold.expires_at > at
        for grant in sorted((g for g in self.grants if not g.booked_at), key=Grant.order):
            if grant.effective_at <= at:
                self._book(grant, at)
        self.expire(at)

    def expire(self, at: datetime) -> None:
        """What is over is breakage, but for what open holds need: that goes when they end."""
        for grant in self.open_grants:
            if grant.expires_at is not None and grant.expires_at <= at:
                grant.remaining -= self._free_of(grant)

    def _free_of(self, grant: Grant) -> Decimal:
        if not self.held:
            return grant.remaining
        if any(g.components for g in self.open_grants):
            return grant.remaining - self._kept().get(grant, ZERO)
        return min(grant.remaining, max(ZERO, self.settled - self.held))

    def add_grant(self, grant: Grant, now: datetime) -> None:
        """A new block, effective now or later."""
        self.grants.append(grant)
        if grant.effective_at <= now:
            self._book(grant, now)

    def _book(self, grant: Grant, at: datetime) -> None:
        """Into the wallet; one that is good for everything first fills what is overdrawn."""
        grant.booked_at = at
        grant.covered = ZERO if grant.components else min(grant.amount, self.overdrawn)
        grant.remaining = grant.amount - grant.covered
        self.overdrawn -= grant.covered

    # --- who pays -----------------------------------------------------------------------------------------

    def _on_limited(self) -> dict[Grant, Decimal]:
        """What open holds count on of each grant that is limited to components."""
        counted: dict[Grant, Decimal] = {}
        for hold in self.holds:
            for grant, amount in hold.counts_on.items() if hold.is_open else ():
                counted[grant] = counted.get(grant, ZERO) + amount
        return counted

    @property
    def _held_anywhere(self) -> Decimal:
        """What is held and counts on no limited grant."""
        return self.held - sum(self._on_limited().values(), ZERO)

    def _kept(self) -> dict[Grant, Decimal]:
        """What holds need of each grant, where it matters which: some are limited to components.

        What they do not count on of limited grants, the grants for everything keep that burn last.
        """
        if not self.held or not any(g.components for g in self.open_grants):
            return {}
        kept, left = self._on_limited(), self._held_anywhere
        for grant in reversed(self.open_grants):
            if not grant.components:
                kept[grant] = max(ZERO, min(left, grant.remaining))
                left -= kept[grant]
        return kept

    def burn(self, lines: Sequence[Line], at: datetime, *, keeps: bool) -> list[Part]:
        """Who would pay for the positive lines. With `keeps`, what holds need of grants is left to them."""
        rest = "wallet" if self.settlement == "wallet_only" else "receivable"
        left = {g: g.remaining for g in self.open_grants} if self.settlement != "invoice_only" else {}
        for grant, amount in self._kept().items() if keeps else ():
            if grant in left:
                left[grant] -= amount
        parts = []
        for component, amount in lines:
            for grant in left if amount > 0 else ():
                taken = min(left[grant], amount)
                if taken > 0 and grant.pays_for(component, at):
                    left[grant] -= taken
                    amount -= taken
                    parts.append(Part(component, "wallet", taken, grant))
            if amount > 0:
                parts.append(Part(component, rest, amount))
        return parts

    def allows(self, parts: Sequence[Part]) -> bool:
        """Whether what is asked may be spent so; see funding.md, 3."""
        bound = self.overdraft if self.settlement == "wallet_only" else self.credit_limit
        if bound is None:
            return True
        from_grants = sum((part.amount for part in parts if part.grant), ZERO)
        rest = sum((part.amount for part in parts if not part.grant), ZERO)
        if self.settlement == "wallet_only":
            used = self.overdrawn
            fits = self.settled - from_grants - rest + bound >= self.held
            fits = fits and (not rest or used + rest <= bound)
        else:
            used = self.owed
            wallet = self.settled - from_grants if self.settlement != "invoice_only" else ZERO
            fits = used + rest + max(ZERO, self.held - max(ZERO, wallet)) <= bound
        return fits and self._keeps_promises(parts, bound - used)

    def _keeps_promises(self, parts: Sequence[Part], left: Decimal) -> bool:
        """Money for everything still covers the holds that count on no limited grant."""
        limited = [g for g in self.open_grants if g.components]
        if not self.held or not limited or self.settlement == "invoice_only":
            return True
        left += sum((g.remaining for g in self.open_grants if not g.components), ZERO)
        left -= sum((part.amount for part in parts if part.grant not in limited), ZERO)
        return left >= self._held_anywhere

    def hold(self, amount: Decimal, expires_at: datetime, parts: Sequence[Part]) -> Hold:
        """Reserve so much; it counts on the limited grants that would pay."""
        made, left = Hold(amount, expires_at), amount
        for part in parts:
            if part.grant is not None and part.grant.components and min(part.amount, left) > 0:
                on = min(part.amount, left)
                made.counts_on[part.grant] = made.counts_on.get(part.grant, ZERO) + on
                left -= on
        self.holds.append(made)
        return made

    def apply(self, parts: Sequence[Part]) -> None:
        """Take the parts, or (negative amounts) give them back."""
        for part in parts:
            if part.account == "receivable":
                self.owed += part.amount
            elif part.grant is not None:
                part.grant.remaining -= part.amount
            else:
                self.overdrawn += part.amount
        self._uncover()

    def _uncover(self) -> None:
        """What returned to an overdraft that grants have covered since returns to those, latest first."""
        if self.overdrawn >= 0:
            return
        booked = [g for g in self.grants if g.booked_at is not None]
        for grant in sorted(booked, key=lambda g: (g.booked_at, g.age), reverse=True):
            back = min(grant.covered, -self.overdrawn)
            grant.covered -= back
            grant.remaining += back
            self.overdrawn += back


class Payments:
    """Who paid for each component of one segment, the latest last."""

    def __init__(self) -> None:
        self._paid: dict[str, dict[tuple[str, Grant | None], Decimal]] = {}
        self.borne: dict[str, Decimal] = {}
        """What the operator bears of each component."""

    def note(self, parts: Sequence[Part]) -> None:
        """Parts that were paid or given back."""
        for part in parts:
            paid, key = self._paid.setdefault(part.component, {}), (part.account, part.grant)
            known = paid.pop(key, ZERO) if part.amount > 0 else paid.get(key, ZERO)
            paid[key] = known + part.amount

    def paid(self, component: str) -> Decimal:
        """What payers have paid for the component and not got back."""
        return sum((max(ZERO, one) for one in self._paid.get(component, {}).values()), ZERO)

    def bear(self, component: str, amount: Decimal, absorbed: Decimal) -> Decimal:
        """Note what the operator bears of a line that costs `amount`, and give it.

        Of one that falls it gets back what it `absorbed` of it, and what falls beyond all that payers paid.
        """
        borne = self.borne.get(component, ZERO)
        if amount < 0:
            own = max(ZERO, min(absorbed, -amount, borne))
            absorbed = -own - min(max(ZERO, -amount - own - self.paid(component)), borne - own)
        self.borne[component] = borne + absorbed
        return absorbed

    def give_back(self, component: str, amount: Decimal) -> list[Part]:
        """Return `amount` > 0 to who paid for the component, latest first; else it is the wallet's."""
        parts = []
        for (account, grant), paid in reversed(self._paid.get(component, {}).items()):
            back = min(paid, amount)
            if back > 0:
                parts.append(Part(component, account, -back, grant))
                amount -= back
        return parts + ([Part(component, "wallet", -amount)] if amount else [])
