"""The process's copy of each customer's spend limits, kept at the customer's config version.

The charge path compares that version under the payer's lock, so a limit that was set, changed or ended
anywhere counts in the next charge of every process. Who has no limit costs a look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Count

from accounts.models import BillingEntity, Organization, Workspace
from billing.limits.windows import HUNDRED, Window, day_at, month_at, rolling_at, slot_at, slot_length
from billing.models import SpendLimit
from billing.store_limits import FAR, LONG_AGO, Calm, CounterRange
from core.ids import public_id
from core.numbers import CONTEXT, ZERO
from core.sql import open_transaction, still_holds
from pricing.cycles import Period

CUSTOMERS_MAX: Final = 100_000
COURSES_MAX: Final = 10_000
"""Of one customer."""
Caller = tuple[int | None, int | None, int]
"""Key, workspace and payer of a call."""
NEVER: Final = Decimal("Infinity")
Level = SpendLimit.Level
OWNERS: Final = {
    Level.API_KEY.value: ("key", "api_key_id"),
    Level.WORKSPACE.value: ("ws", "workspace_id"),
    Level.METER.value: ("mtr", "meter_id"),
    Level.ORGANIZATION.value: ("org", "organization_id"),
    Level.BILLING_ENTITY.value: ("be", "billing_entity_id"),
}
"""By level, how public ids of its owners begin, and the column that names them."""


class Counted(NamedTuple):
    """Where spend counts in a limit: the window's rows, and the start of its own row (or slot) in it."""

    range: CounterRange
    slot: datetime
    reason: Any
    """By what it is known to hold still: the billing period, or until when a slot lasts."""


@dataclass(slots=True, eq=False)
class Limit:
    """A spend limit as the charge path needs it. `level_id` is the public id of whose it is.

    `is_shared`: charges of several payers may count in it. `is_locked`: they do, so its own row is locked;
    what is one payer's, or of a customer that has only one, is guarded by that payer's lock. `steps`: the
    thresholds and the amounts at which they are reached. `meter_event`: the event that its meter hears.
    `is_day`, `has_months`: its windows are local days, or its billing periods are calendar months.
    """

    id: int
    customer_id: int
    level: str
    level_id: str
    owner_id: int
    meter_key: str | None
    is_hard: bool
    amount: Decimal
    currency: str
    window: str
    hours: int
    zone: ZoneInfo
    thresholds: tuple[int, ...]
    counter: str
    meter_event: str | None = None
    is_shared: bool = False
    is_locked: bool = False
    is_day: bool = False
    has_months: bool = False
    steps: tuple[tuple[Decimal, int], ...] = ()
    first_step: Decimal = NEVER
    _last: Counted | None = None

    def __post_init__(self) -> None:
        """Say once what every charge asks."""
        self.is_shared = self.level not in (Level.METER, Level.BILLING_ENTITY)
        self.is_day = self.window == SpendLimit.Window.DAY
        self.has_months = self.level == Level.ORGANIZATION
        self.steps = tuple(
            (CONTEXT.divide(CONTEXT.multiply(self.amount, Decimal(percent)), HUNDRED), percent)
            for percent in sorted(self.thresholds)
        )
        self.first_step = self.next_step(0)

    def counted_at(self, instant: datetime, now: datetime, period: Period | None) -> Counted:
        """Where spend at `instant` counts; in a rolling window, what is spent now, as seen at `now`.

        `period`: the billing period of who pays at `instant`, if there is one; an organization's is the
        calendar month.
        """
        last = self._last  # other threads ask too: one reading, one writing
        if self.hours:  # the window moves on with each slot
            if last is None or not last.slot <= now < last.reason:
                slot, length = slot_at(now, self.hours), slot_length(self.hours)
                range_ = CounterRange(self.customer_id, self.counter, *rolling_at(now, self.hours), slot=slot)
                last = self._last = Counted(range_, slot, slot + length)
            return last
        if period is not None and not self.is_day and not self.has_months:
            if last is None or last.reason is not period:
                last = self._last = self._whole(Window(*period), period)
            return last
        if last is None or last.reason is not None or not last.range.holds(instant):
            window = day_at(instant, self.zone) if self.is_day else month_at(instant, self.zone)
            last = self._last = self._whole(window, None)
        return last

    def window_at(self, instant: datetime, now: datetime, period: Period | None) -> Window:
        """The window in which spend at `instant` counts; a rolling one as seen at `now`, without end."""
        counted = self.counted_at(instant, now, period)
        return Window(counted.range.since, counted.range.until)

    def next_step(self, alerted: int) -> Decimal:
        """The amount at which the next threshold after `alerted` percent is reached."""
        return next((amount for amount, percent in self.steps if percent > alerted), NEVER)

    def _whole(self, window: Window, reason: object) -> Counted:
        return Counted(CounterRange(self.customer_id, self.counter, *window), window.starts_at, reason)


