"""`/v1/authorizations`: hold for a call whose size is not known yet; capture, void or extend it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

import django_filters
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.tenants import TenantFilter
from accounts.models import BillingEntity, Customer, Workspace
from accounts.scoping import viewer_of, visible
from billing import authorizations
from billing.api.answers import balance_answer
from billing.api.authentication import ChargePathAuthentication, credential
from billing.api.authorization_shapes import (
    AuthorizationInput,
    AuthorizationRowSerializer,
    AuthorizedSerializer,
    CaptureInput,
    CaptureSerializer,
    ExtensionInput,
)
from billing.api.calls import asked_capture, find_authorization
from billing.api.charge_reads import OwnerFilter
from billing.api.charges import CHARGE_SCOPE, answer, check_header_key
from billing.api.schemas import DenialSerializer
from billing.authorizations.bodies import seconds_of
from billing.authorizations.verbs import Settled
from billing.charging import charge_one
from billing.models import Authorization
from core import clock
from core.api.filters import InstantFilter
from core.errors import InvalidRequest
from core.ids import public_id
from core.numbers import ZERO
from metering.event_values import shown

OPEN: Final = Authorization.Status.AUTHORIZED
OVER: Final = Authorization.Status.EXPIRED


class AuthorizationFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Which authorizations. A status is that of now: one whose time is over is expired."""

    customer = TenantFilter("customer_id", Customer, prefix="cus")
    billing_entity = OwnerFilter("billing_entity_id", BillingEntity, prefix="be")
    workspace = OwnerFilter("workspace_id", Workspace, prefix="ws")
    status = django_filters.ChoiceFilter(choices=Authorization.Status.choices, method="of_status")
    authorized_from = InstantFilter(field_name="authorized_at", lookup_expr="gte")
    authorized_to = InstantFilter(field_name="authorized_at", lookup_expr="lt")

    def of_status(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Those that have the status now."""
        now = clock.now()
        if value == OPEN:
            return rows.filter(status=OPEN, expires_at__gt=now)
        if value == OVER:
            return rows.filter(Q(status=OVER) | Q(status=OPEN, expires_at__lte=now))
        return rows.filter(status=value)


class HoldsView(GenericAPIView[Any]):
    """Holds of one kind: made, and as they stand."""

    queryset = Authorization.objects.all()
    kind: ClassVar[Authorization.Kind]
    ordering: ClassVar[tuple[str, ...]] = ("-id",)  # a UUIDv7 begins with its instant
    scopes: ClassVar[dict[str, str]] = {"POST": CHARGE_SCOPE}

    def get_authenticators(self) -> list[BaseAuthentication]:
        """The path of a call makes sure of the key itself."""
        is_post = self.request is not None and self.request.method == "POST"
        return [ChargePathAuthentication()] if is_post else super().get_authenticators()

    def get_queryset(self) -> QuerySet[Any]:
        """What the caller may see."""
        return visible(Authorization, viewer_of(self.request)).filter(kind=self.kind)


class AuthorizationsView(HoldsView):
    """Authorizations: made, and as they stand."""

    kind = Authorization.Kind.AUTHORIZATION
    serializer_class = AuthorizationRowSerializer
    filterset_class = AuthorizationFilter

    @extend_schema(
        operation_id="authorizations_list",
        tags=["authorizations"],
        responses=AuthorizationRowSerializer(many=True),
        filters=True,
    )
    def get(self, request: Request) -> Response:
        """A page of the authorizations, the newest first."""
        now = clock.now()
        page: list[Authorization] = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response([_row(row, now) for row in page])

    @extend_schema(
        operation_id="authorizations_create",
        tags=["authorizations"],
        request=AuthorizationInput,
        responses={201: AuthorizedSerializer, 200: AuthorizedSerializer, 402: DenialSerializer},
    )
    def post(self, request: Request) -> Response:
        """Hold what an event is expected to cost, or an amount. The same key again gives the first answer."""
        check_header_key(request.META.get("HTTP_IDEMPOTENCY_KEY"), request.data)
        asked = authorizations.authorization_request(request.data, clock.now(), credential(request))
        status, body, headers = answer(charge_one(asked), lambda: request._request)
        return Response(body, status=status, headers=headers)


class AuthorizationView(APIView):
    """One authorization."""

    @extend_schema(
        operation_id="authorizations_retrieve",
        tags=["authorizations"],
        responses=AuthorizationRowSerializer,
    )
    def get(self, request: Request, authorization_id: str) -> Response:
        """It, as it stands now."""
        return Response(_row(find_authorization(viewer_of(request), authorization_id), clock.now()))


class CaptureView(APIView):
    """Charge the real usage to a hold."""

    authentication_classes = [ChargePathAuthentication]
    scopes: ClassVar[dict[str, str]] = {"POST": CHARGE_SCOPE}

    @extend_schema(
        operation_id="authorizations_capture",
        tags=["authorizations"],
        request=CaptureInput,
        responses={201: CaptureSerializer, 200: CaptureSerializer, 402: DenialSerializer},
    )
    def post(self, request: Request, authorization_id: str) -> Response:
        """Rate and charge the real usage. The same key again gives the first answer."""
        header_key = request.META.get("HTTP_IDEMPOTENCY_KEY")
        asked = asked_capture(authorization_id, request.data, header_key, credential(request))
        status, body, headers = answer(charge_one(asked), lambda: request._request)
        return Response(body, status=status, headers=headers)


class VoidView(APIView):
    """Let go of a hold."""

    scopes: ClassVar[dict[str, str]] = {"POST": CHARGE_SCOPE}

    @extend_schema(
        operation_id="authorizations_void",
        tags=["authorizations"],
        request=None,
        responses=AuthorizedSerializer,
    )
    def post(self, request: Request, authorization_id: str) -> Response:
        """Nothing was used: free what is held."""
        body_of(request)
        row = find_authorization(viewer_of(request), authorization_id)
        return Response(_settled(row, authorizations.void(row)))


class ExtendView(APIView):
    """Hold for longer."""

    scopes: ClassVar[dict[str, str]] = {"POST": CHARGE_SCOPE}

    @extend_schema(
        operation_id="authorizations_extend",
        tags=["authorizations"],
        request=ExtensionInput,
        responses=AuthorizedSerializer,
    )
    def post(self, request: Request, authorization_id: str) -> Response:
        """Let it last until `expires_in` seconds from now; never shorter than it would."""
        seconds = seconds_of(body_of(request, "expires_in").get("expires_in"))
        row = find_authorization(viewer_of(request), authorization_id)
        return Response(_settled(row, authorizations.extend(row, timedelta(seconds=seconds))))


def body_of(request: Request, *known: str) -> dict[str, Any]:
    """The body; raises InvalidRequest unless it is an object of these fields, or empty."""
    body = request.data
    if not isinstance(body, dict):
        raise InvalidRequest("invalid_type", "The body must be a JSON object.")
    for name in body:
        if name not in known:
            raise InvalidRequest("unknown_field", f"There is no field {shown(name)!r} here.", shown(name))
    return body


def _row(row: Authorization, now: datetime) -> dict[str, Any]:
    status = row.status_at(now)
    return {
        "id": row.public_id,
        "status": status,
        "customer": public_id("cus", row.customer_id),
        "billing_entity": public_id("be", row.billing_entity_id),
        "workspace": None if row.workspace_id is None else public_id("ws", row.workspace_id),
        "event_name": row.event or None,
        "idempotency_key": row.idempotency_key,
        "amount": row.amount,
        "held": row.held if status == OPEN else ZERO,
        "currency": row.currency,
        "captured_amount": row.captured_amount,
        "charge": row.charge_public_id,
        "authorized_at": row.authorized_at,
        "expires_at": row.expires_at,
        "settled_at": row.expires_at if status == OVER else row.settled_at,
    }


def _settled(row: Authorization, settled: Settled) -> dict[str, Any]:
    hold, funds = settled.hold, settled.funds
    return {
        "id": hold.public_id,
        "status": hold.status,
        "billing_entity": public_id("be", hold.payer_id),
        "amount": hold.amount,
        "currency": row.currency,
        "expires_at": hold.expires_at,
        "balance": balance_answer(funds.available, funds.wallet, funds.held),
    }
