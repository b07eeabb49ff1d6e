"""What a price change means to a customer: its own periods under the price of now and the one to come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from accounts.models import BillingEntity
from accounts.scoping import Viewer, visible
from billing.simulations.sources import reversed_events
from core.numbers import round_significant
from metering.models import Meter
from pricing.comparing import Comparison, compare_versions
from pricing.models import PlanVersion, RolloutMember
from pricing.rollouts import UNDER_WAY, WAITING, overages_between
from pricing.simulation import Candidate, compile_versions
from pricing.simulation.bills import MINIMUM_SPEND
from pricing.simulation.coming import Coming
from pricing.simulation.upcoming import LinePair, Statement, UpcomingSubscription, upcoming_of


@dataclass(frozen=True, slots=True)
class ComingPrice:
    """One subscription's price to come. `member` None: nothing is announced, the version is hypothetical.

    `labels` name the lines by key, with their units; `overages` are (meter key, name, old ceiling).
    """

    payer: BillingEntity
    upcoming: UpcomingSubscription
    member: RolloutMember | None
    labels: Mapping[str, tuple[str, str]]
    comparison: Comparison
    overages: Sequence[tuple[str, str, Decimal | None]]

    @property
    def statements(self) -> list[tuple[str, Statement]]:
        """The last periods, the oldest first, then the present one so far and as it will probably end."""
        last = [("past", statement) for statement in reversed(self.upcoming.last)]
        return [*last, ("so_far", self.upcoming.so_far), ("projection", self.upcoming.projection)]

    @property
    def has_ceiling(self) -> bool:
        """Whether something is refused beyond an old ceiling until it is accepted."""
        return any(ceiling is not None for _, _, ceiling in self.overages)

    def lines_of(self, statement: Statement) -> list[tuple[str, str, Decimal | None, LinePair]]:
        """The lines as (name, unit, quantity, both amounts); quantities whole or to 4 digits."""
        return [(*self.labels.get(line.key, (line.key, "")), _used(line), line) for line in statement.lines]


def waiting_changes(
    viewer: Viewer, payers: Iterable[BillingEntity], *, is_told: bool
) -> dict[int, RolloutMember]:
    """Subscription id -> its announced price change. `is_told`: only what the customer has been told of."""
    rows = visible(RolloutMember, viewer).filter(
        WAITING, billing_entity__in=list(payers), rollout__status__in=UNDER_WAY
    )
    if is_told:
        rows = rows.exclude(notified_at=None)
    rows = rows.select_related("rollout", "from_version__plan", "to_version__plan", "subscription__version")
    return {
        row.subscription_id: row
        for row in rows.order_by("effective_at")
        if row.subscription.version_id == row.from_version_id
    }


def coming_prices(
    viewer: Viewer,
    payers: Sequence[BillingEntity],
    now: datetime,
    *,
    is_told: bool = True,
    hypothetical: PlanVersion | None = None,
) -> list[ComingPrice]:
    """The prices to come of payers: those announced, or `hypothetical` in the place of what they are on.

    Payers without one are left out; each that has one takes at most twelve statements.
    """
    members = {} if hypothetical else waiting_changes(viewer, payers, is_told=is_told)
    candidate = None if hypothetical is None else compile_versions([hypothetical])[0]
    concerned = {row.billing_entity_id for row in members.values()}
    found = []
    for payer in payers:
        if candidate is None and payer.pk not in concerned:
            continue
        if candidate is not None and candidate.terms.currency != payer.currency:
            continue
        found += [
            _coming(payer, upcoming, members.get(upcoming.id))
            for upcoming in _upcoming(payer, viewer, now, members, candidate)
            if upcoming.upcoming is not None
        ]
    return found


def _upcoming(
    payer: BillingEntity,
    viewer: Viewer,
    now: datetime,
    members: Mapping[int, RolloutMember],
    candidate: Candidate | None,
) -> list[UpcomingSubscription]:
    def coming(subscription_ids: Sequence[int], at: datetime) -> dict[int, Coming]:
        rows = {pk: members[pk] for pk in subscription_ids if pk in members}
        return {pk: Coming(row.to_version, max(row.effective_at, at)) for pk, row in rows.items()}

    return upcoming_of(payer, viewer, now, hypothetical=candidate, coming=coming, left_out=reversed_events)


def _coming(
    payer: BillingEntity, upcoming: UpcomingSubscription, member: RolloutMember | None
) -> ComingPrice:
    assert upcoming.upcoming is not None
    sides = (upcoming.current, upcoming.upcoming)
    keys = {part.meter.key for side in sides for part in side.components}
    meters = {meter.key: meter for meter in Meter.objects.filter(key__in=keys)}
    return ComingPrice(
        payer=payer,
        upcoming=upcoming,
        member=member,
        labels=_labels(sides, meters),
        comparison=compare_versions(upcoming.current.terms, upcoming.upcoming.terms),
        overages=_overages(member, meters),
    )


def _labels(sides: Iterable[Candidate], meters: Mapping[str, Meter]) -> dict[str, tuple[str, str]]:
    labels = {MINIMUM_SPEND: ("Up to the minimum spend", "")}
    for side in sides:
        for fee in side.terms.base_fees:
            labels[fee.key] = (f"{fee.key.capitalize()} fee", "")
        for part in side.components:
            meter = meters.get(part.meter.key)
            labels[part.key] = (meter.name, meter.unit) if meter else (part.key, "")
    return labels


def _overages(
    member: RolloutMember | None, meters: Mapping[str, Meter]
) -> list[tuple[str, str, Decimal | None]]:
    if member is None:
        return []
    return [
        (one.meter, meters[one.meter].name if one.meter in meters else one.meter, one.ceiling)
        for one in overages_between(member.from_version, member.to_version)
    ]


def _used(line: LinePair) -> Decimal | None:
    """What was used; a projection has more decimals than it knows."""
    quantity = next((side.quantity for side in (line.upcoming, line.current) if side is not None), None)
    return None if not quantity else round_significant(quantity, 4)
