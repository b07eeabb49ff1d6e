"""`GET /v1/balance`: can it spend? And `/v1/wallets`, the same for many."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.authentication import AnyKeyAuthentication
from accounts.credentials import ApiKeyRecord
from accounts.models import BillingEntity, PayerAssignment, Workspace
from accounts.scoping import Viewer, viewer_of, visible
from billing.balances import Balance, balance_of, balances_of
from core import clock
from core.api.fields import AmountField
from core.api.filters import refuse_unknown
from core.api.permissions import HasScope
from core.api.references import find_referenced
from core.api.resources import Listable, Readable
from core.errors import InvalidRequest, Unprocessable


class BalanceAnswer(serializers.Serializer[Any]):
    """A payer's balance, in its currency."""

    billing_entity = serializers.CharField()
    currency = serializers.CharField()
    status = serializers.CharField()
    settlement = serializers.CharField()
    can_spend = serializers.BooleanField()
    available = AmountField(help_text="What may be spent; may be exceeded where is_unbounded.")
    is_unbounded = serializers.BooleanField()
    settled = AmountField()
    held = AmountField()
    owed = AmountField()


class HasScopeOrOwnKey(HasScope):
    """An integration key with `read`, or a customer's own API key."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the request may go on."""
        return isinstance(request.auth, ApiKeyRecord) or super().has_permission(request, view)


class BalanceView(APIView):
    """A workspace's or payer's balance."""

    authentication_classes = [AnyKeyAuthentication]
    permission_classes = [HasScopeOrOwnKey]

    @extend_schema(
        operation_id="balance_retrieve",
        tags=["wallets"],
        parameters=[OpenApiParameter("workspace"), OpenApiParameter("billing_entity")],
        responses=BalanceAnswer,
    )
    def get(self, request: Request) -> Response:
        """Can it spend? Name a workspace or a billing entity; a customer's own key names its workspace."""
        refuse_unknown(request, {"workspace", "billing_entity"})
        entity = named_payer(request)
        return Response(balance_body(entity, balance_of(entity, clock.now())))


def named_payer(request: Request) -> BillingEntity:
    """The payer that a request names, or who pays now for its workspace. Raises InvalidRequest."""
    viewer, params = viewer_of(request), request.query_params
    if "billing_entity" in params:
        rows = visible(BillingEntity, viewer)
        return find_referenced(rows, "be", params["billing_entity"], "billing_entity")
    if "workspace" in params:
        workspace = find_referenced(visible(Workspace, viewer), "ws", params["workspace"], "workspace")
    elif viewer.workspace_id is not None:
        workspace = visible(Workspace, viewer).get(pk=viewer.workspace_id)
    else:
        raise InvalidRequest("required", "Name a workspace or a billing_entity.", "workspace")
    return _payer_of(workspace, viewer)


def _payer_of(workspace: Workspace, viewer: Viewer) -> BillingEntity:
    now = clock.now()
    rows = visible(PayerAssignment, viewer).filter(workspace=workspace).select_related("billing_entity")
    for row in rows:
        if (row.starts_at is None or row.starts_at <= now) and (row.ends_at is None or now < row.ends_at):
            return row.billing_entity
    raise Unprocessable("no_payer", "Nobody pays for this workspace now.", "workspace")


def balance_body(entity: BillingEntity, balance: Balance) -> dict[str, Any]:
    """A balance as the API shows it."""
    return {
        "billing_entity": entity.public_id,
        "currency": entity.currency,
        "status": entity.state_at(clock.now()),
        "settlement": entity.settlement,
        "can_spend": balance.can_spend,
        "available": balance.available,
        "is_unbounded": balance.is_unbounded,
        "settled": balance.settled,
        "held": balance.held,
        "owed": balance.owed,
    }


class WalletResource(Listable, Readable):
    """Wallets, one per billing entity and named by it."""

    prefix, noun = "be", "wallets"
    queryset = BillingEntity.objects.all()
    serializer_class = BalanceAnswer

    def get_queryset(self) -> QuerySet[BillingEntity]:
        """What the caller may see."""
        return visible(BillingEntity, viewer_of(self.request))

    def paginate_queryset(self, queryset: QuerySet[BillingEntity]) -> list[BillingEntity] | None:  # type: ignore[override]
        """A page, with all its balances read at once."""
        page = super().paginate_queryset(queryset)
        self._balances = balances_of(page or [], clock.now())
        return page

    def represent(self, row: BillingEntity) -> Any:
        """The payer's balance."""
        known = getattr(self, "_balances", {})
        return balance_body(row, known.get(row.pk) or balance_of(row, clock.now()))
