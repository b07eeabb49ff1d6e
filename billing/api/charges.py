"""`POST /v1/charges`: one event, charged now or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from django.http import HttpRequest
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.answers import authorized_answer, charge_answer, denial_answer, recorded_answer
from billing.api.authentication import credential
from billing.api.charge_reads import ChargeList
from billing.api.schemas import ChargeSerializer, DenialSerializer, EventSerializer
from billing.charging import (
    Authorized,
    Charged,
    ChargeRequest,
    Denied,
    Failed,
    Mode,
    Outcome,
    Quarantined,
    charge_one,
)
from billing.telemetry import note_call
from core import clock
from core.errors import InvalidRequest
from metering.events import parse_event

CHARGE_SCOPE: Final = "charges:write"
Answer = tuple[int, dict[str, Any], dict[str, str]]
"""Status, body, headers."""


class ChargesView(ChargeList):
    """Charges. A POST of plain JSON is answered by `billing.api.fast_lane` before it gets here."""

    scopes: ClassVar[dict[str, str]] = {"POST": CHARGE_SCOPE}

    @extend_schema(
        operation_id="charges_create",
        tags=["charges"],
        request=EventSerializer,
        responses={201: ChargeSerializer, 200: ChargeSerializer, 402: DenialSerializer},
    )
    def post(self, request: Request) -> Response:
        """Charge one event. The same key again gives the first answer, with 200."""
        body = request.data
        check_header_key(request.META.get("HTTP_IDEMPOTENCY_KEY"), body)
        event = parse_event(body, clock.now())
        outcome = charge_one(ChargeRequest(event, Mode.ASK, "api", credential(request)))
        note_call(request.META, outcome)
        status, body, headers = answer(outcome, lambda: request._request)
        return Response(body, status=status, headers=headers)


def check_header_key(header: str | None, body: Any, default: str | None = None) -> None:
    """The body's key (else `default`) rules here: an `Idempotency-Key` header that differs is an error."""
    if header is not None and isinstance(body, dict) and header != (body.get("idempotency_key") or default):
        raise InvalidRequest(
            "idempotency_key_mismatch",
            "The key is the body's idempotency_key; an Idempotency-Key header may only repeat it.",
            "Idempotency-Key",
        )


def answer(outcome: Outcome, request: Callable[[], HttpRequest]) -> Answer:
    """The outcome of a charge or a hold; raises what it failed with. `request` is made only for a refusal."""
    if isinstance(outcome, Failed):
        raise outcome.error
    if isinstance(outcome, Denied):
        return 402, denial_answer(outcome, request()), {}
    assert not isinstance(outcome, Quarantined), "a charge asks; only reports are quarantined"
    if isinstance(outcome, Authorized):
        body = authorized_answer(outcome)
    else:
        body = charge_answer(outcome) if isinstance(outcome, Charged) else recorded_answer(outcome)
    if outcome.is_replay:
        return 200, body, {"Idempotent-Replayed": "true"}
    return 201, body, {}
