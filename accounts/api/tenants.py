"""References and rows of the API, through the one tenant filter."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Model, QuerySet

from accounts.models import BillingEntity
from accounts.scoping import viewer_of, visible
from core.api.filters import ReferenceFilter
from core.api.references import ReferenceField
from core.api.resources import Resource


class TenantField(ReferenceField):
    """Another object in a body, among those that the caller may see."""

    def rows(self) -> QuerySet[Any]:
        """Where the object is looked for."""
        return visible(self.model, viewer_of(self.context["request"]))


class TenantFilter(ReferenceFilter):
    """Rows of another object, which the caller may see."""

    def __init__(self, field_name: str, model: type[Model], *, prefix: str, **kwargs: Any) -> None:
        super().__init__(field_name=field_name, prefix=prefix, **kwargs)
        self.model_referred = model

    def rows(self) -> QuerySet[Any]:
        """Where the object is looked for."""
        return visible(self.model_referred, viewer_of(self.parent.request))

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """The rows of the object that `value` names; of a payer by its customer too, as indexes begin."""
        if not value or self.model_referred is not BillingEntity:
            return super().filter(qs, value)
        payer = self.find(value)
        return qs.filter(**{self.field_name: payer.pk, "customer_id": payer.customer_id})


class TenantResource(Resource):
    """A resource whose rows belong to customers."""

    model: ClassVar[type[Model]]

    def get_queryset(self) -> QuerySet[Any]:
        """The rows that the caller may see."""
        return visible(self.model, viewer_of(self.request))
