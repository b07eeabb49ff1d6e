"""`GET /v1/entitlements`: what the version grants and what is used."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.authentication import AnyKeyAuthentication
from billing.api.balance import HasScopeOrOwnKey, named_payer
from billing.entitlements import Entitlement, entitlements_of
from core import clock
from core.api.fields import InstantField, QuantityField
from core.api.filters import refuse_unknown


class EntitlementSerializer(serializers.Serializer[Entitlement]):
    """A feature. boolean: `value`; limit: `limit`; metered: `used` and `held` of `limit` until `resets_at`.

    `remaining` is what the next call may have: what open holds reserve (`held`) is not in it.
    """

    feature = serializers.CharField()
    type = serializers.ChoiceField(["boolean", "limit", "metered"])
    value = serializers.BooleanField(allow_null=True)
    limit = QuantityField(allow_null=True)
    meter = serializers.CharField(allow_null=True)
    reset = serializers.CharField(allow_null=True)
    used = QuantityField(allow_null=True)
    held = QuantityField(allow_null=True)
    remaining = QuantityField(allow_null=True)
    resets_at = InstantField(allow_null=True)


class EntitlementsAnswer(serializers.Serializer[Any]):
    """A payer's entitlements at an instant."""

    billing_entity = serializers.CharField()
    as_of = InstantField()
    entitlements = EntitlementSerializer(many=True)


class EntitlementsView(APIView):
    """What a workspace's or payer's subscriptions entitle it to."""

    authentication_classes = [AnyKeyAuthentication]
    permission_classes = [HasScopeOrOwnKey]

    @extend_schema(
        operation_id="entitlements_retrieve",
        tags=["entitlements"],
        parameters=[OpenApiParameter("workspace"), OpenApiParameter("billing_entity")],
        responses=EntitlementsAnswer,
    )
    def get(self, request: Request) -> Response:
        """Name a workspace or a billing entity; a customer's own key names its workspace."""
        refuse_unknown(request, {"workspace", "billing_entity"})
        entity, now = named_payer(request), clock.now()
        found = {
            "billing_entity": entity.public_id,
            "as_of": now,
            "entitlements": entitlements_of(entity, now),
        }
        return Response(EntitlementsAnswer(found).data)
