"""Before the lock: the limits and quotas that the items of a batch count in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from billing.charging.calm import Quiet
from billing.charging.entitling import Need, plan_needs
from billing.charging.limiting import Limiting, names_amount
from billing.charging.planning import Planned
from billing.charging.requests import Mode
from billing.charging.tallies import Bound, Tally
from billing.ledger import PayerId
from billing.limits import Limit, LimitBook, find_homes, limit_books
from billing.limits.catalogue import NEVER, Course
from billing.limits.windows import slot_at
from billing.store_limits import CounterRange, Reader


def plan_limits(
    items: Sequence[Planned], versions: Mapping[int, int], now: datetime, reader: Reader
) -> Limiting:
    """The limits that the items of a batch count in, at these config versions of their customers."""
    limiting = Limiting(now, versions, plan_needs(items))
    books = read_limits(items, versions)
    if not books and not limiting.needs.by_item:
        return limiting
    courses = _courses(items, books, now)
    limiting.quiets = _quiets(items, courses, limiting, reader)
    for item in items:
        payer, course = item.attribution.payer, courses.get(item.index)
        needs = limiting.needs.by_item.get(item.index, ())
        if payer is None or not (course or needs):
            continue
        place = (payer.customer_id, payer.id)
        quiet = limiting.quiets.get(place)
        if quiet is not None:
            limiting.quiet[item.index] = (quiet, course)
            continue
        for need in needs:
            if need.range is not None:
                _tally_need(limiting.tallies, need, need.range)
        if course is not None:
            limiting.courses[course] = place
            limiting.bounds[item.index] = _bounds(limiting.tallies, course, item, now)
    limiting.is_empty = not (limiting.bounds or limiting.needs.by_item or limiting.quiet)
    return limiting


def _courses(items: Sequence[Planned], books: Mapping[int, LimitBook], now: datetime) -> dict[int, Course]:
    """Where the items' spend counts, by their places; of those that cost something, and have limits."""
    courses = {}
    for item in items if books else ():
        found = item.attribution
        if found.payer is None or found.problem is not None:
            continue
        if not item.lines and item.stored is None and item.request.hold is None:
            continue
        book = books.get(found.payer.customer_id)
        if book is not None:
            caller = (found.api_key_id, found.workspace_id, found.payer.id)
            period = item.segments[0].period if item.segments else None
            instant = item.request.event.occurred_at
            course = book.course(caller, found.payer.currency, instant, now, period)
            if course.counted:
                courses[item.index] = course
    return courses


def _quiets(
    items: Sequence[Planned], courses: Mapping[int, Course], limiting: Limiting, reader: Reader
) -> dict[PayerId, Quiet]:
    """The payers of whose limits and quotas enough is known; a customer's all together, or none of them."""
    quiets: dict[PayerId, Quiet] = {}
    restless: set[int] = set()
    for item in items:
        payer = item.attribution.payer
        if payer is None or payer.customer_id in restless:
            continue
        quiet = quiets.get((payer.customer_id, payer.id))
        if quiet is None:
            version = limiting.versions.get(payer.customer_id)
            quiet = quiets[payer.customer_id, payer.id] = Quiet(reader, version, quiets.values())
        if _is_exact(item) or not (
            quiet.knows(courses.get(item.index), is_asked=item.request.mode is not Mode.REPORT)
            and quiet.knows_quotas(limiting.needs.by_item.get(item.index, ()))
        ):
            restless.add(payer.customer_id)
    return {place: quiet for place, quiet in quiets.items() if place[0] not in restless}


def _is_exact(item: Planned) -> bool:
    """Whether what limits have used is asked to the last unit, or something is taken back of it: of holds and
    captures, and where prices are worked out anew."""
    if item.request.hold is not None or item.request.authorization is not None:
        return True
    return item.stored is not None or bool(item.late_segments)


def _tally_need(tallies: dict[str, Tally], need: Need, range_: CounterRange) -> None:
    quota = NEVER if need.quota is None else need.quota
    tally = need.tally = tallies.get(range_.key)
    if tally is None:
        need.tally = tallies[range_.key] = Tally(range_, (range_.customer_id, range_.payer_id), quota=quota)
        return
    tally.quota = min(tally.quota, quota)
    if range_.is_resumed:
        tally.range = range_


def read_limits(items: Iterable[Planned], versions: Mapping[int, int]) -> dict[int, LimitBook]:
    """The books of the items' customers at these versions, with the organizations of their workspaces.

    They are kept where they are first read outside of a transaction: before that of the charge.
    """
    books = limit_books(versions)
    if books:
        _find_homes(items, books)
    return books


def _find_homes(items: Iterable[Planned], books: dict[int, LimitBook]) -> None:
    unknown: dict[int, set[int]] = {}
    for item in items:
        payer, workspace_id = item.attribution.payer, item.attribution.workspace_id
        book = books.get(payer.customer_id) if payer is not None else None
        if book is not None and workspace_id is not None and not book.knows(workspace_id):
            unknown.setdefault(book.customer_id, set()).add(workspace_id)
    for customer_id, workspace_ids in unknown.items():
        books[customer_id] = find_homes(books[customer_id], workspace_ids)


def _bounds(tallies: dict[str, Tally], course: Course, item: Planned, now: datetime) -> list[Bound]:
    payer = item.attribution.payer
    assert payer is not None
    bounds = []
    is_report = item.request.mode is Mode.REPORT
    for limit, counted, slot in course.counted:
        if limit.meter_key is not None and not _may_be_of(limit, item):
            continue
        if is_report and limit.hours:
            slot = slot_at(_rolls_at(item, now), limit.hours)
            if slot < counted.since:
                continue  # it had left the window before it was told
        tally = tallies.get(counted.key)
        if tally is None:
            tally = tallies[counted.key] = Tally(counted, (payer.customer_id, payer.id), limit)
        bounds.append(Bound(limit, tally, slot))
    return bounds


def _rolls_at(item: Planned, now: datetime) -> datetime:
    """When what is not asked counts in a rolling window: when it happened; a stored call as it did then."""
    instant, stored = item.request.event.occurred_at, item.stored
    if stored is None:
        return min(instant, now)
    return stored.recorded_at if stored.was_asked else min(instant, stored.recorded_at)


def _may_be_of(limit: Limit, item: Planned) -> bool:
    """Whether an item's charge may have a line of the limit's meter: of a stored one prices may have changed,
    and of a hold that names its amount anything may come of the event, or of none."""
    if names_amount(item):
        return item.request.event.event in ("", limit.meter_event)
    return item.stored is not None or any(line.meter.key == limit.meter_key for line in item.lines)
