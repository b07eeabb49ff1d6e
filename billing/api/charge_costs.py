"""`/v1/charges/{id}/costs`: what a call cost the operator, known after it was charged."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request

from accounts.scoping import viewer_of, visible
from billing.api.schemas import CostSerializer
from billing.costs import correct_cost
from billing.models import CostEntry
from billing.reports.charge import find_charge, find_event
from core.api.fields import AmountField, InstantField, TextField
from core.api.resources import Listable, actor_of
from core.api.serializers import ShownSerializer, StrictSerializer
from core.ids import public_id
from metering.event_values import check_costs
from metering.models import UsageEvent


@extend_schema_field(CostSerializer(many=True))
class CostsField(serializers.Field[Any, Any, Any, Any]):
    """Cost parts, in the shape that they have on an event."""

    def to_internal_value(self, data: Any) -> Any:
        """The parts; raises InvalidRequest that names the part and its field."""
        return check_costs(data)

    def to_representation(self, value: Any) -> Any:
        """As they are stored."""
        return value


class CostEntryInput(StrictSerializer):
    """All that vendors take for the call, in place of what was known. `[]`: it is known to cost nothing."""

    costs = CostsField()
    reason = TextField(required=False, max_length=1000)


class CostEntrySerializer(ShownSerializer):
    """What is known of a call's cost from here on: `cost` in the payer's currency, null = not comparable.

    `change` is what the margin lost by it. `vendor_bill`: whose share it is, where it comes from a bill.
    """

    event = serializers.CharField(source="event_public_id")
    locals()["source"] = serializers.ChoiceField(CostEntry.Source.choices)
    costs = CostsField()
    cost = AmountField(allow_null=True)
    change = AmountField()
    vendor_bill = serializers.SerializerMethodField()
    reason = serializers.CharField()
    recorded_at = InstantField()
    created_by = serializers.CharField()

    def get_vendor_bill(self, row: CostEntry) -> str | None:
        """The bill's public id."""
        return None if row.bill_id is None else public_id("vb", row.bill_id)


class ChargeCostResource(Listable):
    """The costs of a charge (or of an event that was only recorded, by its `evt_` id), known later."""

    prefix, noun = "cost", "charge_costs"
    queryset = CostEntry.objects.all()
    serializer_class = CostEntrySerializer

    def get_queryset(self) -> QuerySet[Any]:
        """Those of the call that the path names."""
        rows = visible(CostEntry, viewer_of(self.request))
        if getattr(self, "swagger_fake_view", False):
            return rows
        event = self._event()
        return rows.filter(customer_id=event.customer_id, event_id=event.id)

    @extend_schema(request=CostEntryInput, responses={201: CostEntrySerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Move the margin to what the call cost; its price stays."""
        return self.write(
            "create", self._correct, input_class=CostEntryInput, answer_status=status.HTTP_201_CREATED
        )

    def _correct(self) -> CostEntry:
        values = self.written(CostEntryInput)
        by = actor_of(self.request) or ""
        return correct_cost(self._event(), values["costs"], reason=values.get("reason", ""), by=by)

    def _event(self) -> UsageEvent:
        viewer, reference = viewer_of(self.request), self.kwargs["charge_id"]
        if reference.startswith("evt_"):
            return find_event(viewer, reference).event
        charge = find_charge(viewer, reference)
        events = visible(UsageEvent, viewer).filter(customer_id=charge.customer_id, id=charge.event_id)
        return events.get(recorded_at=charge.event_recorded_at)
