"""`/v1/gateway-counts`, `/v1/payment-statements`, `/v1/provider-payments`: what others say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import django_filters
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from accounts.api.tenants import TenantFilter, TenantResource
from accounts.models import ApiKey, Customer
from billing.models import GatewayCount, PaymentStatement, ProviderPayment
from billing.outside.gateway_counts import SOURCE, LoadReport, RowProblem, load_counts, read_count
from billing.outside.payments import PaymentRow, load_payments, read_payment
from core.api.fields import AmountField, InstantField, TextField
from core.api.references import IdField
from core.api.resources import Creatable, Listable, Readable, actor_of
from core.api.serializers import ShownSerializer, StrictSerializer
from core.errors import InvalidRequest, TollgateError

ROWS_MAX: Final = 10_000


class RowsField(serializers.ListField):
    """A list of objects, each looked at by its own reader."""

    child = serializers.DictField()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**({"max_length": ROWS_MAX} | kwargs))


class GatewayCountsInput(StrictSerializer):
    """A gateway's counts: `[{"api_key", "hour", "calls", "event"?}]`.

    `counted_until` (default: now) says up to when it had counted; later hours are not complete yet.
    """

    counts = RowsField()
    source = TextField(max_length=100, required=False)  # type: ignore[assignment]
    counted_until = InstantField(required=False)


class RowErrorSerializer(serializers.Serializer[Any]):
    """A row that was not taken."""

    index = serializers.IntegerField()
    error = serializers.DictField()


class LoadReportSerializer(serializers.Serializer[Any]):
    """What came of the rows."""

    added = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    superseded = serializers.IntegerField()
    errors = RowErrorSerializer(many=True)  # type: ignore[assignment]


class GatewayCountSerializer(ShownSerializer):
    """A gateway's count of one key and hour. `superseded_at`: when a newer count took its place."""

    customer = IdField(prefix="cus", source="customer_id")
    api_key = IdField(prefix="key", source="api_key_id")
    hour = InstantField()
    event = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    calls = serializers.IntegerField()
    counted_until = InstantField()
    loaded_at = InstantField()
    loaded_by = serializers.CharField()
    superseded_at = InstantField(allow_null=True)


class StandingFilters(django_filters.FilterSet):  # type: ignore[misc]
    """`?standing=true`: without what a newer statement superseded."""

    standing = django_filters.BooleanFilter(field_name="superseded_at", lookup_expr="isnull")


class GatewayCountFilters(StandingFilters):
    """Whose counts, of which gateway."""

    customer = TenantFilter("customer_id", Customer, prefix="cus")
    api_key = TenantFilter("api_key_id", ApiKey, prefix="key")
    source = django_filters.CharFilter()


class GatewayCountResource(Listable, Readable, Creatable, TenantResource):
    """Gateways' own counts of calls per key and hour."""

    model, prefix, noun = GatewayCount, "gc", "gateway_counts"
    serializer_class = GatewayCountSerializer
    input_class = GatewayCountsInput
    filterset_class = GatewayCountFilters

    def represent(self, row: Any) -> Any:
        """A count, or the report of a load."""
        if not isinstance(row, LoadReport):
            return super().represent(row)
        errors = [{"index": one.number, "error": _error(one.error)} for one in row.problems]
        return {
            "added": row.added,
            "unchanged": row.unchanged,
            "superseded": row.superseded,
            "errors": errors,
        }

    @extend_schema(request=GatewayCountsInput, responses={201: LoadReportSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Load counts: the same again change nothing, newer ones supersede; a wrong row sinks no other."""
        return super().create(request, *args, **kwargs)

    def perform_create(self, values: dict[str, Any]) -> LoadReport:
        """Load them."""
        rows, wrong = [], LoadReport()
        for number, row in enumerate(values["counts"]):
            try:
                rows.append(read_count(row, number))
            except TollgateError as error:
                wrong.problems.append(RowProblem(number, error))
        report = load_counts(
            rows,
            source=values.get("source", SOURCE),
            counted_until=values.get("counted_until"),
            by=actor_of(self.request) or "",
        )
        report.add(wrong)
        report.problems.sort(key=lambda problem: problem.number)
        return report


class PaymentStatementInput(StrictSerializer):
    """A provider's list: `[{"id", "kind"?, "amount", "currency", "at", "reference"?, "billing_entity"?}]`.

    It is all that happened there in [covers_from, covers_until), by default from its first row to its last.
    """

    provider = TextField(max_length=40)
    payments = RowsField()
    covers_from = InstantField(required=False)
    covers_until = InstantField(required=False)
    name = TextField(required=False)


class PaymentStatementSerializer(ShownSerializer):
    """A list that was loaded, and what it changed."""

    provider = serializers.CharField()
    name = serializers.CharField()
    covers_from = InstantField()
    covers_until = InstantField()
    rows = serializers.IntegerField()
    added = serializers.IntegerField()
    superseded = serializers.IntegerField()
    loaded_at = InstantField()
    loaded_by = serializers.CharField()


class ProviderFilters(django_filters.FilterSet):  # type: ignore[misc]
    """`?provider=`."""

    provider = django_filters.CharFilter()


@dataclass(frozen=True, slots=True)
class SentProvider:
    """A list that came in a body, as a payment provider."""

    name: str
    rows: list[dict[str, Any]]

    def payments(self) -> Iterator[PaymentRow]:
        """Its rows; an error names the row."""
        for number, row in enumerate(self.rows):
            try:
                yield read_payment(row)
            except TollgateError as error:
                raise InvalidRequest(error.code, error.message, _path(number, error.param)) from error


class PaymentStatementResource(Listable, Readable, Creatable):
    """Payment providers' lists."""

    prefix, noun = "pst", "payment_statements"
    queryset = PaymentStatement.objects.all()
    serializer_class = PaymentStatementSerializer
    input_class = PaymentStatementInput
    filterset_class = ProviderFilters

    def perform_create(self, values: dict[str, Any]) -> PaymentStatement:
        """Load it whole, or not at all."""
        provider = SentProvider(values.pop("provider"), values.pop("payments"))
        return load_payments(provider, by=actor_of(self.request) or "", **values)


class ProviderPaymentSerializer(ShownSerializer):
    """What a provider says happened. `external_id` is its own id."""

    provider = serializers.CharField()
    external_id = serializers.CharField()
    kind = serializers.ChoiceField(ProviderPayment.Kind.choices)
    amount = AmountField()
    currency = serializers.CharField()
    happened_at = InstantField()
    reference = serializers.CharField()
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    statement = IdField(prefix="pst", source="statement_id")
    superseded_at = InstantField(allow_null=True)


class ProviderPaymentFilters(StandingFilters):
    """Of which provider, of what kind."""

    provider = django_filters.CharFilter()
    kind = django_filters.ChoiceFilter(choices=ProviderPayment.Kind.choices)


class ProviderPaymentResource(Listable, Readable, TenantResource):
    """Payments, refunds and payouts as providers list them."""

    model, prefix, noun = ProviderPayment, "pp", "provider_payments"
    serializer_class = ProviderPaymentSerializer
    filterset_class = ProviderPaymentFilters


def _error(error: TollgateError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "param": error.param}


def _path(number: int, param: str | None) -> str:
    return f"payments[{number}].{param}" if param else f"payments[{number}]"
