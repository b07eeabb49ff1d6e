"""`/v1/leases`: an allowance that a client decides against on its own; drawn, reported, returned."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.tenants import TenantFilter
from accounts.models import BillingEntity, Customer, Workspace
from accounts.scoping import viewer_of, visible
from billing import leases
from billing.api.answers import balance_answer
from billing.api.authentication import ChargePathAuthentication, credential
from billing.api.authorizations import HoldsView, body_of
from billing.api.charge_reads import OwnerFilter
from billing.api.charges import CHARGE_SCOPE, answer
from billing.api.events import parse_events, read_batch, report_answer
from billing.api.lease_shapes import (
    DrawnSerializer,
    LeaseInput,
    LeaseReportSerializer,
    LeaseSerializer,
    ReturnedSerializer,
)
from billing.api.schemas import DenialSerializer, EventBatchSerializer
from billing.charging import charge_one
from billing.models import Authorization
from core import clock
from core.api.idempotency import idempotency_key
from core.errors import InvalidRequest, NotFound
from core.ids import hot_row, public_id
from core.numbers import ZERO

Status = Authorization.Status


class LeaseFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Which leases. A status is that of now."""

    customer = TenantFilter("customer_id", Customer, prefix="cus")
    billing_entity = OwnerFilter("billing_entity_id", BillingEntity, prefix="be")
    workspace = OwnerFilter("workspace_id", Workspace, prefix="ws")
    status = django_filters.ChoiceFilter(
        choices=[(status, status) for status in ("open", "returned", "expired")], method="of_status"
    )

    def of_status(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """Those that have the status now."""
        now = clock.now()
        if value == "open":
            return rows.filter(status=Status.AUTHORIZED, expires_at__gt=now)
        if value == "returned":
            return rows.filter(status=Status.VOIDED)
        return rows.filter(Q(status=Status.EXPIRED) | Q(status=Status.AUTHORIZED, expires_at__lte=now))


class LeasesView(HoldsView):
    """Leases: drawn, and as they stand."""

    kind = Authorization.Kind.LEASE
    serializer_class = LeaseSerializer
    filterset_class = LeaseFilter

    @extend_schema(
        operation_id="leases_list", tags=["leases"], responses=LeaseSerializer(many=True), filters=True
    )
    def get(self, request: Request) -> Response:
        """A page of the leases, the newest first."""
        page: list[Authorization] = self.paginate_queryset(self.filter_queryset(self.get_queryset())) or []
        return self.get_paginated_response([_row(row) for row in page])

    @extend_schema(
        operation_id="leases_create",
        tags=["leases"],
        request=LeaseInput,
        responses={201: DrawnSerializer, 200: DrawnSerializer, 402: DenialSerializer},
    )
    def post(self, request: Request) -> Response:
        """Draw an allowance: it is held. The same key (of body or header) again gives the first answer."""
        key, body = idempotency_key(request._request), request.data
        named = body.get("idempotency_key") if isinstance(body, dict) else None
        if key is not None and named not in (None, key):
            says = "The Idempotency-Key header differs from the body's idempotency_key."
            raise InvalidRequest("idempotency_key_mismatch", says, "Idempotency-Key")
        asked = leases.lease_request(body, clock.now(), credential(request), key=key)
        status, answered, headers = answer(charge_one(asked), lambda: request._request)
        return Response(answered, status=status, headers=headers)


class LeaseView(APIView):
    """One lease."""

    @extend_schema(operation_id="leases_retrieve", tags=["leases"], responses=LeaseSerializer)
    def get(self, request: Request, lease_id: str) -> Response:
        """It, as it stands now."""
        return Response(_row(_find(request, lease_id)))


class LeaseReportView(APIView):
    """The calls of a lease."""

    authentication_classes = [ChargePathAuthentication]
    scopes: ClassVar[dict[str, str]] = {"POST": CHARGE_SCOPE}

    @extend_schema(
        operation_id="leases_report",
        tags=["leases"],
        request=EventBatchSerializer,
        responses=LeaseReportSerializer,
    )
    def post(self, request: Request, lease_id: str) -> Response:
        """Charge calls to the lease, each once. They have happened: none is refused, also after its time."""
        row = _find(request, lease_id)
        items, parse = read_batch(request)
        events, errors = parse_events(items, parse, clock.now())
        outcomes = leases.report_calls(row, [event for _, event in events], credential(request))
        return Response(report_answer(request, events, outcomes, errors) | _row(_find(request, lease_id)))


class LeaseReturnView(APIView):
    """The end of a lease."""

    scopes: ClassVar[dict[str, str]] = {"POST": CHARGE_SCOPE}

    @extend_schema(operation_id="leases_return", tags=["leases"], request=None, responses=ReturnedSerializer)
    def post(self, request: Request, lease_id: str) -> Response:
        """Free what is left. Again, or after its time, it changes nothing."""
        body_of(request)
        row = _find(request, lease_id)
        funds = leases.return_lease(row).funds
        balance = balance_answer(funds.available, funds.wallet, funds.held)
        return Response(_row(_find(request, lease_id)) | {"balance": balance})


def _find(request: Request, lease_id: str) -> Authorization:
    customer_id, uuid = hot_row("lease", lease_id)
    rows = visible(Authorization, viewer_of(request)).filter(
        customer_id=customer_id, id=uuid, kind=Authorization.Kind.LEASE
    )
    row = rows.defer("payload").first()
    if row is None:
        raise NotFound("not_found", f"There is no lease {lease_id!r}.")
    return row


def _row(row: Authorization) -> dict[str, Any]:
    status = leases.status_of(row.status_at(clock.now()))
    return {
        "id": row.public_id,
        "status": status,
        "customer": public_id("cus", row.customer_id),
        "billing_entity": public_id("be", row.billing_entity_id),
        "workspace": None if row.workspace_id is None else public_id("ws", row.workspace_id),
        "idempotency_key": row.idempotency_key,
        "amount": row.amount,
        "held": row.held if status == "open" else ZERO,
        "used": row.captured_amount or ZERO,
        "exposure": leases.exposure_of(status, row.held, row.amount, row.captured_amount),
        "currency": row.currency,
        "drawn_at": row.authorized_at,
        "expires_at": row.expires_at,
    }
