"""Who pays for a charge: the burn-down of grants, the overdraft, the receivable. Pure.

Order of grants (RATING.md section 3): priority number (lower first), earlier expiry, promotional
before paid, age. A grant may be limited to components and pays for no usage from before it was
effective. docs/algorithms/funding.md has the worked table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import repeat
from typing import Any, Final

from msgspec import Struct, field

from billing.ledger import LEAKAGE, RECEIVABLE, WALLET
from core.numbers import CONTEXT, ZERO

NEVER: Final = datetime.max.replace(tzinfo=UTC)
add, subtract = CONTEXT.add, CONTEXT.subtract


class Grant(Struct):
    """An open block of credit as the burn-down sees it; `remaining` changes as it burns."""

    id: int
    is_promotional: bool
    priority: int
    effective_at: datetime
    expires_at: datetime | None
    components: frozenset[str]
    remaining: Decimal

    def burn_order(self) -> tuple[Any, ...]:
        """The order in which grants pay."""
        return (self.priority, self.expires_at or NEVER, not self.is_promotional, self.id)

    def pays_for(self, component: str, occurred_at: datetime) -> bool:
        """Whether this grant may pay for that component's usage at that instant."""
        return self.effective_at <= occurred_at and (not self.components or component in self.components)


class Part(Struct, frozen=True):
    """A part of a charge and who paid it: `amount` > 0, or < 0 when value was given back.

    `segment`: where the component was used; two subscriptions may have components of one key.
    """

    component: str
    account: str
    amount: Decimal
    grant_id: int | None = None
    segment: int | None = None


class Funds(Struct):
    """What a payer has: the state that funding reads and changes, under the payer's lock.

    `wallet` = sum of the grants' `remaining` less what is overdrawn. `owed` >= 0 is the receivable.
    `reserved`: what of `held` counts on grants that are limited to components, by grant.
    """

    settlement: str
    overdraft: Decimal | None
    credit_limit: Decimal | None
    wallet: Decimal = ZERO
    held: Decimal = ZERO
    owed: Decimal = ZERO
    grants: list[Grant] = field(default_factory=list)
    reserved: dict[int, Decimal] = field(default_factory=dict)

    @property
    def overdrawn(self) -> Decimal:
        """How far the wallet is used beyond its grants."""
        total = ZERO
        for grant in self.grants:
            total = add(total, grant.remaining)
        return subtract(total, self.wallet)

    @property
    def available(self) -> Decimal:
        """What may still be spent: the wallet less holds, plus overdraft or credit where bounded."""
        spendable = subtract(self.wallet, self.held)
        if self.settlement == "wallet_only":
            return add(spendable, self.overdraft or ZERO)
        if self.credit_limit is None:
            return spendable
        return add(spendable, subtract(self.credit_limit, self.owed))

    def count_on(self, grant_id: int, amount: Decimal) -> None:
        """Let holds count on so much more of a grant that is limited to components."""
        self.reserved[grant_id] = add(self.reserved.get(grant_id, ZERO), amount)

    def kept(self) -> dict[int, Decimal]:
        """What open holds need of each grant. Empty unless a grant is limited to components: where all money
        is good for everything, it is enough that the wallet has as much.

        What holds do not count on of limited grants, the grants for everything keep that burn last.
        """
        if not self.held or not self._has_limited:
            return {}
        kept = dict(self.reserved)
        left = self.held_anywhere
        for grant in reversed(self.grants):
            if left > 0 and not grant.components:
                kept[grant.id] = min(left, grant.remaining)
                left = subtract(left, kept[grant.id])
        return kept

    @property
    def _has_limited(self) -> bool:
        return any(grant.components for grant in self.grants)

    @property
    def held_anywhere(self) -> Decimal:
        """What is held and counts on no limited grant."""
        left = self.held
        for amount in self.reserved.values():
            left = subtract(left, amount)
        return left

    def free_of(self, grant: Grant) -> Decimal:
        """What of a grant may expire: holds keep what they need until they end."""
        if not self.held:
            return grant.remaining
        if self._has_limited:
            return subtract(grant.remaining, self.kept().get(grant.id, ZERO))
        return min(grant.remaining, max(ZERO, subtract(self.wallet, self.held)))


