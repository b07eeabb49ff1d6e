"""`/v1/reconciliation-runs` and `/v1/discrepancies`: for the operator's eyes."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Prefetch, QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request

from accounts.api.tenants import TenantField, TenantFilter, TenantResource
from accounts.models import BillingEntity, Customer
from billing.models import Discrepancy, DiscrepancyComment, ReconciliationCheck, ReconciliationRun
from billing.reconciliation.discrepancies import BY_HAND, change_discrepancy, comment
from billing.reconciliation.runs import cancel_run, request_run
from core import clock
from core.api.fields import AmountField, InstantField, TextField
from core.api.references import IdField
from core.api.resources import Changeable, Creatable, Listable, Readable, actor_of
from core.api.serializers import ShownSerializer, StrictSerializer

HAND_CHOICES = [(one.value, one.label) for one in BY_HAND]


class ReconciliationRunInput(StrictSerializer):
    """What to look at: what came since it was proven (`incremental`), or everything (`full`)."""

    kind = serializers.ChoiceField(ReconciliationRun.Kind.choices, required=False)
    customer = TenantField(Customer, prefix="cus", required=False, allow_null=True)


class ReconciliationCheckSerializer(serializers.Serializer[ReconciliationCheck]):
    """One link of a run. `drift`: the amounts without their signs, added up by unit."""

    link = serializers.CharField()
    rows = serializers.IntegerField()
    discrepancies = serializers.IntegerField()
    drift = serializers.DictField(child=serializers.CharField())


class ReconciliationRunSerializer(ShownSerializer):
    """A run. Data is complete up to `as_of`; it has done `customers_done` of `customers_total`."""

    kind = serializers.ChoiceField(ReconciliationRun.Kind.choices)
    status = serializers.ChoiceField(ReconciliationRun.Status.choices)
    customer = IdField(prefix="cus", source="only_customer_id")
    as_of = InstantField(allow_null=True)
    customers_total = serializers.IntegerField(allow_null=True)
    customers_done = serializers.IntegerField()
    rows_checked = serializers.IntegerField()
    events_checked = serializers.IntegerField()
    found = serializers.IntegerField()
    new = serializers.IntegerField()
    resolved = serializers.IntegerField()
    problem = serializers.CharField()
    checks = ReconciliationCheckSerializer(many=True)
    created_at = InstantField()
    created_by = serializers.CharField()
    started_at = InstantField(allow_null=True)
    progressed_at = InstantField(allow_null=True)
    finished_at = InstantField(allow_null=True)


class ReconciliationRunFilters(django_filters.FilterSet):  # type: ignore[misc]
    """`?status=`, `?kind=`."""

    status = django_filters.ChoiceFilter(choices=ReconciliationRun.Status.choices)
    kind = django_filters.ChoiceFilter(choices=ReconciliationRun.Kind.choices)


class ReconciliationRunResource(Listable, Readable, Creatable, TenantResource):
    """Runs of the reconciliation."""

    model, prefix, noun = ReconciliationRun, "rec", "reconciliation_runs"
    serializer_class = ReconciliationRunSerializer
    input_class = ReconciliationRunInput
    filterset_class = ReconciliationRunFilters

    def get_queryset(self) -> QuerySet[Any]:
        """All runs, for the operator alone."""
        checks = ReconciliationCheck.objects.order_by("pk")
        return super().get_queryset().prefetch_related(Prefetch("checks", queryset=checks))

    @extend_schema(request=ReconciliationRunInput, responses={202: ReconciliationRunSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Ask for a run; it goes on in the background. Look at it again until its status is `done`.

        409 `reconciliation_running` while another one is not finished: there is never more than one.
        """
        return self.write(
            "create",
            lambda: self.perform_create(self.written(ReconciliationRunInput)),
            input_class=ReconciliationRunInput,
            answer_status=status.HTTP_202_ACCEPTED,
        )

    def perform_create(self, values: dict[str, Any]) -> ReconciliationRun:
        """Queue it."""
        kind = values.get("kind", ReconciliationRun.Kind.INCREMENTAL)
        return request_run(kind, customer=values.get("customer"), created_by=actor_of(self.request) or "")

    @extend_schema(request=None, responses=ReconciliationRunSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Call it off; what it has found so far stays."""
        StrictSerializer(data=request.data).is_valid(raise_exception=True)  # it has no fields
        return self.write("cancel", lambda: cancel_run(self.get_object()))


class DiscrepancyCommentInput(StrictSerializer):
    """A comment."""

    text = TextField(max_length=5000)


class DiscrepancyCommentSerializer(ShownSerializer):
    """What somebody said of a discrepancy."""

    text = serializers.CharField()
    created_at = InstantField()
    created_by = serializers.CharField()


class DiscrepancyChange(StrictSerializer):
    """Who looks after it, and how it stands; only a run resolves one."""

    owner = serializers.CharField(required=False, max_length=200, allow_blank=True)
    status = serializers.ChoiceField(HAND_CHOICES, required=False)


class DiscrepancySerializer(ShownSerializer):
    """Two sides that disagree: `amount` = actual - expected, in `unit` (a currency, or what is counted).

    `age_days`: whole days since it was first found, until it was resolved.
    """

    link = serializers.CharField()
    type = serializers.CharField()
    customer = IdField(prefix="cus", source="customer_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    subject = serializers.CharField()
    expected = AmountField(allow_null=True)
    actual = AmountField(allow_null=True)
    amount = AmountField()
    unit = serializers.CharField()
    cause = serializers.CharField()
    detail = serializers.DictField()
    owner = serializers.CharField()
    status = serializers.ChoiceField(Discrepancy.Status.choices)
    found_times = serializers.IntegerField()
    first_found_at = InstantField()
    last_found_at = InstantField()
    first_run = IdField(prefix="rec", source="first_run_id")
    last_run = IdField(prefix="rec", source="last_run_id")
    resolved_at = InstantField(allow_null=True)
    resolved_by_run = IdField(prefix="rec", source="resolved_by_run_id")
    age_days = serializers.SerializerMethodField()
    comments = DiscrepancyCommentSerializer(many=True)

    def get_age_days(self, row: Discrepancy) -> int:
        """How long it has stood, or stood."""
        return ((row.resolved_at or clock.now()) - row.first_found_at).days


class DiscrepancyFilters(django_filters.FilterSet):  # type: ignore[misc]
    """`?status=`, `?link=`, `?type=`, `?owner=`, `?customer=`, `?billing_entity=`."""

    status = django_filters.ChoiceFilter(choices=Discrepancy.Status.choices)
    link = django_filters.CharFilter()
    type = django_filters.CharFilter()
    owner = django_filters.CharFilter()
    customer = TenantFilter("customer_id", Customer, prefix="cus")
    billing_entity = TenantFilter("billing_entity_id", BillingEntity, prefix="be")


class DiscrepancyResource(Listable, Readable, Changeable, TenantResource):
    """What does not agree."""

    model, prefix, noun = Discrepancy, "dis", "discrepancies"
    serializer_class = DiscrepancySerializer
    change_class = DiscrepancyChange
    filterset_class = DiscrepancyFilters

    def get_queryset(self) -> QuerySet[Any]:
        """What the caller may see."""
        comments = DiscrepancyComment.objects.order_by("pk")
        return super().get_queryset().prefetch_related(Prefetch("comments", queryset=comments))

    def perform_change(self, row: Discrepancy, values: dict[str, Any]) -> Discrepancy:
        """Change it."""
        change_discrepancy(row, **values)
        return self.get_object()  # type: ignore[no-any-return]

    @extend_schema(request=DiscrepancyCommentInput, responses={201: DiscrepancySerializer})
    @action(detail=True, methods=["post"])
    def comments(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Say something of it; answers the discrepancy with all its comments."""
        return self.write(
            "comment",
            self._comment,
            input_class=DiscrepancyCommentInput,
            answer_status=status.HTTP_201_CREATED,
        )

    def _comment(self) -> Discrepancy:
        row: Discrepancy = self.get_object()
        comment(row, self.written(DiscrepancyCommentInput)["text"], by=actor_of(self.request) or "")
        return self.get_object()  # type: ignore[no-any-return]
