"""Authorizations on the path: decided as a charge would be, then held instead of charged.

A key that an authorization has used counts as any other: docs/adr/0011-keys-of-authorizations.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

from billing.book import PayerBook
from billing.charging.booking import Batch, key_row, note_denial
from billing.charging.deciding import RatedItem, fund, quantity_of, refuse
from billing.charging.limiting import Limiting
from billing.charging.outcomes import Authorized, Denied
from billing.charging.planning import Planned
from billing.charging.replaying import named_payload
from billing.charging.requests import HoldTerms
from billing.funding import Funds, Part, burn
from billing.holds import AUTHORIZED
from billing.models import Authorization
from billing.store_authorizations import as_json
from core.numbers import CONTEXT, ZERO, plain
from core.sql import NULL, TAB


def hold_item(
    batch: Batch, item: Planned, book: PayerBook, rated: RatedItem, limiting: Limiting
) -> Authorized | Denied:
    """Hold what an item is expected to cost, or the amount that it names; refused as the charge would be."""
    terms = item.request.hold
    assert terms is not None
    parts = fund(item, book, rated) if terms.amount is None else _fund_at(terms.amount, item, book, rated)
    denial = refuse(item, book, rated, parts, limiting)
    if denial is not None:
        note_denial(batch, item, denial)
        return denial
    amount = max(ZERO, rated.amount)
    book.reserve(amount)
    counted_in = limiting.hold(item, rated, partial(quantity_of, item, rated=rated))
    counted_on = _count_on(book.funds, parts, amount)
    _add_hold(batch, item, book, rated, amount, counted_on, counted_in)
    return _answer(batch, item, book, amount)


def _fund_at(amount: Decimal, item: Planned, book: PayerBook, rated: RatedItem) -> list[Part]:
    """Let an item cost `amount`, and who would pay: of its component where it has one, for a grant may be
    limited to that."""
    components = {component for component, _ in rated.amounts}
    rated.amount = amount
    line = (components.pop() if len(components) == 1 else "", amount)
    return burn(book.funds, [line], item.request.event.occurred_at, keeps=True)


def _count_on(funds: Funds, parts: Sequence[Part], amount: Decimal) -> dict[str, str]:
    """Let the hold count on the limited grants that would pay for it, `{grant: amount}`."""
    limited = {grant.id for grant in funds.grants if grant.components}
    counted: dict[str, str] = {}
    for part in parts if limited else ():
        if part.grant_id in limited and (on := min(part.amount, amount)) > 0:
            funds.count_on(part.grant_id, on)
            counted[str(part.grant_id)] = plain(CONTEXT.add(Decimal(counted.get(str(part.grant_id), 0)), on))
            amount = CONTEXT.subtract(amount, on)
    return counted


def _metered(terms: HoldTerms, rated: RatedItem) -> dict[str, str]:
    """What of the expected price is of each meter; nobody knows of what an amount that was named is."""
    found: dict[str, Decimal] = {}
    for line in rated.lines if terms.amount is None else ():
        found[line["meter"]] = CONTEXT.add(found.get(line["meter"], ZERO), Decimal(line["amount"]))
    return {meter: plain(amount) for meter, amount in found.items() if amount > 0}


def _add_hold(
    batch: Batch,
    item: Planned,
    book: PayerBook,
    rated: RatedItem,
    amount: Decimal,
    counted_on: dict[str, str],
    counted_in: list[list[str]],
) -> None:
    terms, found, event = item.request.hold, item.attribution, item.request.event
    payer, funds = found.payer, book.funds
    assert terms is not None
    assert payer is not None
    key = event.idempotency_key
    batch.keys.append(key_row(batch, item, payer.customer_id))
    row = (
        str(payer.customer_id),
        item.id_text,
        str(payer.id),
        NULL if found.workspace_id is None else str(found.workspace_id),
        NULL if found.api_key_id is None else str(found.api_key_id),
        (Authorization.Kind.LEASE if terms.is_lease else Authorization.Kind.AUTHORIZATION).value,
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
        as_json(counted_on),
        as_json(_metered(terms, rated)),
        as_json(counted_in) if counted_in else "[]",
        str(funds.available),
        str(funds.wallet),
        str(funds.held),
    )
    batch.holds.append(TAB.join(row))


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
        is_lease=terms.is_lease,
    )
