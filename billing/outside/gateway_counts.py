"""Loading what a gateway counted per key and hour. A newer count of the same hour supersedes the older."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q

from accounts.models import ApiKey
from billing.imports.rows import Row
from billing.models import GatewayCount
from core import clock
from core.errors import InvalidRequest, TollgateError
from core.ids import public_id, row_id
from core.instants import parse_instant
from core.texts import clean_text
from metering.event_values import normalise_api_key

HOUR: Final = timedelta(hours=1)
SOURCE: Final = "gateway"
CALLS_MAX: Final = 10**15
SOURCE_MAX: Final = 100
FIELDS: Final = ("api_key", "hour", "calls", "event")
Place = tuple[int, datetime, str]
"""(key, hour, event)"""


@dataclass(frozen=True, slots=True)
class CountRow:
    """One count as it was sent; `number` is its place in the file or list, from 0."""

    number: int
    api_key: str
    hour: datetime
    calls: int
    event: str = ""


@dataclass(frozen=True, slots=True)
class RowProblem:
    """A row that was not taken, and why."""

    number: int
    error: TollgateError


@dataclass(slots=True)
class LoadReport:
    """What came of a load: rows that are new, stand already, or took the place of an older one."""

    added: int = 0
    unchanged: int = 0
    superseded: int = 0
    problems: list[RowProblem] = field(default_factory=list)

    def add(self, other: LoadReport) -> None:
        """Count another load with this one."""
        self.added += other.added
        self.unchanged += other.unchanged
        self.superseded += other.superseded
        self.problems += other.problems


def read_count(values: Mapping[str, Any], number: int) -> CountRow:
    """A count from its fields; raises InvalidRequest. `hour` must be the start of one, in UTC."""
    unknown = sorted(str(name) for name in values.keys() - set(FIELDS))
    if unknown:
        raise InvalidRequest("unknown_field", f"There is no field {unknown[0][:80]!r} here.", unknown[0][:80])
    hour = parse_instant(values.get("hour"), "hour")
    if hour != hour.replace(minute=0, second=0, microsecond=0):
        raise InvalidRequest("invalid_hour", "hour must be the start of an hour, in UTC.", "hour")
    event = values.get("event")
    return CountRow(
        number,
        normalise_api_key(values.get("api_key")),
        hour,
        _calls(values.get("calls")),
        clean_text(event, "event") if event else "",
    )


def counts_in(rows: Iterable[Row], report: LoadReport) -> Iterator[CountRow]:
    """The counts of a file's rows; one that is wrong goes into the report."""
    for row in rows:
        try:
            count = read_count(row.filled(), row.number - 1)
        except TollgateError as error:
            report.problems.append(RowProblem(row.number - 1, error))
        else:
            yield count


def load_counts(
    rows: Iterable[CountRow], *, source: str = SOURCE, counted_until: datetime | None = None, by: str = ""
) -> LoadReport:
    """Load one gateway's counts, all in one transaction; a repetition changes nothing.

    `counted_until`: up to when the gateway had counted (default: now); the hour that it falls in is not
    complete. Of several rows of the same key, hour and event the last one counts. Raises InvalidRequest for
    an instant in the future; a row that names no key of ours is a problem of the report.
    """
    now = clock.now()
    source = clean_text(source, "source", max_length=SOURCE_MAX)
    until = counted_until or now
    if until > now:
        raise InvalidRequest("in_future", "counted_until lies in the future.", "counted_until")
    report = LoadReport()
    wanted = _with_keys(list(rows), report)
    with transaction.atomic():
        standing = _standing(wanted, source)
        new = []
        for place, (key, row) in wanted.items():
            old = standing.get(place)
            if old is not None and _says_the_same(old, row, until):
                report.unchanged += 1
                continue
            if old is not None:
                old.superseded_at = now
                report.superseded += 1
            report.added += 1
            new.append(_count(key, row, source, until, now, by))
        gone = [row for row in standing.values() if row.superseded_at is not None]
        GatewayCount.objects.bulk_update(gone, ["superseded_at"], batch_size=1000)
        GatewayCount.objects.bulk_create(new, batch_size=1000)
    return report


def _count(key: ApiKey, row: CountRow, source: str, until: datetime, now: datetime, by: str) -> GatewayCount:
    return GatewayCount(
        customer_id=key.customer_id,
        api_key_id=key.pk,
        hour=row.hour,
        event=row.event,
        source=source,
        calls=row.calls,
        counted_until=until,
        loaded_at=now,
        loaded_by=by,
    )


def _says_the_same(old: GatewayCount, row: CountRow, until: datetime) -> bool:
    """Whether nothing is new: the same calls, of an hour that was complete before or is not yet either."""
    end = row.hour + HOUR
    return old.calls == row.calls and (old.counted_until >= end or until < end)


def _with_keys(rows: Sequence[CountRow], report: LoadReport) -> dict[Place, tuple[ApiKey, CountRow]]:
    """The rows by what they count, with their keys; the last of the same place counts."""
    named = {row.api_key for row in rows}
    ids = {name for name in named if name.startswith("key_")}
    found = ApiKey.objects.filter(
        Q(fingerprint__in=named - ids) | Q(pk__in=[row_id("key", name) for name in ids])
    )
    keys: dict[str, ApiKey] = {}
    for key in found:
        keys[key.fingerprint] = keys[public_id("key", key.pk)] = key
    wanted: dict[Place, tuple[ApiKey, CountRow]] = {}
    for row in rows:
        known = keys.get(row.api_key)
        if known is None:
            error = InvalidRequest("unknown_api_key", "There is no such key here.", "api_key")
            report.problems.append(RowProblem(row.number, error))
            continue
        wanted[known.pk, row.hour, row.event] = known, row
    return wanted


def _standing(wanted: Mapping[Place, tuple[ApiKey, CountRow]], source: str) -> dict[Place, GatewayCount]:
    """The counts that stand of these keys and hours, locked, in the order of their rows."""
    if not wanted:
        return {}
    hours = [place[1] for place in wanted]
    rows = GatewayCount.objects.filter(
        customer_id__in={key.customer_id for key, _ in wanted.values()},
        api_key_id__in={place[0] for place in wanted},
        hour__gte=min(hours),
        hour__lte=max(hours),
        source=source,
        superseded_at=None,
    )
    found = {(row.api_key_id, row.hour, row.event): row for row in rows.order_by("pk").select_for_update()}
    return {place: row for place, row in found.items() if place in wanted}


def _calls(value: Any) -> int:
    """A whole number of calls, as a number or as digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 15:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < CALLS_MAX:
        return value
    raise InvalidRequest("invalid_calls", "calls must be a whole number of calls, not below 0.", "calls")
