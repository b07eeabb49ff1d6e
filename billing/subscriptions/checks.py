"""What a subscription must fit: its payer, its quantities, and the payer's other subscriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Q

from accounts.models import BillingEntity
from core.errors import Conflict, InvalidRequest, PermissionDenied, Unprocessable
from core.numbers import plain
from pricing.locked import Locked
from pricing.models import Component, PlanVersion, Subscription
from pricing.terms import terms_of
from pricing.timeline import Timeline, timelines_of
from pricing.versions import check_startable


class Part(NamedTuple):
    """A time in which a version's meters are priced; `ends_at` None = for good."""

    version_id: int
    starts_at: datetime
    ends_at: datetime | None

    def meets(self, other: Part) -> bool:
        """Whether both share an instant."""
        begins_in_time = other.ends_at is None or self.starts_at < other.ends_at
        return begins_in_time and (self.ends_at is None or other.starts_at < self.ends_at)


def refuse_closed(entity: BillingEntity) -> None:
    """Raise PermissionDenied for a closed payer: nothing is sold to it any more."""
    if entity.status == BillingEntity.Status.CLOSED:
        raise PermissionDenied("closed", "This billing entity is closed.", "billing_entity")


def check_fit(entity: BillingEntity, version: PlanVersion) -> None:
    """Raise unless the payer is open, and the version published and in the payer's currency."""
    refuse_closed(entity)
    check_startable(version, entity.customer_id)
    if version.plan.currency != entity.currency:
        raise Unprocessable(
            "currency_mismatch",
            f"The plan is in {version.plan.currency}, the payer pays in {entity.currency}.",
            "plan_version",
        )


def quantity_keys(version: PlanVersion) -> set[str]:
    """The keys of the version's fees that take a quantity."""
    return {fee.key for fee in terms_of(version).base_fees if fee.quantity is not None}


def checked_quantities(version: PlanVersion, quantities: Mapping[str, Decimal]) -> dict[str, str]:
    """The quantities as they are stored; raises for a fee that takes none, and below zero."""
    known = quantity_keys(version)
    for key, quantity in quantities.items():
        if key not in known:
            there = ", ".join(sorted(known)) or "none"
            raise Unprocessable(
                "unknown_quantity",
                f"No fee {key!r} takes a quantity; these do: {there}.",
                f"quantities.{key}",
            )
        if quantity < 0:
            raise InvalidRequest("negative_number", "A quantity is not negative.", f"quantities.{key}")
    return {key: plain(quantity) for key, quantity in quantities.items()}


def parts_of(timeline: Timeline, since: datetime) -> list[Part]:
    """When a subscription prices meters from `since` on: its spans less its pauses."""
    return [
        Part(span.version.pk, max(span.starts_at, since), span.ends_at)
        for span in timeline.spans
        if not span.is_paused and (span.ends_at is None or span.ends_at > since)
    ]


def refuse_overlaps(wanted: Sequence[tuple[Locked, Sequence[Part]]]) -> None:
    """Two subscriptions that price one meter at once would charge each call twice: raise Conflict.

    The parts are those of the locked subscriptions. The caller holds the payers' locks, so that no other
    subscription of theirs starts or changes meanwhile.
    """
    parts: dict[int | None, tuple[int, Sequence[Part]]] = {
        locked.row.pk: (locked.row.billing_entity_id, mine) for locked, mine in wanted if mine
    }
    _refuse(parts, {locked.row.pk: locked.timeline() for locked, _ in wanted})


def refuse_start(entity: BillingEntity, parts: Sequence[Part]) -> None:
    """The same for a subscription that is about to start."""
    _refuse({None: (entity.pk, parts)}, {})


def _refuse(wanted: Mapping[int | None, tuple[int, Sequence[Part]]], known: Mapping[int, Timeline]) -> None:
    """By subscription (None: one that is not there yet), its payer and parts; `known` timelines."""
    if not wanted:
        return
    since = min(part.starts_at for _, parts in wanted.values() for part in parts)
    payers = {payer_id for payer_id, _ in wanted.values()}
    others = Subscription.objects.filter(Q(ends_at=None) | Q(ends_at__gt=since), billing_entity__in=payers)
    if len(wanted) == 1:
        others = others.exclude(pk__in=[pk for pk in wanted if pk is not None])
    rows = list(others.select_related("version", "billing_entity"))
    timelines = {**timelines_of(row for row in rows if row.pk not in known), **known}
    theirs: dict[int, list[tuple[int, Part]]] = {}
    for row in rows:
        found = theirs.setdefault(row.billing_entity_id, [])
        found += [(row.pk, part) for part in parts_of(timelines[row.pk], since)]
    pairs = [
        (mine, other)
        for pk, (payer_id, parts) in wanted.items()
        for mine in parts
        for owner, other in theirs.get(payer_id, ())
        if owner != pk and mine.meets(other)
    ]
    meters = _meters({part.version_id for pair in pairs for part in pair}) if pairs else {}
    for mine, other in pairs:
        shared = meters.get(mine.version_id, {}).keys() & meters.get(other.version_id, {}).keys()
        if shared:
            found_key = meters[mine.version_id][min(shared)]
            raise Conflict(
                "meter_priced_already",
                f"A subscription of this payer prices the meter {found_key!r} then.",
                "plan_version",
            )


def _meters(version_ids: Iterable[int]) -> dict[int, dict[int, str]]:
    """By version, the keys of the meters that it prices, by id."""
    found: dict[int, dict[int, str]] = {}
    rows = Component.objects.filter(version_id__in=version_ids)
    for version_id, meter_id, key in rows.values_list("version_id", "meter_id", "meter__key"):
        found.setdefault(version_id, {})[meter_id] = key
    return found
