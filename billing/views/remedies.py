"""What a customer can do about a refused call, in words, and where it is done.

A margin floor is the operator's own business: the customer learns that its supplier declined, and nothing of
why (docs/algorithms/margin-floor.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.urls import reverse

from accounts.models import BillingEntity
from billing.balances import Balance
from billing.models import Denial, SpendLimit
from billing.paying_in import pay_in_url

Reason = Denial.Reason
DECLINED: Final = "declined"
"""The word for a margin floor where customers read."""
REASONS: Final[Sequence[tuple[str, str]]] = [
    *[(str(word), str(label)) for word, label in Reason.choices if word != Reason.MARGIN_FLOOR],
    (DECLINED, "Declined by your supplier"),
]
"""The reasons as customers read them."""
STORED: Final = {DECLINED: Reason.MARGIN_FLOOR.value}
NO_MORE: Final = "What refused it is over: the same call may go through now."


def told_reason(reason: str) -> str:
    """The word of a reason where customers read."""
    return DECLINED if reason == Reason.MARGIN_FLOOR else reason


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do, in words; `action` names what `url` leads to, where there is such a place.

    `resets_at`: when what refused begins anew by itself.
    """

    words: str
    action: str = ""
    url: str = ""
    resets_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Means:
    """What the reader can do, and how things are by now: balances by payer, limits by denial."""

    now: datetime
    customer: str
    may_set_limits: bool
    may_pay: bool
    balances: Mapping[int, Balance] = field(default_factory=dict)
    limits: Mapping[int, Sequence[SpendLimit]] = field(default_factory=dict)

    def page(self, name: str, *args: str) -> str:
        """The address of a page of the customer's own."""
        return f"{reverse(name, args=args)}?customer={self.customer}"

    def is_over(self, denial: Denial) -> bool:
        """Whether the window of what refused has ended since."""
        return denial.retryable and denial.resets_at is not None and denial.resets_at <= self.now


def remedy_of(denial: Denial, payer: BillingEntity, means: Means) -> Remedy:
    """What to do about one refused call."""
    return _REMEDIES[Reason(denial.reason)](denial, payer, means)


def general_remedy(reason: str, level: str) -> str:
    """What to do about calls that are refused for this reason at this level, in words."""
    return _GENERAL.get((reason, level)) or _GENERAL[reason, ""]


_GENERAL: Final[Mapping[tuple[str, str], str]] = {
    (Reason.SUSPENDED, ""): "Ask your supplier to lift it.",
    (Reason.NO_SUBSCRIPTION, ""): "Ask your supplier for a plan.",
    (Reason.ENTITLEMENT, ""): "Wait for the reset, or ask your supplier for more.",
    (Reason.ENTITLEMENT, "subscription"): "Accept the new price to go beyond your old ceiling.",
    (Reason.SPEND_LIMIT, ""): "Raise it if it is yours, else ask your supplier; or wait for its reset.",
    (Reason.INSUFFICIENT_FUNDS, ""): "Top up, or ask your supplier for more credit.",
    (Reason.INSUFFICIENT_FUNDS, "authorization"): "Hold more for such calls, or capture them with a cap.",
    (Reason.MARGIN_FLOOR, ""): "Ask your supplier.",
}


def _suspended(denial: Denial, payer: BillingEntity, means: Means) -> Remedy:
    if payer.state_at(means.now) != BillingEntity.Status.SUSPENDED:
        return Remedy(NO_MORE)
    return Remedy(f"Ask your supplier to lift the suspension of {payer.name}.")


def _no_subscription(denial: Denial, payer: BillingEntity, means: Means) -> Remedy:
    return Remedy(f"Ask your supplier for a plan: {payer.name} had none then.")


