"""Keys that have counted, whatever for: events, charges and authorizations share one namespace.

The first answer again, where the same thing is sent for the same purpose; else a conflict that says why
(docs/adr/0011-keys-of-authorizations.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from msgspec.structs import replace

from billing.charging.outcomes import Authorized, Charged, Failed, Outcome, Recorded
from billing.charging.planning import Planned
from billing.charging.reading import Known, KnownKey
from billing.charging.replaying import conflict, named_payload, replay
from billing.charging.requests import Mode
from billing.holds import Hold, HoldId
from core.errors import Conflict
from core.ids import public_id
from metering.payload import differing_fields

Found = tuple[Planned, KnownKey]
"""An item, and what its key has counted for."""


def answer_again(raw: psycopg.Connection[Any], found: Sequence[Found], known: Known) -> dict[int, Outcome]:
    """The answers to items whose keys have counted, by their index."""
    outcomes: dict[int, Outcome] = {}
    events: list[Found] = []
    for item, key in found:
        config = item.attribution.config
        hold = known.holds.get((config.customer_id, key.event_id)) if config else None
        is_hold = item.request.mode is Mode.HOLD
        if is_hold and hold is not None:
            outcomes[item.index] = _authorized_again(item, hold, key)
        elif is_hold or hold is not None or _captures_another(item, known, key):
            outcomes[item.index] = used_by(item, "an authorization" if hold is not None else "an event")
        else:
            events.append((item, key))
    for (item, _), answer in zip(events, replay(raw, events), strict=True):
        terms = item.request.authorization
        if isinstance(answer, Charged) and terms is not None and not terms.is_lease:
            answer.authorization = known.holds[terms.customer_id, terms.id].public_id
        outcomes[item.index] = answer
    return outcomes


def _captures_another(item: Planned, known: Known, key: KnownKey) -> bool:
    """Whether an item captures a hold under the key of an event that did not."""
    terms = item.request.authorization
    if terms is None or terms.is_lease:
        return False
    hold = known.holds.get((terms.customer_id, terms.id))
    return hold is None or hold.event_id != key.event_id


def _authorized_again(item: Planned, hold: Hold, key: KnownKey) -> Authorized | Failed:
    terms = item.request.hold
    if terms is not None and terms.is_lease != hold.is_lease:
        return used_by(item, "a lease" if hold.is_lease else "an authorization")
    if item.payload_hash != key.payload_hash:
        differing = differing_fields(hold.first.payload, named_payload(item))
        if differing:
            return Failed(conflict(item, differing))
    return Authorized(
        customer_id=hold.customer_id,
        id=hold.id,
        billing_entity=public_id("be", hold.payer_id),
        amount=hold.first.amount,
        currency=hold.first.currency,
        expires_at=hold.first.expires_at,
        available=hold.first.available,
        settled=hold.first.settled,
        held=hold.first.held,
        is_lease=hold.is_lease,
        is_replay=True,
    )


def used_by(item: Planned, noun: str) -> Failed:
    """The error of a key that has counted for something else."""
    key = item.request.event.idempotency_key
    says = f"The key {key!r} was used by {noun}."
    return Failed(Conflict("idempotency_conflict", says, "idempotency_key"))


def repeat(item: Planned, first: Planned, outcome: Outcome) -> Outcome:
    """The same key twice in one batch: a replay of what was just decided."""
    assert isinstance(outcome, Charged | Recorded | Authorized)
    if (item.request.mode is Mode.HOLD) != (first.request.mode is Mode.HOLD):
        return used_by(item, "an authorization" if isinstance(outcome, Authorized) else "an event")
    if _captured(item) != _captured(first):
        return used_by(item, "an event")
    if item.payload_hash != first.payload_hash:
        differing = differing_fields(named_payload(first), named_payload(item))
        if differing:
            return Failed(conflict(item, differing))
    return replace(outcome, is_replay=True)


def _captured(item: Planned) -> HoldId | None:
    """The hold that an item captures."""
    terms = item.request.authorization
    return None if terms is None else (terms.customer_id, terms.id)
