"""`GET /v1/costs` and `GET /v1/margins`: what calls cost and what they left, as time series."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.margins import Margin, MarginQuestion, MarginSeries, margin_series
from billing.margins.asking import GROUP_BY
from core import clock
from core.api.fields import AmountField, InstantField
from metering.api.windows import (
    read_names,
    read_parameters,
    read_scope,
    read_window,
    series_parameters,
    window_answer,
)
from metering.usage import find_meters
from metering.usage.questions import check_group_by

PARAMETERS = series_parameters(
    OpenApiParameter("meter", str, description="Only events that these meters hear, by name."),
    OpenApiParameter("event", str, description="Only events of these names, separated by commas."),
)


class CostFigures(serializers.Serializer[Any]):
    """Cost in the payer's currency, null = not known of any event; `cost_coverage`: of what part it is."""

    cost = AmountField(allow_null=True)
    cost_coverage = AmountField(allow_null=True)
    events = serializers.IntegerField()
    costed = serializers.IntegerField()


class MarginFigures(CostFigures):
    """Revenue less known cost; as good as its `cost_coverage`."""

    revenue = AmountField()
    margin = AmountField(allow_null=True)
    margin_rate = AmountField(allow_null=True)
    unmatched = serializers.IntegerField()
    unpriced = serializers.IntegerField()


class CostPointSerializer(CostFigures):
    """One period; a period without a point had no events."""

    start = InstantField()
    end = InstantField()


class CostSeriesSerializer(serializers.Serializer[Any]):
    """One currency and combination of dimension values."""

    currency = serializers.CharField()
    group = serializers.DictField(child=serializers.CharField(allow_null=True))
    total = CostFigures()
    points = CostPointSerializer(many=True)


class CostAnswerSerializer(serializers.Serializer[Any]):
    """Costs in a window, complete up to `as_of`."""

    as_of = InstantField()
    locals()["from"] = InstantField()
    to = InstantField()
    granularity = serializers.CharField()
    time_zone = serializers.CharField()
    group_by = serializers.ListField(child=serializers.CharField())
    data = CostSeriesSerializer(many=True)  # type: ignore[assignment]


class MarginPointSerializer(MarginFigures):
    """One period; a period without a point had no events."""

    start = InstantField()
    end = InstantField()


class MarginSeriesSerializer(serializers.Serializer[Any]):
    """One currency and combination of dimension values."""

    currency = serializers.CharField()
    group = serializers.DictField(child=serializers.CharField(allow_null=True))
    total = MarginFigures()
    points = MarginPointSerializer(many=True)


class MarginAnswerSerializer(CostAnswerSerializer):
    """Margins in a window, complete up to `as_of`."""

    data = MarginSeriesSerializer(many=True)  # type: ignore[assignment]


class CostsView(APIView):
    """What calls cost the operator: for the operator's eyes."""

    figures: ClassVar[type[serializers.Serializer[Any]]] = CostFigures

    @extend_schema(
        operation_id="costs_read", tags=["costs"], parameters=PARAMETERS, responses=CostAnswerSerializer
    )
    def get(self, request: Request) -> Response:
        """Vendor costs, converted to the payer's currency, with their coverage."""
        return self.answer(request)

    def answer(self, request: Request) -> Response:
        """The series that the parameters ask for."""
        as_of = clock.now()
        given = read_parameters(request, {"meter", "event", "group_by"})
        scope = read_scope(request, given)
        window = read_window(given, scope)
        group_by = check_group_by(read_names(given, "group_by"), GROUP_BY)
        found = margin_series(MarginQuestion(scope, window, _events(given), group_by))
        shown = [self._series(one, group_by) for one in found]
        return Response(window_answer(window, as_of) | {"group_by": list(group_by), "data": shown})

    def _series(self, series: MarginSeries, group_by: tuple[str, ...]) -> dict[str, Any]:
        points = [
            {"start": point.start, "end": point.end, **self._figures(point.margin)} for point in series.points
        ]
        group = dict(zip(group_by, series.group, strict=True))
        total = self._figures(series.total)
        return {"currency": series.currency, "group": group, "total": total, "points": points}

    def _figures(self, margin: Margin) -> dict[str, Any]:
        return dict(self.figures(margin).data)


class MarginsView(CostsView):
    """What calls left: for the operator's eyes."""

    figures = MarginFigures

    @extend_schema(
        operation_id="margins_read", tags=["margins"], parameters=PARAMETERS, responses=MarginAnswerSerializer
    )
    def get(self, request: Request) -> Response:
        """Revenue, cost and margin, with the coverage of the cost."""
        return self.answer(request)


def _events(given: dict[str, str]) -> tuple[str, ...] | None:
    """The names of the events asked for; None for all."""
    names = set(read_names(given, "event"))
    references = read_names(given, "meter")
    if references:
        heard = {meter.event for meter in find_meters(references)}
        names = names & heard if names else heard
    return tuple(sorted(names)) if names or references else None
