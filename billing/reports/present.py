"""What is going on now: what is held, what was refused today, whose margin lies below its floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db.models import Count

from accounts.models import BillingEntity
from accounts.scoping import Viewer, visible
from billing.margin_floors.rule import Sums, is_below
from billing.models import Denial
from billing.reports.holds import held_sums, live_holds
from billing.reports.margins import own_floors, version_floors
from billing.store_margins import running_periods
from core.numbers import CONTEXT

SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class BelowFloor:
    """A payer whose running period keeps less than its floor asks; `margin_rate` of the known cost."""

    payer: BillingEntity
    margin_rate: Decimal | None
    min_margin: Decimal


@dataclass(frozen=True, slots=True)
class Present:
    """`held`: (currency, number, amount) of open holds. `denied`: (reason, number) since the UTC day began,
    the most frequent first. `below`: the first of `below_count` payers below their floor, of `watched`."""

    held: Sequence[tuple[str, int, Decimal]]
    denied: Sequence[tuple[str, int]]
    below: Sequence[BelowFloor]
    below_count: int
    watched: int

    @property
    def holds(self) -> int:
        """How many holds and leases are open."""
        return sum(number for _, number, _ in self.held)

    @property
    def denials(self) -> int:
        """How many calls were refused today."""
        return sum(number for _, number in self.denied)


def at_present(viewer: Viewer, now: datetime) -> Present:
    """What is going on; six statements, however much there is."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    refused = visible(Denial, viewer).filter(denied_at__gte=midnight)
    by_reason = refused.values_list("reason").annotate(number=Count("pk")).order_by("-number", "reason")
    below, watched = below_floors(viewer, now)
    return Present(held_sums(live_holds(viewer, now)), list(by_reason), below[:SHOWN], len(below), watched)


def below_floors(viewer: Viewer, now: datetime) -> tuple[list[BelowFloor], int]:
    """The payers whose running period is below its floor, the lowest margin first, and how many have a floor.

    From the periods that are kept for floors; four statements.
    """
    own = own_floors(viewer)
    floors = {**version_floors(viewer, now), **own}
    rows = running_periods(floors, now)
    sums = {row.key.payer_id: Sums(row.events, row.costed, row.revenue, row.cost) for row in rows}
    found = {pk: each for pk, each in sums.items() if is_below(floors[pk], each)}
    payers = visible(BillingEntity, viewer).select_related("customer").in_bulk(found)
    below = [BelowFloor(payer, _rate(found[pk]), floors[pk].min_margin) for pk, payer in payers.items()]
    lowest = Decimal("-Infinity")
    below.sort(key=lambda one: (lowest if one.margin_rate is None else one.margin_rate, one.payer.pk))
    return below, len(floors)


def _rate(sums: Sums) -> Decimal | None:
    if sums.revenue <= 0:
        return None
    return CONTEXT.divide(CONTEXT.subtract(sums.revenue, sums.cost), sums.revenue)
