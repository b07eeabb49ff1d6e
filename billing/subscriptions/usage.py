"""Usage that a change puts under another price: taken back and charged again by new entries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db.models import Max

from accounts.models import BillingEntity
from billing.models import Charge, Reversal
from billing.rerating import rerate_events
from billing.reversals import rerate_charges, rerate_usage
from billing.store_subscriptions import UsageQuestion, used_since
from core.ids import first_uuid7, public_id
from core.numbers import CONTEXT, ZERO
from core.sql import driver
from pricing.models import Component, PlanVersion, Segment, Subscription
from pricing.periods import SHORTEST


def charge_since_start(subscription: Subscription, now: datetime) -> Decimal:
    """Charge what the payer used since a start in the past at the price that covers it now.

    Usage that another subscription has charged is rated anew too, for one event may feed meters of both.
    """
    if not subscription.version.components.exists():
        return ZERO
    entity, since = subscription.billing_entity, subscription.starts_at
    return rerate_usage(entity, since, None, now, "a subscription started in the past").difference


def with_usage_since(wanted: Sequence[tuple[Subscription, datetime]], now: datetime) -> set[int]:
    """Of (subscription, instant), the ids of those whose payers used anything from the instant on.

    For an instant of now that is only what a caller's clock was ahead of: it is looked for by a range of ids,
    which begin with the millisecond in which they were made. Nothing was used later than `EVENT_AHEAD_MAX`
    from now.
    """
    asked = []
    near = [each for each in wanted if each[1] <= now + settings.EVENT_AHEAD_MAX]
    for row, since in near:
        earliest = since - settings.EVENT_AHEAD_MAX
        first = first_uuid7(earliest) if since >= now else UUID(int=0)
        asked.append(UsageQuestion(row.customer_id, row.billing_entity_id, since, earliest, first))
    answers = used_since(driver(), asked)
    return {row.pk for (row, _), is_used in zip(near, answers, strict=True) if is_used}


def charged_until(entity: BillingEntity, now: datetime) -> datetime:
    """The end of what a payer was charged for: now, or just after what a caller's clock was ahead of."""
    rows = Charge.objects.filter(
        customer_id=entity.customer_id,
        billing_entity_id=entity.pk,
        recorded_at__gte=now - settings.EVENT_AHEAD_MAX,
        occurred_at__gte=now,
    )
    latest: datetime | None = rows.aggregate(latest=Max("occurred_at"))["latest"]
    return now if latest is None else latest + SHORTEST


def rerate_since(
    subscription: Subscription,
    since: datetime,
    now: datetime,
    *,
    versions: tuple[PlanVersion, PlanVersion],
    reason: str,
) -> Decimal:
    """Rate what a subscription's segments no longer cover as it was charged; what the payer pays more (less).

    What was charged from `since` on is taken back by new entries and charged again at what covers it now;
    what nothing priced is charged if there is a price now. `versions`: before and after `since`; where the
    latter prices another meter, usage that other subscriptions have charged may concern this one too. A part
    of the caller's transaction, in which the segments have changed.
    """
    entity = subscription.billing_entity
    rows = Charge.objects.filter(
        customer_id=entity.customer_id,
        billing_entity_id=entity.pk,
        recorded_at__gte=since - settings.EVENT_AHEAD_MAX,
        occurred_at__gte=since,
    )
    segments, charged = list(subscription.segments.all()), list(rows.order_by("seq"))
    adds_meters, left = _adds_meters(*versions), _left_without_price(entity, charged)
    charges = [row for row in charged if row.event_id in left or _is_moved(row, segments, adds_meters)]
    done = rerate_charges(entity, charges, now, reason)
    return CONTEXT.add(done.difference, rerate_events(entity, since=since).amount)


def _left_without_price(entity: BillingEntity, charges: Sequence[Charge]) -> set[UUID]:
    """The events of charges which an earlier change has left without a price; it may be back."""
    ids = {charge.event_id for charge in charges}
    if not ids:
        return set()
    rows = Reversal.objects.filter(customer_id=entity.customer_id, event_id__in=ids)
    latest = {row.event_id: row for row in rows.order_by("seq")}
    return {event_id for event_id, row in latest.items() if row.replaced_by is None}


def _adds_meters(before: PlanVersion, after: PlanVersion) -> bool:
    """Whether a version prices a meter that another one does not."""
    return bool(_meters(after) - _meters(before))


def _meters(version: PlanVersion) -> set[int]:
    return set(Component.objects.filter(version=version).values_list("meter_id", flat=True))


def _is_moved(charge: Charge, segments: Sequence[Segment], may_be_new: bool) -> bool:
    """Whether a charge has a line of the subscription in another segment, or on another version, than now."""
    own = {segment.pk for segment in segments}
    lines = [line for line in charge.lines if line["segment"] in own]
    covers = {
        (segment.pk, public_id("pv", segment.version_id))
        for segment in segments
        if segment.starts_at <= charge.occurred_at < segment.ends_at
    }
    if not lines:
        return may_be_new and bool(covers)
    return any((line["segment"], line["plan_version"]) not in covers for line in lines)
