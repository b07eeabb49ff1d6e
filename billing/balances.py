"""What a payer has: one statement, from the row that bills."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q

from accounts.models import BillingEntity
from billing.funding import Funds
from billing.ledger import RECEIVABLE, WALLET
from billing.models import Authorization, CreditGrant, LedgerAccount
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
    """The balances of many payers, by id, in two statements; three where one has something held.

    A hold or a grant that has expired, or a grant that has become effective, since the payer's last call
    counts as it will at the next one.
    """
    entities = list(entities)
    accounts: dict[tuple[int, str], LedgerAccount] = {
        (row.billing_entity_id, row.kind): row
        for row in LedgerAccount.objects.filter(**_of(entities), kind__in=[WALLET, RECEIVABLE])
    }
    wallets = {payer_id: row for (payer_id, kind), row in accounts.items() if kind == WALLET}
    held = _held(entities, wallets, now)
    settled = _settled(entities, wallets, held, now)
    return {
        entity.pk: _balance(entity, settled, held, accounts.get((entity.pk, RECEIVABLE)))
        for entity in entities
    }


def balance_of(entity: BillingEntity, now: datetime) -> Balance:
    """The balance of one payer."""
    return balances_of([entity], now)[entity.pk]


def _held(
    entities: Sequence[BillingEntity], wallets: Mapping[int, LedgerAccount], now: datetime
) -> dict[int, Decimal]:
    """What open holds reserve, without those whose time is over."""
    held = {payer_id: row.held for payer_id, row in wallets.items() if row.held}
    if not held:
        return {}
    holding = [entity for entity in entities if entity.pk in held]
    over = Authorization.objects.filter(
        **_of(holding), status=Authorization.Status.AUTHORIZED, expires_at__lte=now
    )
    for payer_id, amount in over.values_list("billing_entity_id", "held"):
        held[payer_id] = CONTEXT.subtract(held[payer_id], amount)
    return held


def _settled(
    entities: Sequence[BillingEntity],
    wallets: Mapping[int, LedgerAccount],
    held: Mapping[int, Decimal],
    now: datetime,
) -> dict[int, Decimal]:
    """What each wallet will have when the grants that are due by `now` are settled."""
    settled = {payer_id: row.balance for payer_id, row in wallets.items()}
    is_over = Q(expires_at__lte=now, booked_at__isnull=False)
    begins = Q(effective_at__lte=now, booked_at__isnull=True) & (Q(expires_at=None) | Q(expires_at__gt=now))
    rows = CreditGrant.objects.filter(is_over | begins, **_of(entities), is_open=True, voided_at=None)
    over: list[tuple[int, Decimal]] = []
    for payer_id, remaining, booked_at in rows.values_list("billing_entity_id", "remaining", "booked_at"):
        if booked_at is None:
            settled[payer_id] = CONTEXT.add(settled.get(payer_id, ZERO), remaining)
        else:
            over.append((payer_id, remaining))
    for payer_id, remaining in over:
        wallet, reserved = settled.get(payer_id, ZERO), held.get(payer_id)
        lost = min(remaining, max(ZERO, CONTEXT.subtract(wallet, reserved))) if reserved else remaining
        settled[payer_id] = CONTEXT.subtract(wallet, lost)
    return settled


def _of(entities: Sequence[BillingEntity]) -> dict[str, Any]:
    """The filter that both keys of a payer's rows, and so the index, need."""
    return {
        "customer_id__in": {entity.customer_id for entity in entities},
        "billing_entity_id__in": [entity.pk for entity in entities],
    }


def _balance(
    entity: BillingEntity,
    settled: Mapping[int, Decimal],
    held: Mapping[int, Decimal],
    owed: LedgerAccount | None,
) -> Balance:
    funds = Funds(
        settlement=entity.settlement,
        overdraft=entity.overdraft,
        credit_limit=entity.credit_limit,
        wallet=settled.get(entity.pk, ZERO),
        held=held.get(entity.pk, ZERO),
        owed=owed.balance.copy_negate() if owed else ZERO,
    )
    bound = entity.overdraft if entity.settlement == "wallet_only" else entity.credit_limit
    is_open = entity.status in (BillingEntity.Status.ACTIVE, BillingEntity.Status.PAST_DUE)
    return Balance(
        settled=funds.wallet,
        held=funds.held,
        owed=funds.owed,
        available=funds.available,
        is_unbounded=bound is None,
        can_spend=is_open and (bound is None or funds.available > 0),
    )
