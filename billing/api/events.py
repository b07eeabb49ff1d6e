"""`POST /v1/events`: reports of what has happened already, one by one or up to 10,000 at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.api.authentication import ChargePathAuthentication, credential
from billing.api.charges import check_header_key
from billing.api.schemas import EventBatchSerializer, IngestAnswerSerializer
from billing.charging import Authorized, Denied, Failed, Outcome, Quarantined, report_together
from billing.telemetry import note_events
from core import clock
from core.api.errors import error_body
from core.api.parsers import CloudEventBatchParser, CloudEventParser, LenientJSONParser
from core.errors import KEYS_FAULT, InvalidRequest, TollgateError, TooLarge
from metering.cloudevents import parse_cloudevent
from metering.event_values import shown
from metering.events import EventInput, parse_event

EVENTS_MAX: Final = 10_000
Parse = Callable[[Any, datetime], EventInput]


class EventsView(APIView):
    """Usage events."""

    authentication_classes = [ChargePathAuthentication]
    parser_classes = [LenientJSONParser, CloudEventParser, CloudEventBatchParser]
    scopes: ClassVar[dict[str, str]] = {"POST": "events:write"}

    @extend_schema(
        operation_id="events_report",
        tags=["events"],
        request=EventBatchSerializer,
        responses=IngestAnswerSerializer,
    )
    def post(self, request: Request) -> Response:
        """Record events that have happened. One bad event never sinks its batch."""
        items, parse = read_batch(request)
        now = clock.now()
        events, errors = parse_events(items, parse, now)
        outcomes = report_together([event for _, event in events], credential=credential(request))
        told = report_answer(request, events, outcomes, errors)
        note_events(told)
        return Response(told)


def read_batch(request: Request) -> tuple[Sequence[Any], Parse]:
    """The events of a body, unparsed, and how to parse them; raises InvalidRequest or TooLarge."""
    parse: Parse
    kind = (request.content_type or "").partition(";")[0].strip().lower()
    body: Any = request.data
    if kind.startswith("application/cloudevents"):
        items, parse = (body if kind.endswith("-batch+json") else [body]), parse_cloudevent
    else:
        check_header_key(request.META.get("HTTP_IDEMPOTENCY_KEY"), body)
        known = isinstance(body, dict) and "events" in body
        if known and len(body) > 1:
            other = shown(next(name for name in body if name != "events"))
            raise InvalidRequest("unknown_field", f"There is no field {other!r} beside events.", other)
        items, parse = (body["events"] if known else None), parse_event
    if not isinstance(items, list):
        raise InvalidRequest("invalid_type", 'The body must be {"events": [...]}.', "events")
    if len(items) > EVENTS_MAX:
        raise TooLarge("too_many_events", f"At most {EVENTS_MAX} events in one request.", "events")
    return items, parse


def parse_events(
    items: Sequence[Any], parse: Parse, now: datetime
) -> tuple[list[tuple[int, EventInput]], dict[int, TollgateError]]:
    """The well-formed events with their indexes, and the errors of the others."""
    events, errors = [], {}
    for index, item in enumerate(items):
        try:
            events.append((index, parse(item, now)))
        except TollgateError as error:
            errors[index] = error
    return events, errors


def _concerns_all(error: TollgateError) -> bool:
    """Whether an error is no refusal of one event: the caller's own key, or our own fault.

    The request then fails as a whole and nothing is lost: a retry finds what was recorded, and brings the
    rest.
    """
    return isinstance(error, KEYS_FAULT) or error.status >= 500 or error.code == "busy"


def report_answer(
    request: Request,
    events: Sequence[tuple[int, EventInput]],
    outcomes: Sequence[Outcome],
    errors: dict[int, TollgateError],
) -> dict[str, Any]:
    """What became of a batch; raises what concerns all of it."""
    counts = dict.fromkeys(("accepted", "duplicates", "quarantined", "rejected", "unmatched", "unpriced"), 0)
    for (index, _), outcome in zip(events, outcomes, strict=True):
        assert not isinstance(outcome, Denied | Authorized), "reported usage is never denied"
        if isinstance(outcome, Failed):
            if _concerns_all(outcome.error):
                raise outcome.error
            errors[index] = outcome.error
        elif isinstance(outcome, Quarantined):
            counts["quarantined"] += 1
        elif outcome.is_replay:
            counts["duplicates"] += 1
        else:
            counts["accepted"] += 1
            counts["unmatched"] += outcome.unmatched
            counts["unpriced"] += outcome.unpriced
    listed = [{"index": index, **error_body(errors[index], request._request)} for index in sorted(errors)]
    return {**counts, "rejected": len(errors), "errors": listed}
