"""`/v1/discrepancies/{id}/repair`: what may be done about a discrepancy, its preview, and doing it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.tenants import TenantResource
from accounts.scoping import viewer_of, visible
from billing.models import Discrepancy, Repair
from billing.reconciliation.finding import Finding
from billing.reconciliation.repairs.running import (
    Preview,
    actions_for,
    do_repair,
    find_action,
    preview_repair,
)
from core.api.fields import AmountField, BooleanField, InstantField, TextField
from core.api.references import IdField, find_referenced
from core.api.resources import Listable, actor_of
from core.api.serializers import ShownSerializer, StrictSerializer
from core.errors import InvalidRequest


class RepairInput(StrictSerializer):
    """Which repair. First with `preview` true; then with the `facts` that the preview gave, and a reason."""

    action = TextField(max_length=40)
    preview = BooleanField(required=False)
    facts = TextField(max_length=64, required=False)
    reason = TextField(max_length=1000, required=False)


class RepairWriteSerializer(serializers.Serializer[Any]):
    """One row that it writes; `before` null: a new row."""

    table = serializers.CharField()
    row = serializers.CharField()
    before = serializers.DictField(allow_null=True)
    after = serializers.DictField()


class SidesSerializer(serializers.Serializer[Any]):
    """What the two sides say."""

    expected = AmountField(allow_null=True)
    actual = AmountField(allow_null=True)
    amount = AmountField(source="difference")
    unit = serializers.CharField()


class RepairPreviewSerializer(serializers.Serializer[Any]):
    """What a repair would write. `after` null: the two sides agree; nothing is written by a preview."""

    action = serializers.CharField()
    effect = serializers.CharField()
    facts = serializers.CharField()
    writes = RepairWriteSerializer(many=True)
    before = SidesSerializer()
    after = SidesSerializer(allow_null=True)


class RepairSerializer(ShownSerializer):
    """A repair that was done, and all that it wrote. `seq`: the payer's number of the entries it posted."""

    discrepancy = IdField(prefix="dis", source="discrepancy_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    action = serializers.CharField()
    reason = serializers.CharField()
    writes = RepairWriteSerializer(many=True)
    seq = serializers.IntegerField(allow_null=True)
    done_at = InstantField()
    done_by = serializers.CharField()


class RepairOfferSerializer(serializers.Serializer[Any]):
    """A repair that may be done. `posts`: it posts new entries; else it rebuilds or delivers again."""

    action = serializers.CharField(source="name")
    title = serializers.CharField()
    effect = serializers.CharField()
    posts = serializers.BooleanField()


class OffersSerializer(serializers.Serializer[Any]):
    """The repairs that may be done about a discrepancy."""

    data = RepairOfferSerializer(many=True)  # type: ignore[assignment]


ANSWER = PolymorphicProxySerializer(
    component_name="RepairAnswer",
    serializers=[RepairPreviewSerializer, RepairSerializer],
    resource_type_field_name=None,
)


class RepairResource(TenantResource):
    """The repairs of one discrepancy."""

    model, prefix, noun = Discrepancy, "dis", "repairs"
    serializer_class = RepairSerializer
    input_class = RepairInput

    @extend_schema(responses=OffersSerializer)
    def offers(self, request: Request, **kwargs: Any) -> Response:
        """What may be done about it; empty when nothing here can tell what was right."""
        offers = actions_for(self.get_object())
        return Response({"data": RepairOfferSerializer(offers, many=True).data})

    @extend_schema(request=RepairInput, responses={200: ANSWER})
    def repair(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Preview a repair, or do one whose facts still hold.

        409 `facts_changed` when its preview would be another one now, `mend_first` when what it derives from
        is found wrong itself, `already_gone` when the sides agree.
        """
        if self.written(RepairInput).get("preview"):
            self.request_key()  # refuses one that is none; there is nothing to be done once
            return Response(self.represent(self._work()))
        return self.write("repair", self._work, input_class=RepairInput)

    def represent(self, row: Any) -> Any:
        """A preview, or the repair that was done."""
        return _shown(row) if isinstance(row, Preview) else super().represent(row)

    def _work(self) -> Preview | Repair:
        values, by = self.written(RepairInput), actor_of(self.request) or ""
        row: Discrepancy = self.get_object()
        action = find_action(row, values["action"])
        if values.get("preview"):
            return preview_repair(row, action, reason=values.get("reason", ""), by=by)
        for name in ("facts", "reason"):
            if name not in values:
                raise InvalidRequest("required", f"{name} is needed to do a repair.", name)
        return do_repair(row, action, facts=values["facts"], reason=values["reason"], by=by)


class RepairsOfResource(Listable, TenantResource):
    """The repairs that were done about a discrepancy."""

    model, prefix, noun = Repair, "rpr", "repairs"
    serializer_class = RepairSerializer

    def get_queryset(self) -> QuerySet[Any]:
        """Those of the discrepancy that the path names."""
        rows = super().get_queryset()
        if getattr(self, "swagger_fake_view", False):
            return rows
        found = visible(Discrepancy, viewer_of(self.request))
        return rows.filter(discrepancy=find_referenced(found, "dis", self.kwargs["id"]))


def _shown(preview: Preview) -> dict[str, Any]:
    return {
        "action": preview.action.name,
        "effect": preview.action.effect,
        "facts": preview.facts,
        "writes": [write.shown() for write in preview.writes],
        "before": _sides(preview.before),
        "after": None if preview.after is None else _sides(preview.after),
    }


def _sides(finding: Finding) -> Any:
    return SidesSerializer(finding).data
