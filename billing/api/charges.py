"""`POST /v1/charges`: one event, charged now or refused."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.api.answers import charge_answer, denial_answer, recorded_answer
from billing.api.authentication import ChargePathAuthentication, credential
from billing.api.schemas import ChargeSerializer, DenialSerializer, EventSerializer
from billing.charging import Charged, ChargeRequest, Denied, Failed, Mode, Outcome, Quarantined, charge_one
from core import clock
from core.errors import InvalidRequest
from metering.events import parse_event


class ChargesView(APIView):
    """Charges."""

    authentication_classes = [ChargePathAuthentication]
    scopes: ClassVar[dict[str, str]] = {"POST": "charges:write"}

    @extend_schema(
        operation_id="charges_create",
        tags=["charges"],
        request=EventSerializer,
        responses={201: ChargeSerializer, 200: ChargeSerializer, 402: DenialSerializer},
    )
    def post(self, request: Request) -> Response:
        """Charge one event. The same key again gives the first answer, with 200."""
        check_header_key(request, request.data)
        event = parse_event(request.data, clock.now())
        outcome = charge_one(ChargeRequest(event, Mode.ASK, "api", credential(request)))
        return answer(request, outcome)


def check_header_key(request: Request, body: Any) -> None:
    """The body's key rules here: an `Idempotency-Key` header that differs is an error."""
    header = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if header is not None and isinstance(body, dict) and header != body.get("idempotency_key"):
        raise InvalidRequest(
            "idempotency_key_mismatch",
            "The Idempotency-Key header differs from the body's idempotency_key, which rules.",
            "Idempotency-Key",
        )


def answer(request: Request, outcome: Outcome) -> Response:
    """The outcome of a charge as a response; raises what it failed with."""
    if isinstance(outcome, Failed):
        raise outcome.error
    if isinstance(outcome, Denied):
        return Response(denial_answer(outcome, request._request), status=status.HTTP_402_PAYMENT_REQUIRED)
    assert not isinstance(outcome, Quarantined), "a charge asks; only reports are quarantined"
    body = charge_answer(outcome) if isinstance(outcome, Charged) else recorded_answer(outcome)
    headers = {"Idempotent-Replayed": "true"} if outcome.is_replay else None
    return Response(body, status=200 if outcome.is_replay else 201, headers=headers)
