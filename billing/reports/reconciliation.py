"""What stands of reconciliation: its links, the open drift, and the drift of the days before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db.models import Count, F, Min, Sum
from django.db.models.functions import Abs

from billing.models import Discrepancy, LinkDrift, ReconciliationCheck, ReconciliationRun
from billing.reconciliation.link import Link
from billing.reconciliation.links import LINKS
from core.currencies import ISO_DECIMALS
from core.numbers import ZERO

DAYS: Final = 30
Status = Discrepancy.Status
STANDING: Final = (Status.OPEN, Status.INVESTIGATING)


@dataclass(frozen=True, slots=True)
class LinkState:
    """A link as it stands. `drift`: by unit; `checked`: rows that the last run looked at, None = never."""

    link: Link
    open: int
    drift: Mapping[str, Decimal]
    checked: int | None


@dataclass(frozen=True, slots=True)
class Open:
    """How many discrepancies of a type stand, and what they come to in one unit."""

    link: str
    type: str
    sentence: str
    unit: str
    count: int
    amount: Decimal
    oldest: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """The whole of reconciliation now. `as_of`: data of all customers is complete up to then."""

    links: Sequence[LinkState]
    open: Sequence[Open]
    last: ReconciliationRun | None
    running: ReconciliationRun | None
    as_of: datetime | None
    drift: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many discrepancies stand."""
        return sum(one.count for one in self.open)


def sentence_of(link: str, kind: str) -> str:
    """What a type of discrepancy means; its own word where no link knows it any more."""
    found = next((one for one in LINKS if one.name == link), None)
    return kind.replace("_", " ") if found is None else found.types.get(kind, kind.replace("_", " "))


def is_money(unit: str) -> bool:
    """Whether a unit of drift is a currency of ISO 4217."""
    return unit in ISO_DECIMALS


def standing() -> Standing:
    """What stands now; a fixed number of statements."""
    runs = ReconciliationRun.objects.filter(only_customer=None, status=ReconciliationRun.Status.DONE)
    last = runs.order_by("-pk").first()
    running = ReconciliationRun.objects.filter(finished_at=None).order_by("-pk").first()
    checked = {row.link: row.rows for row in ReconciliationCheck.objects.filter(run=last)} if last else {}
    found = open_discrepancies()
    drift: dict[str, Decimal] = {}
    for one in found:
        drift[one.unit] = drift.get(one.unit, ZERO) + one.amount
    links = [
        LinkState(
            link,
            sum(one.count for one in found if one.link == link.name),
            _by_unit([one for one in found if one.link == link.name]),
            checked.get(link.name),
        )
        for link in LINKS
    ]
    return Standing(links, found, last, running, last.as_of if last else None, drift)


def open_discrepancies() -> list[Open]:
    """What stands, by type and unit, the largest first."""
    rows = (
        Discrepancy.objects.filter(status__in=STANDING)
        .values("link", "type", "unit")
        .annotate(count=Count("pk"), total=Sum(Abs(F("amount"))), oldest=Min("first_found_at"))
        .order_by("-total")
    )
    return [
        Open(
            row["link"],
            row["type"],
            sentence_of(row["link"], row["type"]),
            row["unit"],
            row["count"],
            row["total"],
            row["oldest"],
        )
        for row in rows
    ]


def drift_days(today: date, unit: str) -> tuple[list[date], dict[str, list[Decimal | None]]]:
    """The last DAYS days, and the drift in `unit` of each link that drifted; None: no run that day."""
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    rows = LinkDrift.objects.filter(day__gte=days[0], day__lte=today)
    ran = set(rows.values_list("day", flat=True))
    found: dict[str, list[Decimal | None]] = {}
    for row in rows.filter(unit=unit, amount__gt=0).order_by("link", "day"):
        empty: list[Decimal | None] = [ZERO if day in ran else None for day in days]
        found.setdefault(row.link, empty)[days.index(row.day)] = row.amount
    return days, found


def drift_units(today: date) -> list[str]:
    """The units that anything drifted in lately, money first."""
    units = set(
        LinkDrift.objects.filter(day__gt=today - timedelta(days=DAYS), amount__gt=0).values_list(
            "unit", flat=True
        )
    )
    return sorted(units, key=lambda unit: (not is_money(unit), unit))


def _by_unit(found: Sequence[Open]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = {}
    for one in found:
        sums[one.unit] = sums.get(one.unit, ZERO) + one.amount
    return sums
