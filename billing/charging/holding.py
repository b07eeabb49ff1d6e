"""Authorizations on the path: decided as a charge would be, then held instead of charged.

A key that an authorization has used counts as any other: docs/adr/0011-keys-of-authorizations.md.
"""

from __future__ import annotations

from decimal import Decimal

from billing.book import PayerBook
from billing.charging.booking import Batch, note_denial
from billing.charging.deciding import RatedItem, fund, refuse
from billing.charging.outcomes import Authorized, Denied
from billing.charging.planning import Planned
from billing.charging.replaying import named_payload
from billing.holds import AUTHORIZED
from billing.models import Authorization
from billing.store_authorizations import as_json
from core.numbers import ZERO
from core.sql import NULL


def hold_item(batch: Batch, item: Planned, book: PayerBook, rated: RatedItem) -> Authorized | Denied:
    """Hold what an item is expected to cost, or the amount that it names; refused as the charge would be."""
    terms = item.request.hold
    assert terms is not None
    if terms.amount is not None:
        _price_at(rated, terms.amount)
    denial = refuse(item, book, rated, fund(item, book, rated))
    if denial is not None:
        note_denial(batch, item, denial)
        return denial
    amount = max(ZERO, rated.amount)
    book.reserve(amount)
    _add_hold(batch, item, book, amount)
    return _answer(batch, item, book, amount)


def _price_at(rated: RatedItem, amount: Decimal) -> None:
    """Let an item cost `amount`: of its component where it has one, for a grant may be limited to that."""
    components = {component for component, _ in rated.amounts}
    rated.amount = amount
    rated.amounts = [(components.pop() if len(components) == 1 else "", amount)]
    rated.segments = rated.segments[:1]


def _add_hold(batch: Batch, item: Planned, book: PayerBook, amount: Decimal) -> None:
    terms, found, event = item.request.hold, item.attribution, item.request.event
    payer, funds = found.payer, book.funds
    assert terms is not None
    assert payer is not None
    customer = str(payer.customer_id)
    key = event.idempotency_key
    batch.keys.append((customer, key, f"\\x{item.payload_hash.hex()}", item.id_text, batch.recorded_at))
    batch.holds.append(
        (
            customer,
            item.id_text,
            str(payer.id),
            NULL if found.workspace_id is None else str(found.workspace_id),
            NULL if found.api_key_id is None else str(found.api_key_id),
            Authorization.Kind.AUTHORIZATION,
            key,
            event.event,
            as_json(named_payload(item)),
            str(amount),
            payer.currency,
            item.occurred_at,
            batch.recorded_at,
            str(int(terms.expires_in.total_seconds())),
            (batch.now + terms.expires_in).isoformat(),
            AUTHORIZED,
            str(amount),
            "[]",
            str(funds.available),
            str(funds.wallet),
            str(funds.held),
        )
    )


def _answer(batch: Batch, item: Planned, book: PayerBook, amount: Decimal) -> Authorized:
    terms, payer, funds = item.request.hold, item.attribution.payer, book.funds
    assert terms is not None
    assert payer is not None
    return Authorized(
        customer_id=payer.customer_id,
        id=item.id,
        billing_entity=payer.public_id,
        amount=amount,
        currency=payer.currency,
        expires_at=batch.now + terms.expires_in,
        available=funds.available,
        settled=funds.wallet,
        held=funds.held,
    )