def _entitlement(denial: Denial, payer: BillingEntity, means: Means) -> Remedy:
    if denial.level == "subscription":
        words = "Accept the new price to go beyond your old ceiling."
        return Remedy(words, "See the new price", means.page("member_price_change"))
    if means.is_over(denial):
        return Remedy(NO_MORE)
    place = ("What is left", f"{means.page('member_limits')}#entitlements")
    if denial.limit is None:
        return Remedy("Your plan does not have it: ask your supplier.", *place)
    if denial.resets_at is not None and denial.retryable:
        words = "Wait for the reset, or ask your supplier for more."
        return Remedy(words, *place, resets_at=denial.resets_at)
    if _is_dated_back(denial):
        return Remedy("It is dated into a reset that is over: ask your supplier for more.", *place)
    return Remedy("Ask for less in one call, or your supplier for more.", *place)


def _spend_limit(denial: Denial, payer: BillingEntity, means: Means) -> Remedy:
    if means.is_over(denial):
        return Remedy(NO_MORE)
    standing = [
        limit
        for limit in means.limits.get(denial.pk, ())
        if limit.amount == denial.limit and limit.currency == payer.currency
    ]
    if not standing:
        return Remedy("That limit was changed or ended since: the same call may go through now.")
    rest = _rest_of_limit(denial)
    resets_at = denial.resets_at if denial.retryable else None
    if any(limit.set_by == SpendLimit.SetBy.STAFF for limit in standing):
        place = _limits_page(denial, means)
        return Remedy(f"Ask your supplier to raise its limit.{rest}", *place, resets_at=resets_at)
    if not means.may_set_limits:
        words = f"Ask an owner or somebody of billing to raise your limit.{rest}"
        return Remedy(words, *_limits_page(denial, means), resets_at=resets_at)
    url = means.page("member_limit", standing[0].public_id)
    place = ("Raise it", url) if len(standing) == 1 else _limits_page(denial, means)
    return Remedy(f"Raise your own limit.{rest}", *place, resets_at=resets_at)


def _rest_of_limit(denial: Denial) -> str:
    if denial.retryable:
        return " Or wait for its reset."
    if _is_dated_back(denial):
        return " The call is dated into a window that is over: no reset helps it."
    return " This call alone is more than the whole limit."


def _is_dated_back(denial: Denial) -> bool:
    """Whether it asked for a window that was over by then."""
    return not denial.retryable and denial.resets_at is not None and denial.resets_at <= denial.denied_at


def _limits_page(denial: Denial, means: Means) -> tuple[str, str]:
    return "See the limit", f"{means.page('member_limits')}&level={denial.level}"


def _funds(denial: Denial, payer: BillingEntity, means: Means) -> Remedy:
    if denial.level == "authorization":
        return Remedy("It cost more than was held: hold more for such calls, or capture them with a cap.")
    if not denial.retryable:  # a later grant pays for nothing earlier
        return Remedy("Later credit cannot pay for what happened before it: ask your supplier.")
    balance = means.balances.get(payer.pk)
    if balance is not None and _covers(balance, denial.expected_amount):
        return Remedy("The balance covers it by now: the same call may go through.")
    if payer.settlement != BillingEntity.Settlement.WALLET_ONLY:
        return Remedy("Pay what you owe, or ask your supplier for a larger credit limit.")
    url = pay_in_url(payer.public_id)
    if not means.may_pay:
        return Remedy(f"Ask an owner or somebody of billing to top up {payer.name}.")
    return (
        Remedy(f"Top up {payer.name}.", "Top up", url) if url else Remedy("Ask your supplier to top you up.")
    )


def _covers(balance: Balance, amount: Decimal) -> bool:
    return balance.can_spend and (balance.is_unbounded or balance.available >= amount)


def _declined(denial: Denial, payer: BillingEntity, means: Means) -> Remedy:
    return Remedy(NO_MORE if means.is_over(denial) else "Ask your supplier.")


_REMEDIES: Final[Mapping[Reason, Callable[[Denial, BillingEntity, Means], Remedy]]] = {
    Reason.SUSPENDED: _suspended,
    Reason.NO_SUBSCRIPTION: _no_subscription,
    Reason.ENTITLEMENT: _entitlement,
    Reason.SPEND_LIMIT: _spend_limit,
    Reason.INSUFFICIENT_FUNDS: _funds,
    Reason.MARGIN_FLOOR: _declined,
}
