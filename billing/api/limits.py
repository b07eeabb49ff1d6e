"""`/v1/spend-limits` and `/v1/alerts`."""

from __future__ import annotations

from typing import Any, Final

import django_filters
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request

from accounts.api.tenants import TenantField, TenantFilter, TenantResource
from accounts.models import ApiKey, BillingEntity, Customer, Organization, Workspace
from billing.api.charge_reads import OwnerFilter
from billing.limits.filling import Fill, fills_of
from billing.limits.verbs import HOURS_MAX, THRESHOLD_MAX, change_limit, create_limit, end_limit, owner_of
from billing.models import Alert, SpendLimit
from core import clock
from core.api.fields import AmountField, InstantField, TextField
from core.api.filters import InstantFilter
from core.api.references import IdField, ReferenceField
from core.api.resources import Changeable, Creatable, Listable, Readable
from core.api.serializers import ShownSerializer, StrictSerializer
from core.ids import row_id
from core.numbers import ZERO
from metering.models import Meter

OWNERS: Final = ("api_key", "workspace", "organization", "billing_entity", "meter")


class SpendLimitSerializer(ShownSerializer):
    """A spend limit with its present window. A rolling one resets when its oldest spend leaves it."""

    customer = IdField(prefix="cus", source="customer_id")
    level = serializers.ChoiceField(SpendLimit.Level.choices)
    api_key = IdField(prefix="key", source="api_key_id")
    workspace = IdField(prefix="ws", source="workspace_id")
    organization = IdField(prefix="org", source="organization_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    meter = serializers.SerializerMethodField()
    kind = serializers.ChoiceField(SpendLimit.Kind.choices)
    amount = AmountField()
    currency = serializers.CharField()
    window = serializers.ChoiceField(SpendLimit.Window.choices)
    hours = serializers.IntegerField(allow_null=True)
    time_zone = serializers.CharField()
    thresholds = serializers.ListField(child=serializers.IntegerField())
    set_by = serializers.ChoiceField(SpendLimit.SetBy.choices)
    used = serializers.SerializerMethodField()
    held = serializers.SerializerMethodField()
    remaining = serializers.SerializerMethodField()
    starts_at = serializers.SerializerMethodField()
    resets_at = serializers.SerializerMethodField()
    created_at = InstantField()
    ended_at = InstantField(allow_null=True)

    def get_meter(self, row: SpendLimit) -> str | None:
        """The key of the meter that it bounds, of a meter's limit."""
        return None if row.meter is None else row.meter.key

    def get_used(self, row: SpendLimit) -> str:
        """What the present window has spent."""
        return AmountField().to_representation(self._fill(row).used)

    def get_held(self, row: SpendLimit) -> str:
        """What open holds reserve of it."""
        return AmountField().to_representation(self._fill(row).held)

    def get_remaining(self, row: SpendLimit) -> str:
        """What may still be spent in it."""
        return AmountField().to_representation(self._fill(row).remaining)

    def get_starts_at(self, row: SpendLimit) -> str:
        """When the present window began."""
        return InstantField().to_representation(self._fill(row).starts_at)

    def get_resets_at(self, row: SpendLimit) -> str | None:
        """When it is over."""
        resets_at = self._fill(row).resets_at
        return None if resets_at is None else InstantField().to_representation(resets_at)

    def _fill(self, row: SpendLimit) -> Fill:
        known: dict[int, Fill] = self.context["fills"]
        if row.pk not in known:
            known.update(fills_of([row], clock.now()))
        return known[row.pk]


class MeterField(ReferenceField):
    """A meter by key or id."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(Meter, prefix="mtr", **kwargs)

    def to_internal_value(self, data: Any) -> Any:
        """The meter; that there is none is this field's error."""
        is_text = isinstance(data, str) and "\x00" not in data
        found = Meter.objects.filter(key=data).first() if is_text else None
        return super().to_internal_value(data) if found is None else found


class SpendLimitChange(StrictSerializer):
    """What may change about a limit; another level or window is another limit."""

    amount = AmountField(min_value=ZERO, required=False)
    kind = serializers.ChoiceField(SpendLimit.Kind.choices, required=False)
    thresholds = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=THRESHOLD_MAX), required=False, max_length=20
    )


