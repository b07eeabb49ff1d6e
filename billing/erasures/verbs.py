"""Asking for a person's data to be erased, and erasing it: resumable, a bounded batch a transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from accounts.models import BillingEntity, Customer
from billing.erasures.keeping import Keeper
from billing.erasures.rows import (
    ErasedRows,
    Wish,
    erase_from_events,
    erase_from_holds,
    erase_from_quarantine,
)
from billing.models import Erasure
from billing.seals import seal_payers
from billing.store_erasures import Person
from billing.store_seals import lock_seals, read_ends
from core import clock
from core.errors import InvalidRequest
from core.models import IdempotentRequest
from core.sql import driver

OPERATION: Final = "erasures.create"
FIRST_ID: Final = UUID(int=0)
PARTS_MAX: Final = 100


def request_erasure(
    customer: Customer,
    *,
    user: str | None = None,
    properties: Collection[str] = (),
    values: Collection[str] = (),
    reason: str,
    by: str = "",
) -> Erasure:
    """Ask for a person's data of a customer to be erased: `run_erasures` does it.

    `user`: as events name it; it goes, with the `properties` named of its events. `values`: what else is
    known of the person, such as an e-mail address; every property that is one of them goes, whoever the
    user. A property on which money depends stays, and the erasure says so. Raises InvalidRequest.
    """
    if not user and not values:
        raise InvalidRequest("missing_field", "Say whose data: a user, or values.", "user")
    if properties and not user:
        raise InvalidRequest("missing_field", "properties are those of a user's events.", "user")
    for name, texts in (("properties", properties), ("values", values)):
        if len(texts) > PARTS_MAX or not all(texts):
            says = f"{name} are at most {PARTS_MAX} texts, none of them empty."
            raise InvalidRequest("invalid_value", says, name)
    if not reason.strip():
        raise InvalidRequest("missing_field", "Say why.", "reason")
    return Erasure.objects.create(
        customer_id=customer.pk,
        user=user,
        properties=sorted(set(properties)),
        values=sorted(set(values)),
        reason=reason,
        created_by=by,
        created_at=clock.now(),
    )


def run_erasures(now: datetime) -> int:
    """Carry out what waits; how many were done. One that another process is at is left to it."""
    waiting = Erasure.objects.filter(status=Erasure.Status.WAITING).order_by("pk")
    return sum(run_erasure(pk, now) for pk in list(waiting.values_list("pk", flat=True)))


def run_erasure(pk: int, now: datetime) -> bool:
    """Carry out one erasure from where it stands; whether this call has finished it.

    Holds and events in quarantine come first: of what one of them becomes meanwhile nothing is left to erase.
    Then everything of the customer is sealed: what is erased of events leaves its proof in a seal.
    """
    keeper = Keeper()
    if not _erase_others(pk, keeper, now):
        return False
    customer_id = Erasure.objects.values_list("customer_id", flat=True).get(pk=pk)
    payers = list(
        BillingEntity.objects.filter(customer_id=customer_id).order_by("pk").values_list("pk", flat=True)
    )
    seal_payers([(customer_id, payer) for payer in payers], now)
    while True:
        with transaction.atomic():
            erasure = _waiting(pk)
            if erasure is None:
                return False
            if _step(erasure, keeper, payers, now):
                continue
            _finish(erasure, now)
            return True


def _waiting(pk: int) -> Erasure | None:
    rows: QuerySet[Erasure] = Erasure.objects.select_for_update(skip_locked=True, of=("self",))
    return rows.filter(pk=pk, status=Erasure.Status.WAITING).first()


def _wish(erasure: Erasure, keeper: Keeper, now: datetime) -> Wish:
    person = Person(erasure.customer_id, erasure.user, erasure.values)
    return Wish(erasure.pk, person, frozenset(erasure.properties), keeper, now, dict(erasure.kept))


def _step(erasure: Erasure, keeper: Keeper, payers: Iterable[int], now: datetime) -> bool:
    """Erase from the next batch of events, or pass to the next payer; False when all are done."""
    payer_id = next((each for each in payers if each > erasure.payer_done), None)
    if payer_id is None:
        return False
    payer, raw = (erasure.customer_id, payer_id), driver()
    wish = _wish(erasure, keeper, now)
    lock_seals(raw, [payer], wait=True)
    ends = read_ends(raw, [payer])
    done = erase_from_events(raw, wish, payer, erasure.seq_done, ends[0].sealed) if ends else None
    if done is None:
        erasure.payer_done, erasure.seq_done = payer_id, 0
    else:
        erasure.seq_done = done.last
        erasure.events += done.rows
        erasure.parts += done.parts
    erasure.kept = wish.kept
    erasure.save(update_fields=["payer_done", "seq_done", "events", "parts", "kept"])
    return True


def _erase_others(pk: int, keeper: Keeper, now: datetime) -> bool:
    """Authorizations, and what the customer has in quarantine; False when somebody else is at it, or was.

    An erasure that goes on after a crash looks at all of them again, and finds what is left.
    """
    raw = driver()
    held, quarantined = partial(erase_from_holds, raw), partial(erase_from_quarantine, raw)
    for erase, first in ((held, FIRST_ID), (quarantined, 0)):
        after: Any = first
        while after is not None:
            with transaction.atomic():
                erasure = _waiting(pk)
                if erasure is None:
                    return False
                after = _erase_batch(erasure, _wish(erasure, keeper, now), erase, after)
    return True


def _erase_batch(erasure: Erasure, wish: Wish, erase: Callable[..., ErasedRows | None], after: Any) -> Any:
    """The last row that was looked at; None when there were none beyond `after`."""
    done = erase(wish, after)
    if done is None:
        return None
    erasure.others += done.rows
    erasure.parts += done.parts
    erasure.kept = wish.kept
    erasure.save(update_fields=["others", "parts", "kept"])
    return done.last


def _finish(erasure: Erasure, now: datetime) -> None:
    """Forget whose data it was, also where the request itself is kept for its repetition."""
    erasure.status, erasure.done_at = Erasure.Status.DONE, now
    erasure.user, erasure.values = None, []
    erasure.save()
    requests = IdempotentRequest.objects.filter(operation=OPERATION).annotate(
        answer=Cast("response", TextField())
    )
    requests.filter(answer__contains=erasure.public_id).update(payload={})
