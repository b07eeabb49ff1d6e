"""`/v1/seals`: the chain over what is booked. `/v1/erasures`: people's data erased, and all stays proved."""

from __future__ import annotations

from typing import Any, ClassVar

import django_filters
from django.db.models import Exists, OuterRef, QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request

from accounts.api.tenants import TenantField, TenantFilter, TenantResource
from accounts.models import BillingEntity, Customer
from accounts.scoping import viewer_of, visible
from billing.erasures import request_erasure
from billing.models import Erasure, Seal
from core.api.fields import InstantField, TextField
from core.api.permissions import ADMIN
from core.api.references import IdField
from core.api.resources import Creatable, Listable, Readable, actor_of
from core.api.serializers import ShownSerializer, StrictSerializer

TEXT_MAX = 1000


class SealSerializer(ShownSerializer):
    """A seal: the hash of a payer's rows of the numbers `from_seq` to `to_seq`, and of the head before it.

    Keep the `head` of each payer's last seal (`?latest=true`) where nobody of the installation can write:
    what was booked up to there cannot be written anew any more.
    """

    customer = IdField(prefix="cus", source="customer_id")
    billing_entity = IdField(prefix="be", source="billing_entity_id")
    from_seq = serializers.IntegerField()
    to_seq = serializers.IntegerField()
    rows = serializers.IntegerField()
    previous_head = serializers.SerializerMethodField()
    head = serializers.SerializerMethodField()
    sealed_at = InstantField()

    def get_previous_head(self, row: Seal) -> str:
        """In hex."""
        return bytes(row.previous_head).hex()

    def get_head(self, row: Seal) -> str:
        """In hex."""
        return bytes(row.head).hex()


class SealFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Whose seals; `?latest=true`: only the last one of each payer."""

    customer = TenantFilter("customer_id", Customer, prefix="cus")
    billing_entity = TenantFilter("billing_entity_id", BillingEntity, prefix="be")
    latest = django_filters.BooleanFilter(method="only_latest")

    def only_latest(self, rows: QuerySet[Seal], name: str, value: bool) -> QuerySet[Seal]:
        """Those that no seal follows, or the others."""
        following = visible(Seal, viewer_of(self.request)).filter(
            customer_id=OuterRef("customer_id"),
            billing_entity_id=OuterRef("billing_entity_id"),
            from_seq__gt=OuterRef("from_seq"),
        )
        return rows.filter(~Exists(following) if value else Exists(following))


class SealResource(Listable, Readable, TenantResource):
    """The seals, without the hashes of single rows: `manage.py export_ledger` has those."""

    model, prefix, noun = Seal, "seal", "seals"
    serializer_class = SealSerializer
    filterset_class = SealFilters
    scopes: ClassVar[dict[str, str]] = {"GET": ADMIN}

    def get_queryset(self) -> QuerySet[Any]:
        """The seals that the caller may see."""
        return super().get_queryset().defer("entries")


class ErasureInput(StrictSerializer):
    """Whose data. `user`: as events name the person; `properties` of that user's events go too.

    `values`: what else is known of the person (an e-mail address): every property that is one of them goes,
    whoever the user. What money depends on stays, and `kept` says so.
    """

    customer = TenantField(Customer, prefix="cus")
    user = TextField(max_length=255, required=False)
    properties = serializers.ListField(child=TextField(max_length=TEXT_MAX), required=False, max_length=100)
    values = serializers.ListField(child=TextField(max_length=TEXT_MAX), required=False, max_length=100)
    reason = TextField(max_length=TEXT_MAX)


class ErasureSerializer(ShownSerializer):
    """An erasure; whose data it was is never shown, and forgotten once it is done.

    `events`, `others` (authorizations, events in quarantine) and `parts` of them were erased. `kept`:
    property -> why it had to stay.
    """

    customer = IdField(prefix="cus", source="customer_id")
    properties = serializers.ListField(child=serializers.CharField())
    reason = serializers.CharField()
    status = serializers.ChoiceField(Erasure.Status.choices)
    events = serializers.IntegerField()
    others = serializers.IntegerField()
    parts = serializers.IntegerField()
    kept = serializers.DictField(child=serializers.CharField())
    created_at = InstantField()
    created_by = serializers.CharField()
    done_at = InstantField(allow_null=True)


class ErasureFilters(django_filters.FilterSet):  # type: ignore[misc]
    """`?customer=`, `?status=`."""

    customer = TenantFilter("customer_id", Customer, prefix="cus")
    status = django_filters.ChoiceFilter(choices=Erasure.Status.choices)


class ErasureResource(Listable, Readable, Creatable, TenantResource):
    """Erasures of people's data."""

    model, prefix, noun = Erasure, "era", "erasures"
    serializer_class = ErasureSerializer
    input_class = ErasureInput
    filterset_class = ErasureFilters
    scopes: ClassVar[dict[str, str]] = {"GET": ADMIN}

    @extend_schema(request=ErasureInput, responses={202: ErasureSerializer})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Ask for it; it goes on in the background. Look at it again until its status is `done`."""
        return self.write(
            "create",
            lambda: self.perform_create(self.written(ErasureInput)),
            input_class=ErasureInput,
            answer_status=status.HTTP_202_ACCEPTED,
        )

    def perform_create(self, values: dict[str, Any]) -> Erasure:
        """Write the wish down."""
        return request_erasure(**values, by=actor_of(self.request) or "")
