"""`GET /v1/usage`: what was used, as time series."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.authentication import AnyKeyAuthentication
from core import clock
from core.api.fields import InstantField, QuantityField
from metering.api.permissions import OwnWorkspaceOrScope
from metering.api.windows import (
    read_names,
    read_parameters,
    read_scope,
    read_window,
    series_parameters,
    window_answer,
)
from metering.models import Meter, UsageEvent
from metering.usage import UsageQuestion, UsageSeries, find_meters, usage_series
from metering.usage.questions import check_group_by


class UsagePointSerializer(serializers.Serializer[Any]):
    """One period; a period without a point had no events."""

    start = InstantField()
    end = InstantField()
    value = QuantityField(allow_null=True)
    events = serializers.IntegerField()


class UsageSeriesSerializer(serializers.Serializer[Any]):
    """One meter and combination of dimension values; `total` is the quantity of the whole window."""

    meter = serializers.CharField()
    event = serializers.CharField()
    aggregation = serializers.ChoiceField(Meter.Aggregation.choices)
    unit = serializers.CharField()
    group = serializers.DictField(child=serializers.CharField(allow_null=True))
    total = QuantityField(allow_null=True)
    events = serializers.IntegerField()
    points = UsagePointSerializer(many=True)


class UsageAnswerSerializer(serializers.Serializer[Any]):
    """Usage in a window, complete up to `as_of`."""

    as_of = InstantField()
    locals()["from"] = InstantField()
    to = InstantField()
    granularity = serializers.CharField()
    time_zone = serializers.CharField()
    group_by = serializers.ListField(child=serializers.CharField())
    data = UsageSeriesSerializer(many=True)  # type: ignore[assignment]


class UsageView(APIView):
    """Usage of a customer, a payer or a workspace. Billing serves it, and says what was reversed."""

    authentication_classes = [AnyKeyAuthentication]
    permission_classes = [OwnWorkspaceOrScope]

    def counting(self, events: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
        """Those of the events that count."""
        return events

    @extend_schema(
        operation_id="usage_read",
        tags=["usage"],
        parameters=series_parameters(
            OpenApiParameter("meter", str, description="Keys or ids, separated by commas; default all.")
        ),
        responses=UsageAnswerSerializer,
    )
    def get(self, request: Request) -> Response:
        """What was used. A customer's own key sees its workspace."""
        as_of = clock.now()
        given = read_parameters(request, {"meter", "group_by"})
        scope = read_scope(request, given)
        window = read_window(given, scope)
        references, group_by = read_names(given, "meter"), check_group_by(read_names(given, "group_by"))
        meters = find_meters(references) if references else None
        series = usage_series(UsageQuestion(scope, window, meters, group_by), self.counting)
        shown = [_series(one, group_by) for one in series]
        return Response(window_answer(window, as_of) | {"group_by": list(group_by), "data": shown})


def _series(series: UsageSeries, group_by: tuple[str, ...]) -> dict[str, Any]:
    points = [
        {"start": point.start, "end": point.end, "value": point.value, "events": point.events}
        for point in series.points
    ]
    return {
        "meter": series.meter.key,
        "event": series.meter.event,
        "aggregation": series.meter.aggregation,
        "unit": series.meter.unit,
        "group": dict(zip(group_by, series.group, strict=True)),
        "total": series.total,
        "events": series.events,
        "points": points,
    }
