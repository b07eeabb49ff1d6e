"""Subscriptions under lock, with what is stored of them: read once, and kept up by whoever changes it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Q

from pricing.models import BillingPeriod, Segment, Subscription, SubscriptionChange
from pricing.periods import ensure_segments, first_period
from pricing.timeline import Timeline, changes_of, effective, fold

CLOSED = BillingPeriod.Status.CLOSED


@dataclass(slots=True)
class Locked:
    """A subscription's row (with version, plan and payer), and what its timeline and its periods are made of.

    `changes` are those that count, in the order in which they take effect; `periods` those that can still
    change, in order, each with its `segments` by id. `unsaved`: columns of the row that are to be written.
    """

    row: Subscription
    changes: list[SubscriptionChange] = field(default_factory=list)
    periods: list[BillingPeriod] = field(default_factory=list)
    segments: dict[int, list[Segment]] = field(default_factory=dict)
    unsaved: set[str] = field(default_factory=set)

    def timeline(self, until: datetime | None = None) -> Timeline:
        """The timeline that the changes make. `until`: leave out what takes effect later."""
        return fold(self.row, effective(self.changes, until))

    def add(self, changes: Iterable[SubscriptionChange]) -> None:
        """Take in changes that have been stored."""
        self.changes = sorted([*self.changes, *changes], key=lambda change: (change.at, change.pk))

    def period_at(self, instant: datetime) -> BillingPeriod | None:
        """The period that holds the instant."""
        return next((row for row in self.periods if row.starts_at <= instant < row.ends_at), None)

    def lacks_period(self, instant: datetime) -> bool:
        """Whether the subscription runs then, and has no period yet."""
        row = self.row
        is_running = row.starts_at <= instant and (row.ends_at is None or instant < row.ends_at)
        return is_running and self.period_at(instant) is None

    def lacking(self, now: datetime) -> list[datetime]:
        """The instants up to `now` at which a period is to be made: those at which one has ended, and now."""
        starts = {row.starts_at for row in self.periods}
        ended = [row.ends_at for row in self.periods if row.status == BillingPeriod.Status.OPEN]
        instants = [at for at in ended if at <= now and at not in starts]
        return [at for at in [*instants, now] if self.lacks_period(at)]


def lock_subscriptions(pks: Iterable[int], since: datetime) -> dict[int, Locked]:
    """Lock subscriptions, by (customer, id), and read what is stored of them; four statements.

    `since`: of closed periods, those that ended later are read too. The caller holds the payers' locks.
    """
    rows = Subscription.objects.filter(pk__in=list(pks)).select_related("version__plan", "billing_entity")
    ordered = rows.order_by("customer_id", "pk").select_for_update(of=("self",), no_key=True)
    locks = {row.pk: Locked(row) for row in ordered}
    for pk, changes in changes_of(list(locks)).items():
        locks[pk].changes = changes
    read_periods(locks.values(), since)
    return locks


def read_periods(locks: Iterable[Locked], since: datetime) -> None:
    """Read the periods of locked subscriptions and their segments, instead of what is known of them."""
    by_id = {each.row.pk: each for each in locks}
    for each in by_id.values():
        each.periods, each.segments = [], defaultdict(list)
    can_change = Q(ends_at__gt=since) | ~Q(status=CLOSED) | Q(fees_booked_at=None)
    periods = BillingPeriod.objects.filter(can_change, subscription_id__in=by_id) if by_id else ()
    owners: dict[int, Locked] = {}
    for period in sorted(periods, key=lambda row: (row.subscription_id, row.starts_at)):
        owner = owners[period.pk] = by_id[period.subscription_id]
        period.subscription = owner.row
        owner.periods.append(period)
    segments = Segment.objects.filter(period_id__in=owners) if owners else ()
    for segment in sorted(segments, key=lambda row: row.starts_at):
        owners[segment.period_id].segments[segment.period_id].append(segment)


def open_first_period(locked: Locked) -> None:
    """Make the first period of a subscription that has just been stored; two statements."""
    period, segments = first_period(locked.row, locked.timeline())
    locked.periods, locked.segments = [period], {period.pk: segments}


def make_periods(locks: Iterable[Locked], now: datetime, since: datetime) -> None:
    """Make the periods that are lacking up to `now`; no statement when none is."""
    found = list(locks)
    while lacking := [(each, at) for each in found for at in each.lacking(now)]:
        ensure_segments([(each.row.pk, at) for each, at in lacking])
        read_periods({each.row.pk: each for each, _ in lacking}.values(), since)


def save_rows(locks: Iterable[Locked]) -> None:
    """Write what has changed of the rows: a statement for each set of columns."""
    by_columns: defaultdict[tuple[str, ...], list[Subscription]] = defaultdict(list)
    for each in locks:
        if each.unsaved:
            by_columns[tuple(sorted(each.unsaved))].append(each.row)
            each.unsaved = set()
    for columns, rows in by_columns.items():
        if len(rows) == 1:
            rows[0].save(update_fields=columns)
        else:
            Subscription.objects.bulk_update(rows, columns)
