"""`POST /v1/backfills`: charge, by choice, stored events that nothing priced when they came."""

from __future__ import annotations

from typing import Any

from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from accounts.models import BillingEntity
from billing.rerating import ReRated, rerate_events
from core.api.fields import AmountField, InstantField, TextField
from core.api.references import ReferenceField
from core.api.resources import Resource
from core.api.serializers import StrictSerializer


class BackfillInput(StrictSerializer):
    """Which events: a payer's, perhaps of one name, that occurred in `[from, to)`."""

    billing_entity = ReferenceField(BillingEntity, prefix="be")
    event = TextField(required=False)
    to = InstantField(required=False)


BackfillInput._declared_fields["from"] = InstantField(required=False)  # a word Python keeps for itself


class BackfillSerializer(serializers.Serializer[ReRated]):
    """What it did: events looked at, events charged, and for how much in the payer's currency."""

    looked_at = serializers.IntegerField()
    charged = serializers.IntegerField()
    amount = AmountField()


class BackfillResource(Resource):
    """Re-rating of stored events."""

    prefix, noun = "bf", "backfills"
    serializer_class = BackfillSerializer

    @extend_schema(request=BackfillInput, responses={201: BackfillSerializer})
    def create(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Charge each event once at the price that covers it now; safe to run again."""
        return self.write("create", self._create, input_class=BackfillInput, answer_status=201)

    def _create(self) -> ReRated:
        values = self.written(BackfillInput)
        return rerate_events(
            values["billing_entity"],
            since=values.get("from"),
            until=values.get("to"),
            event=values.get("event"),
        )
