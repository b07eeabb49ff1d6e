"""What the endpoints of price changes take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.db.models import Model, Q, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.tenants import TenantField
from accounts.models import Customer
from accounts.scoping import tenant_column, viewer_of, visible
from billing.rollouts import Cohort
from core.api.fields import AmountField, InstantField, QuantityField, TextField
from core.api.references import has_external_id
from core.api.serializers import StrictSerializer
from core.errors import NotFound
from core.ids import row_id
from core.numbers import ZERO
from core.texts import is_forbidden
from pricing.models import Plan, PlanVersion, Rollout, Subscription

NAMED_MAX: Final = 10_000
REASON_MAX: Final = 1000


@extend_schema_field({"type": "array", "items": {"type": "string", "maxLength": 200}, "maxItems": NAMED_MAX})
class ReferencesField(serializers.Field[list[Any], Any, list[str], Any]):
    """Many objects of one kind, each by public id or by the operator's own name for it; in one query."""

    default_error_messages = {
        "invalid": "A list of texts was expected.",
        "too_many": "{most} at most.",
        "empty": "The list is empty.",
        "not_found": "There is no {noun} {reference!r}.",
    }

    def __init__(self, model: type[Model], *, prefix: str, allow_empty: bool = True, **kwargs: Any) -> None:
        self.model, self.prefix, self.allow_empty = model, prefix, allow_empty
        self.own_name = "key" if model is Plan else "external_id" if has_external_id(model) else None
        super().__init__(write_only=True, **kwargs)

    def rows(self) -> QuerySet[Any]:
        """Where the objects are looked for."""
        if tenant_column(self.model) is None:
            return self.model._default_manager.all()
        return visible(self.model, viewer_of(self.context["request"]))

    def to_internal_value(self, data: Any) -> list[Any]:
        """The objects, each once."""
        if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
            self.fail("invalid")
        if len(data) > NAMED_MAX:
            self.fail("too_many", most=NAMED_MAX)
        if not data and not self.allow_empty:
            self.fail("empty")
        found = self._find(name for name in data if not any(map(is_forbidden, name)))
        for name in data:
            if name not in found:
                noun = self.model._meta.verbose_name
                self.fail("not_found", noun=noun, reference=name[:80])
        return list({found[name].pk: found[name] for name in data}.values())

    def _find(self, names: Iterable[str]) -> dict[str, Any]:
        names = set(names)
        pks = {pk for name in names if (pk := self._pk(name)) is not None}
        wanted = Q(pk__in=pks)
        if self.own_name is not None:
            wanted |= Q(**{f"{self.own_name}__in": names})
        rows = list(self.rows().filter(wanted))
        by_name = {} if self.own_name is None else {getattr(row, self.own_name): row for row in rows}
        return by_name | {row.public_id: row for row in rows}

    def _pk(self, name: str) -> int | None:
        try:
            return row_id(self.prefix, name)
        except NotFound:
            return None


class CohortInput(StrictSerializer):
    """Who is meant; all that is given must hold. Default: everybody on the new version's plan.

    `min_revenue`, `max_revenue`: what the payer brought in over the last 30 days, in its currency.
    """

    plans = ReferencesField(Plan, prefix="plan", required=False)
    from_versions = ReferencesField(PlanVersion, prefix="pv", required=False)
    customers = ReferencesField(Customer, prefix="cus", required=False)
    subscriptions = ReferencesField(Subscription, prefix="sub", required=False)
    min_revenue = AmountField(required=False)
    max_revenue = AmountField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The cohort, as `cohort`."""
        rows = ("plans", "from_versions", "customers", "subscriptions")
        named = {name: [row.pk for row in attrs.pop(name)] for name in rows if name in attrs}
        return {"cohort": Cohort(**(attrs | named))}


class RolloutInput(StrictSerializer):
    """A price change to be. `effective_at`: from when; left out, when the least notice is over."""

    name = TextField(required=False)
    plan_version = TenantField(PlanVersion, prefix="pv")
    cohort = CohortInput(required=False)
    when = serializers.ChoiceField(Rollout.Timing.choices)
    effective_at = InstantField(required=False)
    notice_at = InstantField(required=False)


class AnnounceInput(StrictSerializer):
    """`reason`: why there is less notice than customers are to have."""

    reason = TextField(required=False, max_length=REASON_MAX)


class RollBackInput(StrictSerializer):
    """When to go back, and why (needed where there is less notice than customers are to have)."""

    when = serializers.ChoiceField(Rollout.Timing.choices, required=False)
    effective_at = InstantField(required=False)
    reason = TextField(max_length=REASON_MAX)


class AcknowledgeInput(StrictSerializer):
    """`limits`: by meter, the most to be used in a period from the change on. `by`: who said so."""

    subscription = TenantField(Subscription, prefix="sub")
    limits = serializers.DictField(child=QuantityField(min_value=ZERO), required=False)
    by = TextField(required=False)


class HoldOutInput(StrictSerializer):
    """Which subscriptions stay as they are, until when; left out or null = for ever."""

    subscriptions = ReferencesField(Subscription, prefix="sub", allow_empty=False)
    until = InstantField(required=False, allow_null=True)


class ExceptInput(StrictSerializer):
    """Which subscriptions the change is not for, and why."""

    subscriptions = ReferencesField(Subscription, prefix="sub", allow_empty=False)
    reason = TextField(max_length=REASON_MAX)
