"""`/v1/quarantine`: events that could not be taken. Releasing them charges, and so is billing's."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request

from accounts.api.tenants import TenantFilter
from accounts.models import Customer
from accounts.scoping import viewer_of, visible
from core import clock
from core.api.fields import InstantField
from core.api.filters import InstantFilter
from core.api.resources import Listable, Readable, actor_of
from core.ids import hot_id, public_id
from metering.models import QuarantinedEvent
from metering.quarantine import sent_payload, with_payload_text, write_off_quarantined


class QuarantinedSerializer(serializers.Serializer[QuarantinedEvent]):
    """A quarantined event as the API shows it; `payload` is the event as sent, without the secret."""

    id = serializers.CharField(source="public_id")
    idempotency_key = serializers.CharField()
    status = serializers.ChoiceField(QuarantinedEvent.Status.choices)
    reason = serializers.ChoiceField(QuarantinedEvent.Reason.choices)
    message = serializers.CharField()
    customer = serializers.SerializerMethodField(allow_null=True)
    event = serializers.SerializerMethodField(allow_null=True)
    payload = serializers.SerializerMethodField()
    received_at = InstantField()
    resolved_at = InstantField(allow_null=True)
    resolved_by = serializers.CharField()

    def get_customer(self, row: QuarantinedEvent) -> str | None:
        """The customer, if it is known."""
        return None if row.customer_id is None else public_id("cus", row.customer_id)

    def get_event(self, row: QuarantinedEvent) -> str | None:
        """The event that a release made."""
        if row.event_id is None or row.customer_id is None:
            return None
        return hot_id("evt", row.customer_id, row.event_id)

    def get_payload(self, row: QuarantinedEvent) -> dict[str, Any]:
        """The event as sent."""
        return sent_payload(row)


class QuarantineFilter(django_filters.FilterSet):  # type: ignore[misc]
    """`?status=`, `?reason=`, `?customer=`, `?idempotency_key=`, `?received_from=`, `?received_to=`."""

    status = django_filters.ChoiceFilter(choices=QuarantinedEvent.Status.choices)
    reason = django_filters.ChoiceFilter(choices=QuarantinedEvent.Reason.choices)
    customer = TenantFilter("customer_id", Customer, prefix="cus")
    idempotency_key = django_filters.CharFilter()
    received_from = InstantFilter(field_name="received_at", lookup_expr="gte")
    received_to = InstantFilter(field_name="received_at", lookup_expr="lt")


class QuarantineResource(Listable, Readable):
    """Events in quarantine: wait there until staff release them or write them off."""

    prefix = "qe"
    noun = "quarantine"
    serializer_class = QuarantinedSerializer
    filterset_class = QuarantineFilter
    queryset = QuarantinedEvent.objects.all()

    def get_queryset(self) -> QuerySet[QuarantinedEvent]:
        """All of them: staff and integrations only."""
        return with_payload_text(visible(QuarantinedEvent, viewer_of(self.request)))

    @extend_schema(request=None, responses=QuarantinedSerializer)
    @action(detail=True, methods=["post"], url_path="write-off")
    def write_off(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Give a waiting event up: it will not be charged."""
        return self.write("write_off", self._write_off)

    def _write_off(self) -> QuarantinedEvent:
        row = self.get_object()
        write_off_quarantined(row.pk, by=actor_of(self.request) or "", at=clock.now())
        found: QuarantinedEvent = self.get_object()
        return found
