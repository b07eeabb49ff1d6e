"""Usage ceilings as the charge path sees them: by segment and meter, read with a payer's prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Exists, OuterRef, Q, QuerySet, Value

from core.ids import public_id
from core.numbers import CONTEXT, ZERO
from pricing.models import Segment, Subscription, UsageCeiling


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that a subscription may use of a meter in a period.

    `used_before` of it came before the segment. Of a component with groups, it bounds each group.
    """

    subscription: str
    limit: Decimal
    used_before: Decimal

    @property
    def left(self) -> Decimal:
        """What the segment itself may use."""
        return max(ZERO, CONTEXT.subtract(self.limit, self.used_before))


def with_ceilings(subscriptions: QuerySet[Subscription]) -> QuerySet[Subscription]:
    """The subscriptions with `has_ceiling`, so that who has none costs no statement."""
    standing = UsageCeiling.objects.filter(subscription_id=OuterRef("pk"), lifted_at=None)
    return subscriptions.annotate(has_ceiling=Exists(standing))


def ceilings_in(
    subscriptions: Sequence[Subscription], segments: Mapping[int, Sequence[Segment]]
) -> dict[int, dict[int, Ceiling]]:
    """The standing ceilings by segment id and meter id; no statement when there is none.

    `subscriptions` come from `with_ceilings`, `segments` are theirs. A ceiling holds in the segments on its
    version, in any phase; what its period had used before the move counts in that period.
    """
    bounded = [row.pk for row in subscriptions if getattr(row, "has_ceiling", False)]
    if not bounded:
        return {}
    found: dict[int, dict[int, Ceiling]] = {}
    for row in _standing(bounded):
        for segment in segments.get(row.subscription_id, ()):
            if segment.version_id not in (row.version_id, *row.phases):  # type: ignore[attr-defined]
                continue
            used = row.used_before if segment.period_id == row.period_id else ZERO
            ceiling = Ceiling(public_id("sub", row.subscription_id), row.limit, used)
            found.setdefault(segment.pk, {})[row.meter_id] = ceiling
    return found


def _standing(subscription_ids: Sequence[int]) -> QuerySet[UsageCeiling]:
    """The standing ceilings, with the `phases` of their version's ramp."""
    is_phase = Q(version__derived__phase__isnull=False)
    rows = UsageCeiling.objects.filter(subscription_id__in=subscription_ids, lifted_at=None)
    return rows.annotate(phases=ArrayAgg("version__derived__pk", filter=is_phase, default=Value([])))
