"""Payers by the margin of their running period, those below their floor first; from hourly buckets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from accounts.models import BillingEntity, Currency
from accounts.scoping import Viewer, visible
from billing.margin_floors.rule import Sums, is_below
from billing.margins import Margin
from billing.models import PayerMarginFloor
from billing.reports.comparing import Comparison, currency_units, make_comparison
from billing.store_margin_rules import running_sums
from pricing.catalog.plans import MarginFloor
from pricing.models import Segment

LOOK_BACK: Final = timedelta(days=30)
"""How far is looked back for a payer without a running period."""
ORDER: Final = ("below_floor", "below_cost", "above_floor", "no_floor")
LAST: Final = Decimal(10) ** 9


@dataclass(frozen=True, slots=True)
class PayerMargin:
    """A payer's running period. `floor`: its own (`is_own`) or its version's; `obstacle`: why it cannot be
    compared with others."""

    payer: BillingEntity
    unit: str | Currency
    starts_at: datetime | None
    ends_at: datetime | None
    margin: Margin
    floor: MarginFloor | None
    is_own: bool
    obstacle: str

    @property
    def name(self) -> str:
        """The payer's name."""
        return self.payer.name

    @property
    def customer(self) -> str:
        """The customer's name."""
        return self.payer.customer.name

    @property
    def state(self) -> str:
        """`below_floor`, `below_cost`, `above_floor` or `no_floor`."""
        margin = self.margin
        sums = Sums(margin.events, margin.costed, margin.revenue, margin.known_cost)
        if self.floor is not None and is_below(self.floor, sums):
            return "below_floor"
        if margin.known_cost > margin.revenue:
            return "below_cost"
        return "no_floor" if self.floor is None else "above_floor"

    @property
    def min_margin(self) -> Decimal | None:
        """The share that the floor asks."""
        return None if self.floor is None else self.floor.min_margin

    @property
    def action(self) -> str:
        """What the floor does: `notify` or `deny`."""
        return "" if self.floor is None else self.floor.action

    @property
    def order(self) -> tuple[int, Decimal, int]:
        """Those below their floor first, then those sold below cost; in each the lowest margin rate first."""
        rate = self.margin.margin_rate
        if rate is None:
            rate = LAST if self.margin.cost is None or not self.margin.known_cost else -LAST
        return ORDER.index(self.state), rate, self.payer.pk


def payer_margins(viewer: Viewer, now: datetime) -> tuple[list[PayerMargin], Comparison]:
    """The payers with usage or a fee in their running period, or the last 30 days; eight statements."""
    payers = visible(BillingEntity, viewer).select_related("customer").in_bulk()
    units = currency_units()
    comparison = make_comparison((payer.currency for payer in payers.values()), now)
    own, of_versions = own_floors(viewer), version_floors(viewer, now)
    rows = []
    for row in running_sums(now, now - LOOK_BACK):
        payer = payers.get(row.payer_id)
        if payer is None:
            continue
        rows.append(
            PayerMargin(
                payer=payer,
                unit=units.get(payer.currency, payer.currency),
                starts_at=row.starts_at,
                ends_at=row.ends_at,
                margin=row.margin,
                floor=own.get(payer.pk) or of_versions.get(payer.pk),
                is_own=payer.pk in own,
                obstacle=comparison.obstacle(row.margin, payer.currency),
            )
        )
    return sorted(rows, key=lambda row: row.order), comparison


def own_floors(viewer: Viewer) -> Mapping[int, MarginFloor]:
    """The floors that payers have of their own, by payer."""
    rows = visible(PayerMarginFloor, viewer)
    return {row.billing_entity_id: MarginFloor(row.min_margin, row.min_volume, row.action) for row in rows}


def version_floors(viewer: Viewer, now: datetime) -> Mapping[int, MarginFloor]:
    """The floors of the versions that payers are on, by payer."""
    running = visible(Segment, viewer).filter(
        starts_at__lte=now, ends_at__gt=now, version__content__has_key="margin_floor"
    )
    found = running.order_by("-starts_at").values_list("subscription__billing_entity_id", "version__content")
    return {payer_id: _floor(content["margin_floor"]) for payer_id, content in found}


def _floor(content: Mapping[str, str]) -> MarginFloor:
    return MarginFloor(Decimal(content["min_margin"]), Decimal(content["min_volume"]), content["action"])
