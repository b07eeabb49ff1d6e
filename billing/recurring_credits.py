"""Recurring credits of plans: given at the payer's local boundaries, each exactly once.

A credit is a promotional grant that ends with its own period (its `every`, not the plan's: an annual plan
may give it monthly). Of what then is left, at most the terms' `rollover` stays: it is taken back out of
breakage into the next grant. A period that has begun gives its credit whole, as soon as a
version holds that gives it and is not paused; nothing is prorated.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import (
    Count,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    JSONField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
)
from django.db.models.functions import Coalesce, JSONArray, JSONObject

from accounts.models import BillingEntity
from billing.book import PayerBook
from billing.funding import Grant
from billing.ledger import BREAKAGE, PROMOTIONAL, WALLET, Transfer, read_row
from billing.models import CreditGrant, CreditRelease
from billing.models import Transfer as TransferRow
from billing.wallets import open_book
from core.ids import public_id
from core.numbers import CONTEXT, ZERO
from pricing.catalog.plans import CreditTerms
from pricing.cycles import Cycle, Period
from pricing.models import PlanVersion, Subscription
from pricing.periods import never_began
from pricing.terms import terms_of
from pricing.timeline import Timeline, timelines_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DueCredit:
    """One credit of one of its periods, that has begun. `period` starts when the subscription does, at the
    earliest."""

    subscription: Subscription
    version: PlanVersion
    terms: CreditTerms
    period: Period


def release_credits(now: datetime) -> int:
    """Give every credit whose period has begun by `now` and that was not given yet; gives their number.

    One transaction per payer; safe to run again, by several workers at once. A payer that fails is logged and
    does not keep the others from theirs.
    """
    given = 0
    due = subscriptions_with_credits(now).values("billing_entity_id")
    for entity in BillingEntity.objects.filter(pk__in=due).order_by("customer_id", "pk").iterator():
        try:
            given += release_payer_credits(entity, now)
        except Exception:
            logger.exception("the credits of %s could not be given", entity.public_id)
    return given


def release_payer_credits(entity: BillingEntity, now: datetime) -> int:
    """The same for one payer. Locks it when something is due; inside a caller's transaction it commits with
    that. Whoever starts or changes a subscription calls it, so that nobody waits for the task."""
    if not any(due_credits(entity, now)):
        return 0
    given = 0
    with open_book(entity, now) as book:
        for credit in due_credits(entity, now):  # again: another worker may have been faster
            _release(book, credit, now)
            given += 1
    return given


def subscriptions_with_credits(now: datetime) -> QuerySet[Subscription]:
    """The subscriptions that run and have not been given all of their version's credits for now.

    A credit of an earlier version, under a key that the version of now does not have, does not count.
    """
    current = ExpressionWrapper(OuterRef("version__content__credits"), output_field=JSONField())
    given = (
        CreditRelease.objects.filter(subscription_id=OuterRef("pk"), starts_at__lte=now, ends_at__gt=now)
        .annotate(current=current)
        .filter(current__contains=JSONArray(JSONObject(key="key")))
        .values("subscription_id")
        .annotate(number=Count("pk"))
        .values("number")
    )
    there = Func(F("version__content__credits"), function="jsonb_array_length", output_field=IntegerField())
    rows = Subscription.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=now), starts_at__lte=now, version__content__has_key="credits"
    )
    rows = rows.annotate(given=Coalesce(Subquery(given), 0), there=there).filter(given__lt=F("there"))
    return rows.select_related("version", "billing_entity")


def due_credits(entity: BillingEntity, now: datetime) -> list[DueCredit]:
    """A payer's credits that are to be given, in the order of their time."""
    found: list[DueCredit] = []
    for subscription in subscriptions_with_credits(now).filter(billing_entity=entity).order_by("pk"):
        if not never_began(subscription):
            found += _due_of(subscription, now)
    return sorted(found, key=lambda credit: (credit.period.start, credit.subscription.pk))


