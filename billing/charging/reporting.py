"""Usage that is reported under the key of an authorization, or under its id: it is that call's usage.

Such an event captures the hold, whoever pays for its workspace by now, so it is planned anew as a capture; it
is never refused. docs/adr/0011-keys-of-authorizations.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import psycopg

from billing.charging.booking import Batch
from billing.charging.outcomes import Charged, Outcome
from billing.charging.planning import Planned
from billing.charging.reading import Known
from billing.charging.replaying import named_payload
from billing.charging.requests import CaptureTerms, ChargeRequest, Mode
from billing.charging.shards import Numbered
from billing.charging.wanted import named_hold
from billing.holds import Hold
from billing.models import Overspend
from billing.store_authorizations import read_refused
from core.ids import public_id
from metering.events import EventInput
from metering.payload import differing_fields

CALLER: Final = ("workspace", "api_key", "billing_entity")
REPORTED: Final = Overspend.Cause.REPORTED.value
LATE_CAPTURE: Final = Overspend.Cause.LATE_CAPTURE.value


class ReportedHolds(Exception):
    """No error, but a batch to plan anew. The holds that events of a batch capture, by the events' index."""

    def __init__(self, holds: Mapping[int, Hold]) -> None:
        super().__init__()
        self.holds = holds

    def captured(self, requests: Sequence[Numbered]) -> list[Numbered]:
        """The batch with these events as captures."""
        return [
            (index, _capture(request, self.holds[index]) if index in self.holds else request)
            for index, request in requests
        ]


def check_reports(items: Sequence[Planned], known: Known) -> None:
    """Raise ReportedHolds where reported events are the usage of known holds."""
    if not known.holds:
        return
    holds = {item.index: hold for item in items if (hold := _hold_of(item, known)) is not None}
    if holds:
        raise ReportedHolds(holds)


def _hold_of(item: Planned, known: Known) -> Hold | None:
    config, event = item.attribution.config, item.request.event
    if item.request.mode is not Mode.REPORT or item.request.authorization is not None or config is None:
        return None
    key = known.keys.get((config.customer_id, event.idempotency_key))
    if key is not None:
        hold = known.holds.get((config.customer_id, key.event_id))
    else:
        named = named_hold(item)
        hold = known.holds.get(named) if named is not None and named[0] == config.customer_id else None
    is_its = hold is not None and not hold.is_lease and _is_its_call(item, hold)
    return hold if is_its else None


def _is_its_call(item: Planned, hold: Hold) -> bool:
    """Whether event and caller are those of the authorization."""
    names = ("event", *CALLER)
    first, sent = hold.first.payload, named_payload(item)
    return not differing_fields(
        {name: first[name] for name in names if name in first},
        {name: sent[name] for name in names if name in sent},
    )


def name_late_captures(
    raw: psycopg.Connection[Any],
    items: Sequence[Planned],
    outcomes: Mapping[int, Outcome],
    batch: Batch,
    known: Known,
) -> None:
    """Let overspend by usage whose capture was refused before have its own cause, and end those holds.

    One statement, and none where nothing reported went below the floor.
    """
    reported = {row.charge_id: at for at, row in enumerate(batch.overspend) if row.cause == REPORTED}
    overspent = {
        (item.attribution.config.customer_id, item.request.event.idempotency_key): item
        for item in (items if reported else ())
        if item.id in reported and item.attribution.config is not None
    }
    for hold in read_refused(raw, list(overspent)) if overspent else ():
        item = overspent[hold.customer_id, hold.refused_key or ""]
        at, outcome, book = reported[item.id], outcomes[item.index], known.books.get(hold.payer)
        batch.overspend[at] = batch.overspend[at]._replace(cause=LATE_CAPTURE)
        if book is not None and isinstance(outcome, Charged):
            hold.captured_by(outcome.id, outcome.recorded_at, outcome.amount)
            book.changed_holds.setdefault((hold.customer_id, hold.id), hold)


def _capture(request: ChargeRequest, hold: Hold) -> ChargeRequest:
    terms = CaptureTerms(hold.customer_id, hold.id, hold.workspace_id, hold.api_key_id)
    return replace(request, event=as_capture(request.event, hold), authorization=terms)


def as_capture(event: EventInput, hold: Hold) -> EventInput:
    """A reported event as the capture of a hold: under the hold's id, charged to the payer held."""
    return replace(
        event,
        idempotency_key=hold.public_id,
        workspace=None,
        api_key=None,
        billing_entity=public_id("be", hold.payer_id),
        payload={name: value for name, value in event.payload.items() if name not in CALLER},
    )
