"""Release from quarantine: what waited is charged under its normal key, once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db import transaction

from billing.charging import Charged, Failed, Outcome, Quarantined, Recorded, report_events
from core import clock
from metering.models import QuarantinedEvent
from metering.quarantine import waiting_events


@dataclass(slots=True)
class Release:
    """What became of a release: rows that were taken, and why the others still wait, by row id."""

    released: list[QuarantinedEvent] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)


@transaction.atomic
def release_quarantined(ids: Iterable[int], *, by: str) -> Release:
    """Charge the waiting events among `ids`, however old they are; those that still cannot be taken wait on.

    An event whose key has counted meanwhile is released too: it was charged once, under that key. Locks
    the rows in id order, then the payers.
    """
    now = clock.now()
    waiting = waiting_events(ids)
    outcomes = report_events([event for _, event in waiting], source="release", is_any_age=True)
    release = Release()
    for (row, _), outcome in zip(waiting, outcomes, strict=True):
        if isinstance(outcome, Charged | Recorded):
            row.status = QuarantinedEvent.Status.RELEASED
            row.customer_id, row.event_id = outcome.customer_id, outcome.id
            row.resolved_at, row.resolved_by = now, by
            release.released.append(row)
        else:
            release.refused[row.pk] = _why(outcome)
    fields = ["status", "customer_id", "event_id", "resolved_at", "resolved_by"]
    QuarantinedEvent.objects.bulk_update(release.released, fields)
    return release


def _why(outcome: Outcome) -> str:
    if isinstance(outcome, Failed):
        return outcome.error.message
    assert isinstance(outcome, Quarantined), "reported usage is never denied"
    return outcome.message
