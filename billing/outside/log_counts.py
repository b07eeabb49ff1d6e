"""A gateway's own count, made from its access log: every line that let a call through, by key and hour.

This reads the log alone and asks nobody what became of its lines, so it is another witness than
`ingest_access_log`, which settles them.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Final

from billing.access_log.files import open_log, whole_lines
from billing.access_log.lines import FREE_FROM, Fate, Line, read_line
from billing.gateway.reading import mark_of
from billing.models import Authorization
from billing.outside.gateway_counts import CountRow, LoadReport, load_counts
from core.errors import InvalidRequest, TollgateError
from core.ids import public_id
from metering.event_values import normalise_api_key

BATCH: Final = 1000
_IDENTITY: Final = 12


def count_access_log(path: Path, *, free_from: int = FREE_FROM, by: str = "") -> tuple[LoadReport, int]:
    """Count the calls in a log and load the counts, under a source that names the log by its content.

    The last hour of the log is complete only when a later line stands behind it. Gives the report and the
    number of lines that name no key of ours (or cannot be read). Raises InvalidRequest when there is no log.
    """
    counts: Counter[tuple[str, datetime]] = Counter()
    until: datetime | None = None
    left_out = 0
    with open_log(path) as file:
        if file is None:
            raise InvalidRequest("no_log", f"There is no log with a whole line at {path}.")
        source = f"log {file.identity[:_IDENTITY]}"
        batch: list[Line] = []
        for raw in whole_lines(file.stream, 0):
            try:
                batch.append(read_line(raw.text, free_from))
            except TollgateError:
                left_out += 1
                continue
            if len(batch) == BATCH:
                left_out += _count(batch, counts)
                until = max([line.occurred_at for line in batch] + ([until] if until else []))
                batch = []
        if batch:
            left_out += _count(batch, counts)
            until = max([line.occurred_at for line in batch] + ([until] if until else []))
    rows = [
        CountRow(number, key, hour, calls)
        for number, ((key, hour), calls) in enumerate(sorted(counts.items()))
    ]
    report = load_counts(rows, source=source, counted_until=until, by=by)
    return report, left_out + sum(rows[problem.number].calls for problem in report.problems)


def _count(lines: list[Line], counts: Counter[tuple[str, datetime]]) -> int:
    """Add these lines; how many name no key."""
    keys = _keys_of_holds([line for line in lines if line.authorization is not None])
    left_out = 0
    for line in lines:
        if line.is_free or line.fate is Fate.STOPPED:
            continue
        key = _key_of(line, keys)
        if key is None:
            left_out += 1
            continue
        at = line.occurred_at
        counts[key, at.replace(minute=0, second=0, microsecond=0)] += 1
    return left_out


def _key_of(line: Line, keys: dict[object, str]) -> str | None:
    if line.authorization in keys:
        return keys[line.authorization]
    if "caller" in line.raw:
        return mark_of(line.raw["caller"].encode().decode("latin-1"))
    named = line.raw.get("api_key")
    try:
        return None if named is None else normalise_api_key(named)
    except TollgateError:
        return None


def _keys_of_holds(lines: list[Line]) -> dict[object, str]:
    """The keys of the holds that lines name, as public ids."""
    wanted = {line.authorization for line in lines if line.authorization is not None}
    rows = Authorization.objects.filter(
        customer_id__in={customer_id for customer_id, _ in wanted}, id__in={pk for _, pk in wanted}
    )
    return {
        (row.customer_id, row.id): public_id("key", row.api_key_id)
        for row in rows
        if row.api_key_id is not None and (row.customer_id, row.id) in wanted
    }
