"""`/v1/meters`."""

from __future__ import annotations

from typing import Any, Final

import django_filters
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request

from core.api.fields import BooleanField, InstantField, TextField
from core.api.resources import Changeable, Creatable, Listable, Readable
from core.api.serializers import StrictSerializer
from core.errors import NotFound
from metering.api.conditions import ConditionsField
from metering.meters import archive_meter, change_meter, create_meter
from metering.models import Meter

DEFINITION: Final = ("event", "aggregation", "property", "filter", "group_by", "carry_over")


class MeterChange(StrictSerializer):
    """What may change: labels at any time, the rest until the meter is first used."""

    name = TextField(required=False)
    event = TextField(required=False)
    aggregation = serializers.ChoiceField(Meter.Aggregation.choices, required=False)
    property = TextField(required=False, allow_null=True)
    filter = ConditionsField(required=False)
    group_by = serializers.ListField(child=TextField(), required=False)
    carry_over = BooleanField(required=False)
    unit = TextField(required=False, allow_blank=True, max_length=40)
    late_policy = serializers.ChoiceField(Meter.LatePolicy.choices, required=False)


class MeterInput(MeterChange):
    """A new meter."""

    key = TextField(max_length=100)
    event = TextField()
    aggregation = serializers.ChoiceField(Meter.Aggregation.choices)


class MeterSerializer(serializers.Serializer[Meter]):
    """A meter as the API shows it; `frozen_at` is set once its definition may not change any more."""

    id = serializers.CharField(source="public_id")
    key = serializers.CharField()
    name = serializers.CharField()
    event = serializers.CharField()
    aggregation = serializers.ChoiceField(Meter.Aggregation.choices)
    property = serializers.CharField(source="property_path", allow_null=True)
    filter = ConditionsField()
    group_by = serializers.ListField(child=serializers.CharField())
    carry_over = serializers.BooleanField()
    unit = serializers.CharField()
    late_policy = serializers.ChoiceField(Meter.LatePolicy.choices)
    created_at = InstantField()
    frozen_at = InstantField(allow_null=True)
    archived_at = InstantField(allow_null=True)


class MeterFilter(django_filters.FilterSet):  # type: ignore[misc]
    """`?event=`, `?aggregation=`, `?archived=true|false`."""

    event = django_filters.CharFilter()
    aggregation = django_filters.ChoiceFilter(choices=Meter.Aggregation.choices)
    archived = django_filters.BooleanFilter(field_name="archived_at", lookup_expr="isnull", exclude=True)


class MeterResource(Listable, Readable, Creatable, Changeable):
    """Meters; one is named by its id or its key."""

    lookup_value_regex = "[^/]+"  # keys may contain a point
    prefix = "mtr"
    noun = "meters"
    queryset = Meter.objects.all()
    serializer_class = MeterSerializer
    input_class = MeterInput
    change_class = MeterChange
    filterset_class = MeterFilter

    def get_object(self) -> Meter:
        """The meter that the path names."""
        try:
            meter: Meter = super().get_object()
        except NotFound:
            key = self.kwargs[self.lookup_field]
            found = None if "\x00" in key else Meter.objects.filter(key=key).first()
            if found is None:
                raise
            return found
        return meter

    def perform_create(self, values: dict[str, Any]) -> Meter:
        """Make a meter."""
        definition, labels = _divided(values)
        return create_meter(key=labels.pop("key"), definition=definition, **labels)

    def perform_change(self, row: Meter, values: dict[str, Any]) -> Meter:
        """Change a meter."""
        definition, labels = _divided(values)
        return change_meter(row, definition=definition, **labels)

    @extend_schema(request=None, responses=MeterSerializer)
    @action(detail=True, methods=["post"])
    def archive(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Take it out of use: no new plan may name it; what rests on it goes on counting."""
        return self.write("archive", lambda: archive_meter(self.get_object()))


def _divided(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    definition = {name: value for name, value in values.items() if name in DEFINITION}
    return definition, {name: value for name, value in values.items() if name not in DEFINITION}
