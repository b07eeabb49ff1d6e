"""How outcomes of the charge path look on the wire (API.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from django.http import HttpRequest

from billing.charging import Authorized, Charged, Denied, Recorded
from billing.paying_in import pay_in_url
from core.api.errors import error_body
from core.errors import PaymentRequired
from core.ids import hot_id
from core.instants import instant_text
from core.numbers import CONTEXT, ZERO, plain

LINE_FIELDS: Final = ("component", "meter", "quantity", "amount", "plan_version", "position")
MESSAGES: Final = {
    "suspended": "This billing entity is suspended.",
    "no_subscription": "This billing entity has no subscription at occurred_at.",
    "entitlement": "The subscription does not allow this, or not so much.",
    "spend_limit": "This would go beyond a spend limit.",
    "insufficient_funds": "The balance does not cover this charge.",
    "margin_floor": "This would leave less of the revenue than the margin floor asks.",
}
TOO_YOUNG: Final = "What there was at occurred_at does not cover this charge, and later credit pays for none."
BEYOND_HOLD: Final = "This costs more than is held; `over` may be cap or overdraft."


def charge_answer(charged: Charged) -> dict[str, Any]:
    """The body of a 201 (or of the 200 of a replay). `amount` is what the payer is charged."""
    absorbed = absorbed_of(charged.lines)
    captured = {"authorization": charged.authorization, "absorbed": plain(absorbed)}
    return {
        "id": hot_id("ch", charged.customer_id, charged.id),
        "status": "charged",
        "billing_entity": charged.billing_entity,
        "amount": plain(CONTEXT.subtract(charged.amount, absorbed)),
        "currency": charged.currency,
        "cost": None if charged.cost is None else plain(charged.cost),
        "lines": [{name: line[name] for name in LINE_FIELDS} for line in charged.lines],
        "balance": balance_answer(charged.available, charged.settled, charged.held),
        **(captured if charged.authorization is not None else {}),
    }


def absorbed_of(lines: Iterable[Mapping[str, Any]]) -> Decimal:
    """What of a charge's lines the operator bears, because a capture was capped at what was held."""
    absorbed = ZERO
    for line in lines:
        if "absorbed" in line:
            absorbed = CONTEXT.add(absorbed, Decimal(line["absorbed"]))
    return absorbed


def authorized_answer(authorized: Authorized) -> dict[str, Any]:
    """The body of an authorization's 201 (or of the 200 of a replay)."""
    return {
        "id": hot_id("lease" if authorized.is_lease else "auth", authorized.customer_id, authorized.id),
        "status": "open" if authorized.is_lease else "authorized",
        "billing_entity": authorized.billing_entity,
        "amount": plain(authorized.amount),
        "currency": authorized.currency,
        "expires_at": instant_text(authorized.expires_at),
        "balance": balance_answer(authorized.available, authorized.settled, authorized.held),
    }


def recorded_answer(recorded: Recorded) -> dict[str, Any]:
    """The answer to a charge under a key whose event was only recorded: it cost nothing."""
    return {
        "id": hot_id("evt", recorded.customer_id, recorded.id),
        "status": "recorded",
        "unmatched": recorded.unmatched,
        "unpriced": recorded.unpriced,
    }


def denial_answer(denied: Denied, request: HttpRequest) -> dict[str, Any]:
    """The body of a 402."""
    error = PaymentRequired(denied.reason, _message(denied))
    return {
        **error_body(error, request),
        "denial": {
            "reason": denied.reason,
            "level": denied.level,
            "id": denied.level_id,
            "limit": None if denied.limit is None else plain(denied.limit),
            "used": None if denied.used is None else plain(denied.used),
            "resets_at": None if denied.resets_at is None else instant_text(denied.resets_at),
            "retryable": denied.is_retryable,
            "top_up_url": top_up_url(denied),
        },
        "balance": balance_answer(denied.available, denied.settled, denied.held),
    }


def _message(denied: Denied) -> str:
    if denied.level == "authorization":
        return BEYOND_HOLD
    is_for_money = denied.reason == "insufficient_funds"
    return TOO_YOUNG if is_for_money and not denied.is_retryable else MESSAGES[denied.reason]


def top_up_url(denied: Denied) -> str | None:
    """Where the payer can pay in, if that would help the call and the operator has said where it is."""
    is_for_money = denied.reason == "insufficient_funds" and denied.level == "billing_entity"
    can_help = is_for_money and denied.is_retryable
    return pay_in_url(denied.level_id) or None if can_help else None


def balance_answer(available: Decimal, settled: Decimal, held: Decimal) -> dict[str, str]:
    """A payer's balance."""
    return {"available": plain(available), "settled": plain(settled), "held": plain(held)}