@dataclass(slots=True, eq=False)
class Course:
    """Where the calls of one key, workspace and payer count, as long as none of their windows moves on: of
    calls that occur from `since` until `until`, seen from `seen_since` until `seen_until`, under the payer's
    `period`.

    `calm`: what was known of all these windows when they were read, if that is of use; `needed`: how much
    they have to bear to be calm. `is_whole`: what a call costs counts in all of them, as a whole. `rolls`:
    one of them is a rolling one.
    """

    counted: tuple[tuple[Limit, CounterRange, datetime], ...]
    period: Period | None
    since: datetime
    until: datetime
    seen_since: datetime
    seen_until: datetime
    is_whole: bool
    rolls: bool
    calm: Calm | None = None
    needed: Decimal = ZERO

    @classmethod
    def of(cls, limits: Iterable[Limit], instant: datetime, now: datetime, period: Period | None) -> Course:
        """Where a call at `instant`, asked at `now`, counts in these limits, and until when."""
        counted = [(limit, *limit.counted_at(instant, now, period)[:2]) for limit in limits]
        whole = [range_ for limit, range_, _ in counted if not limit.hours]
        slots = [(slot, slot + slot_length(limit.hours)) for limit, _, slot in counted if limit.hours]
        return cls(
            tuple(counted),
            period,
            max((range_.since for range_ in whole), default=LONG_AGO),
            min((range_.until for range_ in whole), default=FAR),
            max((since for since, _ in slots), default=LONG_AGO),
            min((until for _, until in slots), default=FAR),
            all(limit.meter_key is None for limit, _, _ in counted),
            bool(slots),
        )

    def holds(self, instant: datetime, now: datetime, period: Period | None) -> bool:
        """Whether a call at `instant`, asked at `now`, counts there."""
        return (
            self.period is period
            and self.since <= instant < self.until
            and self.seen_since <= now < self.seen_until
        )


@dataclass(slots=True)
class LimitBook:
    """A customer's standing limits by whose they are, at one config version.

    `parents` (of organizations) and `homes` (a workspace's or payer's organization) are read only where an
    organization has a limit; workspaces are added as they are met. `read_in`: the transaction that read
    any of it.
    """

    customer_id: int
    version: int
    by_owner: dict[tuple[str, int], list[Limit]] = field(default_factory=dict)
    parents: dict[int, int | None] = field(default_factory=dict)
    payers: dict[int, int | None] = field(default_factory=dict)
    homes: dict[int, int | None] = field(default_factory=dict)
    read_in: object | None = field(default_factory=open_transaction, repr=False, compare=False)
    _courses: dict[Caller, Course] = field(default_factory=dict)

    def course(
        self, caller: Caller, currency: str, instant: datetime, now: datetime, period: Period | None
    ) -> Course:
        """Where a call at `instant` of a caller counts, kept for those that follow. The home of its workspace
        is known.

        `currency` is the payer's: limits in another one are passed over.
        """
        course = self._courses.get(caller)
        if course is None or not course.holds(instant, now, period):
            if len(self._courses) > COURSES_MAX:
                self._courses.clear()
            limits = [limit for limit in self.at(*caller) if limit.currency == currency]
            course = self._courses[caller] = Course.of(limits, instant, now, period)
        return course

    def knows(self, workspace_id: int | None) -> bool:
        """Whether a workspace's organization has been read, or does not matter."""
        return workspace_id is None or not self.parents or workspace_id in self.homes

    def at(self, api_key_id: int | None, workspace_id: int | None, payer_id: int) -> Iterable[Limit]:
        """The limits of a call, in the order in which they refuse."""
        owners: list[tuple[str, int | None]] = [
            (Level.API_KEY, api_key_id),
            (Level.WORKSPACE, workspace_id),
            (Level.METER, payer_id),
        ]
        organization = self.payers.get(payer_id) if workspace_id is None else self.homes.get(workspace_id)
        seen: set[int] = set()
        while organization is not None and organization not in seen:
            seen.add(organization)
            owners.append((Level.ORGANIZATION, organization))
            organization = self.parents.get(organization)
        owners.append((Level.BILLING_ENTITY, payer_id))
        for level, owner_id in owners:
            if owner_id is not None:
                yield from self.by_owner.get((level, owner_id), ())


