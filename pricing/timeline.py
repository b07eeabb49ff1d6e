"""What a subscription was, is and will be: its changes folded, in the order in which they take effect.

Nothing here writes. A subscription without changes is one span on its version. Scheduled changes count
from their instant on, so the charge path obeys them at that instant, whatever the workers do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pricing.base_fees import Life, trial_end
from pricing.cycles import Anchor, Cycle, Interval, Period
from pricing.models import PlanVersion, Subscription, SubscriptionChange
from pricing.terms import terms_of

Action, Status = SubscriptionChange.Action, SubscriptionChange.Status


@dataclass(frozen=True, slots=True)
class Span:
    """A part `[starts_at, ends_at)` of a subscription's life in which nothing changes; no end = open."""

    starts_at: datetime
    ends_at: datetime | None
    version: PlanVersion
    quantities: Mapping[str, Decimal]
    anchor_at: datetime
    is_paused: bool

    @property
    def rhythm(self) -> tuple[Interval, Anchor]:
        """What the version says of its cycle."""
        terms = terms_of(self.version)
        return terms.interval, terms.anchor

    def within(self, period: Period) -> Period | None:
        """The part of the period that falls into this span."""
        end = period.end if self.ends_at is None else min(self.ends_at, period.end)
        start = max(self.starts_at, period.start)
        return Period(start, end) if start < end else None


@dataclass(frozen=True, slots=True)
class Run:
    """A part of a period in which usage is rated on one version: what a segment is made of."""

    version_id: int
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Timeline:
    """The spans of one subscription, without gap, and its payer's zone. At least one span."""

    spans: tuple[Span, ...]
    zone: ZoneInfo

    def at(self, instant: datetime) -> Span:
        """The span that holds the instant; before the start the first one, after the end the last."""
        found = self.spans[0]
        for span in self.spans:
            if span.starts_at <= instant:
                found = span
        return found

    def cycle_at(self, instant: datetime) -> Cycle:
        """The cycle that billing periods follow at the instant."""
        return self.cycle_of(self.at(instant))

    def cycle_of(self, span: Span) -> Cycle:
        """The cycle that billing periods follow in one of the spans."""
        interval, anchor = span.rhythm
        return Cycle.anchored(interval, anchor, span.anchor_at, self.zone)

    def trial_ends_at(self) -> datetime:
        """When the trial ends, which the version that the subscription started on gives it."""
        first = self.spans[0]
        life = Life(first.starts_at, first.ends_at, self.cycle_of(first), first.quantities)
        return trial_end(terms_of(first.version), life)

    def restarts(self) -> list[datetime]:
        """The instants at which a new cycle starts: a period ends there and another one begins."""
        pairs = zip(self.spans, self.spans[1:], strict=False)
        return [
            after.starts_at
            for before, after in pairs
            if (before.rhythm, before.anchor_at) != (after.rhythm, after.anchor_at)
        ]

    def runs(self, period: Period) -> list[Run]:
        """The runs of a period: spans on one version that follow each other are one, pauses have none."""
        runs: list[Run] = []
        for span in self.spans:
            part = span.within(period)
            if part is None or span.is_paused:
                continue
            last = runs[-1] if runs else None
            if last is not None and (last.version_id, last.ends_at) == (span.version.pk, part.start):
                runs[-1] = Run(last.version_id, last.starts_at, part.end)
            else:
                runs.append(Run(span.version.pk, part.start, part.end))
        return runs


def timelines_of(
    subscriptions: Iterable[Subscription], *, until: datetime | None = None
) -> dict[int, Timeline]:
    """The timelines of subscriptions (with version and payer read), by id; one statement.

    `until`: leave out what takes effect later.
    """
    rows = list(subscriptions)
    changes = changes_of([row.pk for row in rows])
    return {row.pk: fold(row, effective(changes.get(row.pk, ()), until)) for row in rows}


def changes_of(subscription_ids: Sequence[int]) -> dict[int, list[SubscriptionChange]]:
    """The changes of subscriptions that count, in the order in which they take effect."""
    found: dict[int, list[SubscriptionChange]] = {}
    rows = SubscriptionChange.objects.filter(subscription_id__in=subscription_ids)
    rows = rows.exclude(status=Status.WITHDRAWN).select_related("version").order_by("at", "pk")
    for change in rows if subscription_ids else ():
        found.setdefault(change.subscription_id, []).append(change)
    return found


def fold(subscription: Subscription, changes: Sequence[SubscriptionChange]) -> Timeline:
    """The timeline of one subscription (with version and payer read) from its changes, in order."""
    start: Any = next((change for change in changes if change.action == Action.START), subscription)
    begins, ends = subscription.starts_at, subscription.ends_at
    span = Span(begins, None, start.version, _decimals(start.quantities), start.anchor_at, False)
    spans = [span]
    for change in changes:
        if change.action in (Action.START, Action.CANCEL) or (ends is not None and change.at >= ends):
            continue
        span = _changed(spans[-1], change, max(change.at, begins))
        spans = _followed_by(spans, span)
    if ends is not None:
        spans[-1] = _ended(spans[-1], ends)
    return Timeline(tuple(spans), ZoneInfo(subscription.billing_entity.time_zone))


def running(
    subscription: Subscription, changes: Sequence[SubscriptionChange]
) -> list[tuple[datetime, datetime | None]]:
    """When a subscription's usage is rated: `[start, end)` less its pauses. Reads no version."""
    parts: list[tuple[datetime, datetime | None]] = []
    begins, ends = subscription.starts_at, subscription.ends_at
    open_since: datetime | None = begins
    for change in changes:
        at = max(change.at, begins)
        if ends is not None and at >= ends:
            break
        if change.action == Action.PAUSE and open_since is not None:
            parts += [(open_since, at)] if open_since < at else []
            open_since = None
        elif change.action == Action.RESUME and open_since is None:
            open_since = at
    return parts if open_since is None else [*parts, (open_since, ends)]


def effective(changes: Sequence[SubscriptionChange], until: datetime | None) -> Sequence[SubscriptionChange]:
    """Those of the changes that have taken effect by `until`; None: all."""
    if until is None:
        return changes
    return [change for change in changes if change.at <= until or change.action == Action.START]


def _changed(before: Span, change: SubscriptionChange, at: datetime) -> Span:
    version = change.version or before.version
    quantities = {**before.quantities, **_decimals(change.quantities)}
    paused = {Action.PAUSE.value: True, Action.RESUME.value: False}
    is_paused = paused.get(change.action, before.is_paused)
    after = Span(at, None, version, quantities, before.anchor_at, is_paused)
    if after.rhythm != before.rhythm:
        return Span(at, None, version, quantities, at, is_paused)
    return after


def _followed_by(spans: list[Span], span: Span) -> list[Span]:
    """The spans with the last one ended where the new one starts; of two that start at once, one is left."""
    last = spans[-1]
    if last.starts_at == span.starts_at:
        return [*spans[:-1], span]
    return [*spans[:-1], _ended(last, span.starts_at), span]


def _ended(span: Span, at: datetime) -> Span:
    return Span(span.starts_at, at, span.version, span.quantities, span.anchor_at, span.is_paused)


def _decimals(quantities: Mapping[str, str]) -> dict[str, Decimal]:
    return {key: Decimal(quantity) for key, quantity in quantities.items()}