def burn(
    funds: Funds,
    lines: Sequence[tuple[str, Decimal]],
    occurred_at: datetime,
    segments: Iterable[int | None] = repeat(None),
    *,
    keeps: bool = False,
) -> list[Part]:
    """Split the positive amounts of (component, amount) lines over who pays. Changes nothing.

    `segments` are the lines'. What no grant covers is the wallet's overdraft (`wallet_only`) or accrues to
    the receivable. With `keeps`, what holds need of grants is left to them.
    """
    rest_account = WALLET if funds.settlement == "wallet_only" else RECEIVABLE
    grants = funds.grants if funds.settlement != "invoice_only" else []
    parts: list[Part] = []
    burnt = funds.kept() if keeps and funds.held else {}
    for (component, amount), segment in zip(lines, segments, strict=False):
        for grant in grants if amount > 0 else ():
            taken_before = burnt.get(grant.id)
            left = subtract(grant.remaining, taken_before) if taken_before else grant.remaining
            if left <= 0 or not grant.pays_for(component, occurred_at):
                continue
            taken = min(left, amount)
            burnt[grant.id] = add(taken_before, taken) if taken_before else taken
            parts.append(Part(component, WALLET, taken, grant.id, segment))
            amount = subtract(amount, taken)
            if not amount:
                break
        if amount > 0:
            parts.append(Part(component, rest_account, amount, None, segment))
    return parts


def is_allowed(funds: Funds, parts: Sequence[Part]) -> bool:
    """Whether the payer may spend this: the floor of the wallet, the credit limit, and what is held."""
    from_grants = from_rest = ZERO
    for part in parts:
        if part.grant_id is None:
            from_rest = add(from_rest, part.amount)
        else:
            from_grants = add(from_grants, part.amount)
    if funds.settlement == "wallet_only":
        if funds.overdraft is None:
            return True
        after = subtract(subtract(funds.wallet, from_grants), from_rest)
        is_covered = add(after, funds.overdraft) >= funds.held
        is_within = not from_rest or add(funds.overdrawn, from_rest) <= funds.overdraft
        return is_covered and is_within and _keeps_promises(funds, parts, funds.overdraft, funds.overdrawn)
    if funds.credit_limit is None:
        return True
    wallet_after = subtract(funds.wallet, from_grants) if funds.settlement != "invoice_only" else ZERO
    held_on_credit = max(ZERO, subtract(funds.held, max(ZERO, wallet_after)))
    is_within = add(add(funds.owed, from_rest), held_on_credit) <= funds.credit_limit
    return is_within and _keeps_promises(funds, parts, funds.credit_limit, funds.owed)


def _keeps_promises(funds: Funds, parts: Sequence[Part], bound: Decimal, used: Decimal) -> bool:
    """Whether the money that is good for everything, with what is left of `bound`, still covers the holds
    that count on no limited grant."""
    limited = {grant.id for grant in funds.grants if grant.components}
    if not funds.held or not limited or funds.settlement == "invoice_only":
        return True
    left = subtract(bound, used)
    for grant in funds.grants:
        left = left if grant.components else add(left, grant.remaining)
    for part in parts:
        left = left if part.grant_id in limited else subtract(left, part.amount)
    return left >= funds.held_anywhere


def overspent(funds: Funds) -> Decimal:
    """How far the payer is beyond what it is allowed to go; 0 for none.

    A wallet that may run negative without bound counts all that is below zero.
    """
    if funds.settlement == "wallet_only":
        return max(ZERO, subtract(funds.overdrawn, funds.overdraft or ZERO))
    return ZERO if funds.credit_limit is None else max(ZERO, subtract(funds.owed, funds.credit_limit))


def apply_parts(funds: Funds, parts: Sequence[Part]) -> None:
    """Take (or give back, for negative amounts) the parts from grants, wallet and receivable."""
    for part in parts:
        if part.account == RECEIVABLE:
            funds.owed = add(funds.owed, part.amount)
            continue
        if part.account == LEAKAGE:
            continue  # the operator bears it
        funds.wallet = subtract(funds.wallet, part.amount)
        if part.grant_id is not None:
            grant = next(grant for grant in funds.grants if grant.id == part.grant_id)
            grant.remaining = subtract(grant.remaining, part.amount)


def give_back(component: str, amount: Decimal, paid: list[Part], segment: int | None = None) -> list[Part]:
    """Return `amount` > 0 to those who paid for the component in this segment, latest first.

    `paid` lists who paid, latest last; what nobody is known to have paid goes to the wallet.
    """
    parts = []
    for part in reversed(paid):
        returned = min(part.amount, amount)
        if returned > 0:
            parts.append(Part(component, part.account, returned.copy_negate(), part.grant_id, segment))
            amount = subtract(amount, returned)
        if not amount:
            return parts
    parts.append(Part(component, WALLET, amount.copy_negate(), None, segment))
    return parts