class SpendLimitInput(SpendLimitChange):
    """A limit to be: of one of api_key, workspace, organization and billing_entity (perhaps of one meter).

    `set_by: customer` is what the customer asked for; it stays within what staff allow.
    """

    api_key = TenantField(ApiKey, prefix="key", required=False, allow_null=True)
    workspace = TenantField(Workspace, prefix="ws", required=False, allow_null=True)
    organization = TenantField(Organization, prefix="org", required=False, allow_null=True)
    billing_entity = TenantField(BillingEntity, prefix="be", required=False, allow_null=True)
    meter = MeterField(required=False, allow_null=True)
    amount = AmountField(min_value=ZERO)
    currency = TextField(max_length=12, required=False)
    window = serializers.ChoiceField(SpendLimit.Window.choices, required=False)
    hours = serializers.IntegerField(min_value=1, max_value=HOURS_MAX, required=False, allow_null=True)
    time_zone = TextField(max_length=64, required=False)
    set_by = serializers.ChoiceField(SpendLimit.SetBy.choices, required=False)


class SpendLimitFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which limits; `standing`: those that have not ended."""

    customer = TenantFilter("customer", Customer, prefix="cus")
    billing_entity = TenantFilter("billing_entity", BillingEntity, prefix="be")
    organization = TenantFilter("organization", Organization, prefix="org")
    workspace = TenantFilter("workspace", Workspace, prefix="ws")
    api_key = TenantFilter("api_key", ApiKey, prefix="key")
    level = django_filters.ChoiceFilter(choices=SpendLimit.Level.choices)
    set_by = django_filters.ChoiceFilter(choices=SpendLimit.SetBy.choices)
    standing = django_filters.BooleanFilter(field_name="ended_at", lookup_expr="isnull")


class SpendLimitResource(Listable, Readable, Creatable, Changeable, TenantResource):
    """Spend limits. What is set, changed or ended counts in the next charge."""

    model, prefix, noun = SpendLimit, "lim", "spend_limits"
    serializer_class = SpendLimitSerializer
    input_class, change_class = SpendLimitInput, SpendLimitChange
    filterset_class = SpendLimitFilters

    def get_queryset(self) -> QuerySet[Any]:
        """The limits that the caller may see."""
        return super().get_queryset().select_related("meter", "api_key")

    def get_serializer_context(self) -> dict[str, Any]:
        """With the fills of a page, which are read together."""
        return {**super().get_serializer_context(), "fills": getattr(self, "_fills", {})}

    def paginate_queryset(self, queryset: QuerySet[Any]) -> list[Any] | None:  # type: ignore[override]
        """A page, with all its fills read at once."""
        page = super().paginate_queryset(queryset)
        self._fills = fills_of(page or [], clock.now())
        return page

    def perform_create(self, values: dict[str, Any]) -> SpendLimit:
        """Set it."""
        named = {name: values.pop(name) for name in OWNERS if name in values}
        return create_limit(owner_of(**named), values.pop("amount"), **values)

    def perform_change(self, row: SpendLimit, values: dict[str, Any]) -> SpendLimit:
        """Change it."""
        return change_limit(row, **values)

    @extend_schema(request=None, responses={200: SpendLimitSerializer})
    @action(detail=True, methods=["post"])
    def end(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Let it hold no more."""
        return self.write("end", lambda: end_limit(self.get_object()))


class AlertSerializer(ShownSerializer):
    """An alert. `threshold` is in percent of `limit` for a spend limit, else an amount."""

    kind = serializers.ChoiceField(Alert.Kind.choices)
    customer = IdField(prefix="cus", source="customer_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    spend_limit = IdField(prefix="lim", source="limit_id")
    level = serializers.CharField()
    level_id = serializers.CharField()
    threshold = AmountField()
    used = AmountField(allow_null=True)
    limit = AmountField(source="bound", allow_null=True)
    currency = serializers.CharField()
    starts_at = InstantField(allow_null=True)
    ends_at = InstantField(allow_null=True)
    details = serializers.DictField()
    fired_at = InstantField()


class LimitFilter(django_filters.CharFilter):  # type: ignore[misc]
    """`?spend_limit=lim_...`"""

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """The alerts of the limit that `value` names."""
        if not value:
            return qs
        return qs.filter(limit_id=row_id("lim", value))


class AlertFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which alerts."""

    customer = TenantFilter("customer_id", Customer, prefix="cus")
    billing_entity = OwnerFilter("billing_entity_id", BillingEntity, prefix="be")
    spend_limit = LimitFilter()
    kind = django_filters.ChoiceFilter(choices=Alert.Kind.choices)
    fired_from = InstantFilter(field_name="fired_at", lookup_expr="gte")
    fired_to = InstantFilter(field_name="fired_at", lookup_expr="lt")


class AlertResource(Listable, Readable, TenantResource):
    """Alerts, the newest first: each threshold once per window."""

    model, prefix, noun = Alert, "alr", "alerts"
    serializer_class = AlertSerializer
    filterset_class = AlertFilters
