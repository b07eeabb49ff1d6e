"""What a payer has: one statement, from the row that bills."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q

from accounts.models import BillingEntity
from billing.funding import Funds
from billing.ledger import RECEIVABLE, WALLET
from billing.models import CreditGrant, LedgerAccount
from core.numbers import CONTEXT, ZERO


@dataclass(frozen=True, slots=True)
class Balance:
    """A payer's balance in its currency.

    `settled`: the wallet; `held`: reserved by authorizations; `owed`: accrued and not invoiced or paid;
    `available`: what may still be spent; None = without bound. `can_spend`: whether the next call may go.
    """

    settled: Decimal
    held: Decimal
    owed: Decimal
    available: Decimal
    is_unbounded: bool
    can_spend: bool


def balances_of(entities: Iterable[BillingEntity], now: datetime) -> dict[int, Balance]:
    """The balances of many payers, by id, in two statements.

    A grant that has expired, or has become effective, since the payer's last call counts as it will at
    the next one.
    """
    entities = list(entities)
    accounts: dict[tuple[int, str], LedgerAccount] = {
        (row.billing_entity_id, row.kind): row
        for row in LedgerAccount.objects.filter(**_of(entities), kind__in=[WALLET, RECEIVABLE])
    }
    due = _due_changes(entities, now)
    return {entity.pk: _balance(entity, accounts, due.get(entity.pk, ZERO), now) for entity in entities}


def balance_of(entity: BillingEntity, now: datetime) -> Balance:
    """The balance of one payer."""
    return balances_of([entity], now)[entity.pk]


def _due_changes(entities: Sequence[BillingEntity], now: datetime) -> dict[int, Decimal]:
    """By how much each wallet will change when what is due by `now` is settled."""
    is_over = Q(expires_at__lte=now, booked_at__isnull=False)
    begins = Q(effective_at__lte=now, booked_at__isnull=True) & (Q(expires_at=None) | Q(expires_at__gt=now))
    rows = CreditGrant.objects.filter(is_over | begins, **_of(entities), is_open=True, voided_at=None)
    changes: dict[int, Decimal] = {}
    for payer_id, remaining, booked_at in rows.values_list("billing_entity_id", "remaining", "booked_at"):
        change = remaining if booked_at is None else remaining.copy_negate()
        changes[payer_id] = CONTEXT.add(changes.get(payer_id, ZERO), change)
    return changes


def _of(entities: Sequence[BillingEntity]) -> dict[str, Any]:
    """The filter that both keys of a payer's rows, and so the index, need."""
    return {
        "customer_id__in": {entity.customer_id for entity in entities},
        "billing_entity_id__in": [entity.pk for entity in entities],
    }


def _balance(
    entity: BillingEntity, accounts: dict[tuple[int, str], LedgerAccount], due: Decimal, now: datetime
) -> Balance:
    wallet, owed = accounts.get((entity.pk, WALLET)), accounts.get((entity.pk, RECEIVABLE))
    funds = Funds(
        settlement=entity.settlement,
        overdraft=entity.overdraft,
        credit_limit=entity.credit_limit,
        wallet=CONTEXT.add(wallet.balance, due) if wallet else due,
        held=wallet.held if wallet else ZERO,
        owed=owed.balance.copy_negate() if owed else ZERO,
    )
    bound = entity.overdraft if entity.settlement == "wallet_only" else entity.credit_limit
    is_open = entity.state_at(now) in (BillingEntity.Status.ACTIVE, BillingEntity.Status.PAST_DUE)
    return Balance(
        settled=funds.wallet,
        held=funds.held,
        owed=funds.owed,
        available=funds.available,
        is_unbounded=bound is None,
        can_spend=is_open and (bound is None or funds.available > 0),
    )
