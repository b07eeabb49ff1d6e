"""`/v1/simulations`: backtests as jobs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import django_filters
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Abs
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request

from accounts.api.tenants import TenantField, TenantFilter
from accounts.models import BillingEntity, Customer
from accounts.scoping import viewer_of, visible
from billing.api.simulation_shapes import SimulationRowSerializer, SimulationSerializer
from billing.simulations import cancel_simulation, request_simulation
from billing.simulations.asking import GROWS_BY, VERSIONS_MAX
from billing.simulations.export import csv_rows
from core.api.fields import AmountField, InstantField
from core.api.references import ReferenceField, find_referenced
from core.api.renderers import JSONRenderer
from core.api.resources import Creatable, Listable, Readable, Resource, actor_of
from core.api.serializers import StrictSerializer
from core.fields import AmountField as ModelAmountField
from pricing.api.plans import find_plan
from pricing.models import PlanVersion, Simulation, SimulationRow
from pricing.simulation import Cohort
from pricing.simulation.outcomes import HUNDRED, Outcome

NAMED_MAX = 1000


class SimulatedCohortInput(StrictSerializer):
    """Whom to simulate: everything left out = all who had a subscription in the window."""

    customers = serializers.ListField(
        child=TenantField(Customer, prefix="cus"), required=False, max_length=NAMED_MAX
    )
    billing_entities = serializers.ListField(
        child=TenantField(BillingEntity, prefix="be"), required=False, max_length=NAMED_MAX
    )
    plan = serializers.CharField(required=False, max_length=200)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The cohort."""
        plan = attrs.get("plan")
        return {
            "cohort": Cohort(
                customer_ids=tuple(row.pk for row in attrs.get("customers", ())),
                payer_ids=tuple(row.pk for row in attrs.get("billing_entities", ())),
                plan_id=None if plan is None else find_plan(plan, "cohort.plan").pk,
            )
        }


class SimulationInput(StrictSerializer):
    """Versions (drafts too) and hypothetical contents, side by side, over usage of `[from, to)`.

    `to` is cut to now. `grows_by`: percent; who pays more than that more is counted as growing.
    """

    versions = serializers.ListField(
        child=ReferenceField(PlanVersion, prefix="pv"), required=False, max_length=VERSIONS_MAX
    )
    contents = serializers.ListField(
        child=serializers.DictField(), required=False, max_length=VERSIONS_MAX, help_text="Plan documents."
    )
    to = InstantField()
    cohort = SimulatedCohortInput(required=False)
    grows_by = AmountField(required=False, min_value=Decimal(0))


SimulationInput._declared_fields["from"] = InstantField()  # a word Python keeps for itself


class SimulationFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which simulations."""

    status = django_filters.ChoiceFilter(choices=Simulation.Status.choices)


class SimulationRowFilters(django_filters.FilterSet):  # type: ignore[misc]
    """`?version=` (from 0), `?outcome=`, `?customer=`, `?grows_by=` (percent, and more)."""

    version = django_filters.NumberFilter(min_value=0, max_value=VERSIONS_MAX)
    customer = TenantFilter("customer_id", Customer, prefix="cus")
    outcome = django_filters.ChoiceFilter(
        choices=[(outcome.value, outcome.value) for outcome in Outcome], method="of_outcome"
    )
    grows_by = django_filters.NumberFilter(min_value=0, max_value=10**9, method="growing")

    def of_outcome(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Winners, losers or neither."""
        side = {Outcome.WINNER: "difference__lt", Outcome.LOSER: "difference__gt"}
        return rows.filter(**{side.get(Outcome(value), "difference"): 0})

    def growing(self, rows: QuerySet[Any], name: str, value: Decimal) -> QuerySet[Any]:
        """Those whose bill grows by more than so many percent."""
        allowed = Abs(F("current")) * Value(value / HUNDRED, output_field=ModelAmountField())
        return rows.filter(difference__gt=0).filter(difference__gt=allowed)


class CsvRenderer(JSONRenderer):
    """Lets who asks for CSV in; the file itself is streamed, and an error stays JSON."""

    media_type = "text/csv"
    format = "csv"


class SimulationResource(Listable, Readable, Creatable):
    """Simulations; rows and CSV are below each."""

    prefix, noun = "sim", "simulations"
    queryset = Simulation.objects.all()
    serializer_class = SimulationSerializer
    input_class = SimulationInput
    filterset_class = SimulationFilters

    @extend_schema(request=SimulationInput, responses={202: SimulationSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Ask for a simulation; it runs in the background. Look at it again until its status is `done`."""
        return self.write(
            "create", self._request, input_class=SimulationInput, answer_status=status.HTTP_202_ACCEPTED
        )

    def _request(self) -> Simulation:
        values = self.written(SimulationInput)
        return request_simulation(
            values.get("versions", ()),
            values.get("contents", ()),
            starts_at=values["from"],
            ends_at=values["to"],
            cohort=values.get("cohort", {}).get("cohort"),
            grows_by=values.get("grows_by", GROWS_BY),
            created_by=actor_of(self.request) or "",
        )

    @extend_schema(request=None, responses=SimulationSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Call it off; the rows found so far stay."""
        return self.write("cancel", lambda: cancel_simulation(self.get_object()))

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.STR})
    @action(detail=True, methods=["get"], renderer_classes=[JSONRenderer, CsvRenderer])
    def export(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """All rows as CSV."""
        simulation = self.get_object()
        name = f'attachment; filename="{simulation.public_id}.csv"'
        return StreamingHttpResponse(
            csv_rows(simulation),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": name, "Cache-Control": "no-store"},
        )


class SimulationRowResource(Listable, Resource):
    """The rows of one simulation, those first who would pay most more."""

    prefix, noun = "sim", "simulation_rows"
    queryset = SimulationRow.objects.all()
    serializer_class = SimulationRowSerializer
    filterset_class = SimulationRowFilters
    ordering = ("version", "-difference", "id")

    def get_queryset(self) -> QuerySet[Any]:
        """The rows of the simulation that the path names."""
        simulation = find_referenced(Simulation.objects.all(), "sim", self.kwargs["simulation_id"])
        return visible(SimulationRow, viewer_of(self.request)).filter(simulation=simulation)
