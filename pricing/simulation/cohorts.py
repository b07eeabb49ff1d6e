"""Which payers are simulated: all, those of some customers, some payers, those on a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Exists, OuterRef, Q, QuerySet

from accounts.models import BillingEntity
from accounts.scoping import Viewer, visible
from pricing.cycles import Period
from pricing.models import Subscription
from pricing.simulation.reading import PayerRow


@dataclass(frozen=True, slots=True)
class Cohort:
    """Payers by id: `customer_ids` and `payer_ids` together, both empty = all; on `plan_id`, if given.

    Of `customer_ids` and of all, those who had a subscription in the window; payers who are named, always.
    """

    customer_ids: tuple[int, ...] = ()
    payer_ids: tuple[int, ...] = ()
    plan_id: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "customer_ids": list(self.customer_ids),
            "payer_ids": list(self.payer_ids),
            "plan_id": self.plan_id,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Cohort:
        """The reverse of `as_dict`."""
        return cls(tuple(stored["customer_ids"]), tuple(stored["payer_ids"]), stored["plan_id"])


def payers_of(cohort: Cohort, window: Period, viewer: Viewer) -> QuerySet[BillingEntity]:
    """The payers of a cohort, by id."""
    running = Subscription.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=window.start),
        billing_entity=OuterRef("pk"),
        starts_at__lt=window.end,
    )
    payers = visible(BillingEntity, viewer).order_by("pk")
    if cohort.plan_id is not None:
        running = running.filter(
            Q(version__plan_id=cohort.plan_id) | Q(segments__version__plan_id=cohort.plan_id)
        )
    if not cohort.customer_ids and not cohort.payer_ids:
        return payers.filter(Exists(running))
    named = Q(pk__in=cohort.payer_ids)
    theirs = Q(customer_id__in=cohort.customer_ids)
    if cohort.plan_id is not None:
        return payers.filter(named | theirs).filter(Exists(running))
    return payers.filter(named | (theirs & Exists(running)))


def payer_rows(payers: QuerySet[BillingEntity], after: int, at_once: int) -> list[PayerRow]:
    """The next payers after the one with id `after`, `at_once` at most."""
    columns = ("pk", "customer_id", "currency", "time_zone")
    rows = payers.filter(pk__gt=after).values_list(*columns)[:at_once]
    return [PayerRow(pk, customer_id, currency, ZoneInfo(zone)) for pk, customer_id, currency, zone in rows]


def in_chunks(payers: QuerySet[BillingEntity], at_once: int) -> Iterator[Sequence[PayerRow]]:
    """All payers, `at_once` at a time: memory does not grow with their number."""
    after = 0
    while rows := payer_rows(payers, after, at_once):
        yield rows
        after = rows[-1].id