def _due_of(subscription: Subscription, now: datetime) -> Iterator[DueCredit]:
    done = CreditRelease.objects.filter(subscription_id=subscription.pk).order_by("starts_at")
    latest = dict(done.values_list("key", "ends_at"))
    timeline = timelines_of([subscription])[subscription.pk]
    current = terms_of(subscription.version)
    ends_at = subscription.ends_at
    for terms in current.credits:
        cycle = Cycle.anchored(terms.every, current.anchor, subscription.anchor_at, timeline.zone)
        instant = latest.get(terms.key, subscription.starts_at)
        while instant <= now and (ends_at is None or instant < ends_at):
            whole = cycle.period_at(instant)
            credit = _first_credit(subscription, timeline, terms.key, Period(instant, whole.end))
            if credit is not None and credit.period.start <= now:
                yield credit
            instant = whole.end


def _first_credit(
    subscription: Subscription, timeline: Timeline, key: str, period: Period
) -> DueCredit | None:
    """The credit of a period, from when on a version that gives it holds in it and is not paused."""
    for span in timeline.spans:
        part = span.within(period)
        there = {credit.key: credit for credit in terms_of(span.version).credits}.get(key)
        if part is not None and there is not None and not span.is_paused:
            return DueCredit(subscription, span.version, there, Period(part.start, period.end))
    return None


def _release(book: PayerBook, credit: DueCredit, now: datetime) -> None:
    terms, period = credit.terms, credit.period
    rolled = _rolled_over(book, credit, now)
    customer_id, payer_id = book.payer
    row = CreditGrant.objects.create(
        customer_id=customer_id,
        billing_entity_id=payer_id,
        kind=CreditGrant.Kind.PROMOTIONAL,
        name=terms.key,
        amount=CONTEXT.add(terms.amount, rolled),
        remaining=CONTEXT.add(terms.amount, rolled),
        priority=terms.priority,
        effective_at=period.start,
        expires_at=period.end,
        created_at=now,
    )
    grant = Grant(
        id=row.pk,
        is_promotional=True,
        priority=row.priority,
        effective_at=row.effective_at,
        expires_at=row.expires_at,
        components=frozenset(),
        remaining=row.amount,
    )
    sources = [Transfer(PROMOTIONAL, WALLET, terms.amount, row.pk)]
    if rolled:
        sources.append(Transfer(BREAKAGE, WALLET, rolled, row.pk))
    seq = book.next_seq()
    book.take_in(grant, now, seq, TransferRow.Reason.GRANT, public_id("grt", row.pk), sources)
    CreditRelease.objects.create(
        customer_id=customer_id,
        billing_entity_id=payer_id,
        subscription_id=credit.subscription.pk,
        version_id=credit.version.pk,
        key=terms.key,
        starts_at=period.start,
        ends_at=period.end,
        amount=terms.amount,
        rolled_over=rolled,
        rollover=terms.rollover,
        grant_id=row.pk,
        seq=seq,
        recorded_at=now,
    )
    book.settle_due((), now)  # a period that is over already: its credit expires at once


def _rolled_over(book: PayerBook, credit: DueCredit, now: datetime) -> Decimal:
    """What stays of the credit of the period before: at most the terms' rollover of what expired then."""
    before = CreditRelease.objects.filter(
        subscription_id=credit.subscription.pk, key=credit.terms.key, ends_at=credit.period.start
    ).first()
    if before is None or not credit.terms.rollover:
        return ZERO
    grant = next((grant for grant in book.funds.grants if grant.id == before.grant_id), None)
    kept = ZERO if grant is None else grant.remaining  # under a hold: it is there still
    return max(ZERO, min(_expired(book, before.grant_id), CONTEXT.subtract(credit.terms.rollover, kept)))


def _expired(book: PayerBook, grant_id: int) -> Decimal:
    """What a grant lost when its time was over: stored, and in this transaction."""
    stored = TransferRow.objects.filter(
        customer_id=book.payer[0], grant_id=grant_id, destination=BREAKAGE
    ).aggregate(total=Sum("amount"))["total"]
    total: Decimal = stored or ZERO
    for transfer in map(read_row, book.transfers):
        if (transfer.destination, transfer.grant_id) == (BREAKAGE, grant_id):
            total = CONTEXT.add(total, transfer.amount)
    return total