_books: dict[int, LimitBook] = {}


def limit_books(versions: Mapping[int, int]) -> dict[int, LimitBook]:
    """The books of customers, by id, at these config versions; those without a limit are left out.

    No statement when all are known; else at most four.
    """
    found, stale = {}, []
    for customer_id, version in versions.items():
        book = _books.get(customer_id)
        if book is None or book.version != version or not still_holds(book.read_in):
            stale.append(customer_id)
        elif book.by_owner:
            found[customer_id] = book
    if stale:
        loaded = _load({customer_id: versions[customer_id] for customer_id in stale})
        found |= {customer_id: book for customer_id, book in loaded.items() if book.by_owner}
    return found


def find_homes(book: LimitBook, workspace_ids: Iterable[int]) -> LimitBook:
    """The book with the organizations of workspaces that it has not met; one statement.

    In a transaction that did not read the book, a copy: others use it too.
    """
    rows = Workspace.objects.filter(customer_id=book.customer_id, pk__in=workspace_ids)
    homes = dict.fromkeys(workspace_ids) | dict(rows.values_list("pk", "organization_id"))
    here = open_transaction()
    if here is not None and book.read_in is not here:
        return replace(book, homes=book.homes | homes, read_in=here, _courses={})
    book.homes.update(homes)
    return book


def _load(versions: Mapping[int, int]) -> dict[int, LimitBook]:
    if len(_books) > CUSTOMERS_MAX:
        _books.clear()
    books = {customer_id: LimitBook(customer_id, version) for customer_id, version in versions.items()}
    rows = SpendLimit.objects.filter(customer_id__in=list(versions), ended_at=None)
    has_tree: set[int] = set()
    shared: list[Limit] = []
    for row in rows.select_related("meter").order_by("pk"):
        limit = limit_of(row)
        books[row.customer_id].by_owner.setdefault((limit.level, limit.owner_id), []).append(limit)
        if limit.is_shared:
            shared.append(limit)
        if limit.level == Level.ORGANIZATION:
            has_tree.add(row.customer_id)
    if has_tree:
        for pk, customer_id, parent_id in Organization.objects.filter(customer_id__in=has_tree).values_list(
            "pk", "customer_id", "parent_id"
        ):
            books[customer_id].parents[pk] = parent_id
        for pk, customer_id, organization_id in BillingEntity.objects.filter(
            customer_id__in=has_tree
        ).values_list("pk", "customer_id", "organization_id"):
            books[customer_id].payers[pk] = organization_id
    _lock_those_of_several(shared)
    _books.update(books)
    return books


def _lock_those_of_several(limits: Iterable[Limit]) -> None:
    """Let the limits of customers with more than one payer be locked by those who count in them.

    A second payer that comes while the only one charges meets it in `billing.ledger.open_missing`.
    """
    customers = {limit.customer_id for limit in limits}
    if not customers:
        return
    rows = BillingEntity.objects.filter(customer_id__in=customers).values("customer_id")
    numbers = dict(rows.annotate(number=Count("pk")).values_list("customer_id", "number"))
    for limit in limits:
        limit.is_locked = numbers.get(limit.customer_id, 0) > 1


def limit_of(row: SpendLimit) -> Limit:
    """A stored limit (with its meter) as the charge path needs it."""
    prefix, column = OWNERS[row.level]
    owner_id = row.billing_entity_id if row.level == Level.METER else getattr(row, column)
    assert owner_id is not None
    return Limit(
        id=row.pk,
        customer_id=row.customer_id,
        level=row.level,
        level_id=public_id(prefix, getattr(row, column)),
        owner_id=owner_id,
        meter_key=None if row.meter is None else row.meter.key,
        is_hard=row.kind == SpendLimit.Kind.HARD,
        amount=row.amount,
        currency=row.currency,
        window=row.window,
        hours=row.hours or 0,
        zone=ZoneInfo(row.time_zone),
        thresholds=tuple(row.thresholds),
        counter=row.counter,
        meter_event=None if row.meter is None else row.meter.event,
    )
