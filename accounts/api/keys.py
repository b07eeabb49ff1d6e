"""`/v1/api-keys` and `/v1/integration-keys`"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import django_filters
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request

from accounts.api.tenants import TenantField, TenantFilter, TenantResource
from accounts.integration_keys import (
    OVERLAP,
    OVERLAP_MAX,
    IssuedIntegrationKey,
    change_integration_key,
    issue_integration_key,
    revoke_integration_key,
    rotate_integration_key,
)
from accounts.keys import IssuedApiKey, change_api_key, issue_api_key, register_fingerprint, revoke_api_key
from accounts.models import ApiKey, Customer, IntegrationKey, Workspace
from accounts.models.keys import Scope
from core.api.fields import InstantField, TextField
from core.api.references import IdField
from core.api.resources import Changeable, Creatable, Listable, Readable
from core.api.serializers import ShownSerializer, StrictSerializer


class ApiKeySerializer(ShownSerializer):
    """A customer's key; `fingerprint` is the SHA-256 of the secret, which is not kept."""

    customer = IdField(prefix="cus", source="customer_id")
    workspace = IdField(prefix="ws", source="workspace_id")
    name = serializers.CharField()
    user = serializers.CharField(allow_null=True)
    kind = serializers.ChoiceField(ApiKey.Kind.choices)
    prefix = serializers.CharField()
    fingerprint = serializers.CharField()
    created_at = InstantField()
    expires_at = InstantField(allow_null=True)
    revoked_at = InstantField(allow_null=True)


class IssuedApiKeySerializer(ApiKeySerializer):
    """A new key; `secret` is told this once. It is null for a registered fingerprint and in a replay."""

    secret = serializers.CharField(allow_null=True)


class ApiKeyChange(StrictSerializer):
    """What may change about a key."""

    name = TextField(required=False)
    user = TextField(required=False, allow_null=True)
    expires_at = InstantField(required=False, allow_null=True)


class ApiKeyInput(ApiKeyChange):
    """A key to be: ours, or your own when you give its `fingerprint` (SHA-256 in 64 hex digits)."""

    workspace = TenantField(Workspace, prefix="ws")
    name = TextField(default="API key")
    fingerprint = TextField(required=False, max_length=64)


class ApiKeyFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which keys."""

    customer = TenantFilter("customer", Customer, prefix="cus")
    workspace = TenantFilter("workspace", Workspace, prefix="ws")
    user = django_filters.CharFilter()
    fingerprint = django_filters.CharFilter()


class ApiKeyResource(Listable, Readable, Creatable, Changeable, TenantResource):
    """API keys: what customers' callers present."""

    model, prefix, noun = ApiKey, "key", "api_keys"
    serializer_class = ApiKeySerializer
    input_class, change_class = ApiKeyInput, ApiKeyChange
    filterset_class = ApiKeyFilters
    secrets = ("secret",)

    @extend_schema(responses={201: IssuedApiKeySerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Issue a key, or register the fingerprint of one of yours. Its secret is told once."""
        return super().create(request, *args, **kwargs)

    def perform_create(self, values: dict[str, Any]) -> IssuedApiKey:
        """Issue or register."""
        if "fingerprint" in values:
            return IssuedApiKey(register_fingerprint(**values), None)
        return issue_api_key(**values)

    def perform_change(self, row: ApiKey, values: dict[str, Any]) -> ApiKey:
        """Change it."""
        return change_api_key(row, **values)

    @extend_schema(request=None, responses={200: ApiKeySerializer})
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """End a key now, for good."""
        return self.write("revoke", lambda: revoke_api_key(self.get_object()))

    def represent(self, row: Any) -> Any:
        """A key, with its secret when it has just been issued."""
        if isinstance(row, IssuedApiKey):
            return dict(ApiKeySerializer(row.key).data) | {"secret": row.secret}
        return super().represent(row)


class IntegrationKeySerializer(ShownSerializer):
    """A key of the operator's own programs."""

    name = serializers.CharField()
    prefix = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField(Scope.choices))
    rotated_from = IdField(prefix="ik", source="rotated_from_id")
    created_at = InstantField()
    expires_at = InstantField(allow_null=True)
    revoked_at = InstantField(allow_null=True)
    last_used_at = InstantField(allow_null=True)


class IssuedIntegrationKeySerializer(IntegrationKeySerializer):
    """A new key; `secret` is told this once, and null in a replay."""

    secret = serializers.CharField(allow_null=True)


class IntegrationKeyInput(StrictSerializer):
    """A key to be."""

    name = TextField()
    scopes = serializers.ListField(child=serializers.ChoiceField(Scope.choices), min_length=1, max_length=8)
    expires_at = InstantField(required=False, allow_null=True)


class RotationInput(StrictSerializer):
    """How many seconds the old secret works on."""

    overlap_seconds = serializers.IntegerField(
        min_value=0, max_value=int(OVERLAP_MAX.total_seconds()), default=int(OVERLAP.total_seconds())
    )


class IntegrationKeyResource(Listable, Readable, Creatable, Changeable, TenantResource):
    """Integration keys; only keys with the scope admin see them."""

    model, prefix, noun = IntegrationKey, "ik", "integration_keys"
    scopes = {"GET": Scope.ADMIN.value}
    serializer_class = IntegrationKeySerializer
    input_class = change_class = IntegrationKeyInput
    secrets = ("secret",)

    @extend_schema(responses={201: IssuedIntegrationKeySerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Issue a key. Its secret is told once."""
        return super().create(request, *args, **kwargs)

    def perform_create(self, values: dict[str, Any]) -> IssuedIntegrationKey:
        """Issue one."""
        return issue_integration_key(**values)

    def perform_change(self, row: IntegrationKey, values: dict[str, Any]) -> IntegrationKey:
        """Change it."""
        return change_integration_key(row, **values)

    @extend_schema(request=RotationInput, responses={201: IssuedIntegrationKeySerializer})
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Issue a successor; the old secret works on for the overlap (default a day)."""
        return self.write("rotate", self._rotate, answer_status=status.HTTP_201_CREATED)

    def _rotate(self) -> IssuedIntegrationKey:
        overlap = timedelta(seconds=self.written(RotationInput)["overlap_seconds"])
        return rotate_integration_key(self.get_object(), overlap=overlap)

    @extend_schema(request=None, responses={200: IntegrationKeySerializer})
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """End a key now, for good."""
        return self.write("revoke", lambda: revoke_integration_key(self.get_object()))

    def represent(self, row: Any) -> Any:
        """A key, with its secret when it has just been issued."""
        if isinstance(row, IssuedIntegrationKey):
            return dict(IntegrationKeySerializer(row.key).data) | {"secret": row.secret}
        return super().represent(row)
