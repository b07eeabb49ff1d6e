"""`GET /v1/meters/compare`: which meter follows cost best."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.simulations.metrics import MetricComparison, compare_metrics
from core import clock
from core.api.fields import AmountField, InstantField
from core.api.filters import refuse_unknown
from core.errors import InvalidRequest
from core.instants import parse_instant
from metering.models import Meter
from pricing.cycles import Period

DEFAULT_DAYS = 90


class MetricFitSerializer(serializers.Serializer[Any]):
    """A meter as the value metric: how it follows cost, and what one price would leave of each customer.

    `price`: per unit, for the same revenue in all. Margins are parts of what a customer would pay.
    """

    meter = serializers.CharField()
    event = serializers.CharField()
    aggregation = serializers.ChoiceField(Meter.Aggregation.choices)
    unit = serializers.CharField()
    correlation = AmountField(allow_null=True)
    r_squared = AmountField(allow_null=True)
    price = AmountField(allow_null=True)
    margin_p10 = AmountField(allow_null=True)
    margin_median = AmountField(allow_null=True)
    margin_p90 = AmountField(allow_null=True)
    spread = AmountField(allow_null=True)
    below_cost = serializers.IntegerField()
    unbilled = serializers.IntegerField()


class MetricComparisonSerializer(serializers.Serializer[Any]):
    """The meters of payers with one currency, the best first."""

    currency = serializers.CharField()
    customers = serializers.IntegerField()
    revenue = AmountField(source="total.revenue")
    cost = AmountField(source="total.cost", allow_null=True)
    cost_coverage = AmountField(source="total.cost_coverage", allow_null=True)
    meters = MetricFitSerializer(many=True)


class MetricComparisonAnswer(serializers.Serializer[Any]):
    """One comparison for each currency."""

    as_of = InstantField()
    locals()["from"] = InstantField()
    to = InstantField()
    data = MetricComparisonSerializer(many=True)  # type: ignore[assignment]


class CompareMetricsView(APIView):
    """Meters beside what customers cost: for the operator's eyes."""

    @extend_schema(
        operation_id="meters_compare",
        tags=["meters"],
        parameters=[
            OpenApiParameter("from", str, description=f"Default: {DEFAULT_DAYS} days before `to`."),
            OpenApiParameter("to", str, description="Default: now."),
            OpenApiParameter("currency", str, description="Only payers with this currency."),
        ],
        responses=MetricComparisonAnswer,
    )
    def get(self, request: Request) -> Response:
        """Tracked meters ranked by how well they follow cost, with the spread of margins at one price."""
        refuse_unknown(request, {"from", "to", "currency"})
        now, given = clock.now(), request.query_params
        end = parse_instant(given["to"], "to") if "to" in given else now
        start = parse_instant(given["from"], "from") if "from" in given else end - timedelta(DEFAULT_DAYS)
        if start >= end:
            raise InvalidRequest("invalid_period", "`to` must be after `from`.", "to")
        found = compare_metrics(Period(start, end), given.get("currency"))
        shown = {"as_of": now, "from": start, "to": end, "data": [_shown(each) for each in found]}
        return Response(MetricComparisonAnswer(shown).data)


def _shown(comparison: MetricComparison) -> dict[str, Any]:
    meters = [
        {
            "meter": meter.key,
            "event": meter.event,
            "aggregation": meter.aggregation,
            "unit": meter.unit,
            "spread": fit.spread,
        }
        | {name: getattr(fit, name) for name in fit.__slots__}
        for meter, fit in comparison.fits
    ]
    return {
        "currency": comparison.currency,
        "customers": comparison.customers,
        "total": comparison.total,
        "meters": meters,
    }
