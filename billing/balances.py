"""What a payer has: one statement, from the row that bills."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q

from accounts.models import BillingEntity
from billing.book import read_grants
from billing.funding import Funds
from billing.ledger import RECEIVABLE, WALLET
from billing.models import Authorization, CreditGrant, LedgerAccount
from billing.wallets import settled_books
from core.numbers import CONTEXT, ZERO
from core.sql import driver


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
    """The balances of many payers, by id, in two statements; three where one has something held, and three
    more where a grant begins or ends.

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
    settled = {payer_id: row.balance for payer_id, row in wallets.items()}
    settled |= _settled_now([entity for entity in entities if entity.pk in wallets], wallets, now)
    return {
        entity.pk: _balance(entity, settled, held, accounts.get((entity.pk, RECEIVABLE)), now)
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


def _settled_now(
    entities: Sequence[BillingEntity], wallets: Mapping[int, LedgerAccount], now: datetime
) -> dict[int, Decimal]:
    """What the wallets have with the grants that are due settled as the next call will, where some are."""
    is_over = Q(expires_at__lte=now, booked_at__isnull=False)
    begins = Q(effective_at__lte=now, booked_at__isnull=True)
    due = CreditGrant.objects.filter(is_over | begins, **_of(entities), is_open=True, voided_at=None)
    ids = set(due.values_list("billing_entity_id", flat=True))
    if not ids:
        return {}
    raw, payers = driver(), {entity.pk: entity for entity in entities if entity.pk in ids}
    keys = sorted((entity.customer_id, pk) for pk, entity in payers.items())
    rows = [(*key, wallets[key[1]].balance, wallets[key[1]].held, 0) for key in keys]
    grants = read_grants(raw, keys, now).fetchall()
    books = settled_books(raw, payers, rows, [], grants, now)
    return {pk: book.funds.wallet for pk, book in books.items()}


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
    now: datetime,
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
    is_open = entity.state_at(now) in (BillingEntity.Status.ACTIVE, BillingEntity.Status.PAST_DUE)
    return Balance(
        settled=funds.wallet,
        held=funds.held,
        owed=funds.owed,
        available=funds.available,
        is_unbounded=bound is None,
        can_spend=is_open and (bound is None or funds.available > 0),
    )
