"""The door of RATING.md section 5: a meter, a period and events in, quantities out."""

from __future__ import annotations

from typing import Any

from core.numbers import plain
from metering.aggregation.documents import parse_document
from metering.aggregation.fold import Aggregated, aggregate_events


def aggregate_document(document: Any) -> dict[str, Any]:
    """Answer one document of `manage.py aggregate`.

    The file is deduplicated as ingestion would do it, over all names and instants; then other names and
    instants outside the period are skipped; then comes the filter, then the aggregation. Raises
    InvalidRequest with the path of the offending value in `param`, e.g. `events[3].occurred_at`.
    """
    question = parse_document(document)
    aggregated = aggregate_events(
        question.meter,
        start=question.start,
        end=question.end,
        events=(
            (event.occurred_at, event.properties)
            for event in question.events
            if event.name == question.meter.event
        ),
        level=question.level,
        levels=question.levels,
    )
    counters = {
        "ignored": aggregated.ignored,
        "duplicates": question.duplicates,
        "conflicts": question.conflicts,
    }
    return _values(question.meter.group_by, aggregated) | counters


def _values(group_by: tuple[str, ...], aggregated: Aggregated) -> dict[str, Any]:
    texts = {group: None if value is None else plain(value) for group, value in aggregated.quantities.items()}
    if not group_by:
        return {"value": texts[()]}
    return {
        "groups": [
            {"dimensions": dict(zip(group_by, group, strict=True)), "value": value}
            for group, value in texts.items()
        ]
    }
