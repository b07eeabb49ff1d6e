"""Objects by our id or by the operator's own."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.errors import NotFound
from core.ids import public_id, row_id

M = TypeVar("M", bound=Model)


def find_referenced(queryset: QuerySet[M], prefix: str, reference: str, param: str | None = None) -> M:
    """The row that `reference` names: its public id, else its external id, if rows have one.

    Raises NotFound with `param`. That no row's external id reads as another row's public id is seen to
    where rows are made.
    """
    row = _row(queryset, prefix, reference) if "\x00" not in reference else None
    if row is None:
        noun = queryset.model._meta.verbose_name
        raise NotFound("not_found", f"There is no {noun} {reference[:80]!r}.", param)
    return row


def _row(queryset: QuerySet[M], prefix: str, reference: str) -> M | None:
    try:
        found = queryset.filter(pk=row_id(prefix, reference)).first()
    except NotFound:
        found = None
    if found is None and has_external_id(queryset.model):
        return queryset.filter(external_id=reference).first()
    return found


def has_external_id(model: type[Model]) -> bool:
    """Whether rows of `model` can be named by the operator's own id."""
    return any(field.name == "external_id" for field in model._meta.get_fields())


@extend_schema_field({"type": "string", "maxLength": 200})
class ReferenceField(serializers.Field[Any, Any, str, Any]):
    """Another object in a body, by public id or external id. Subclasses say among which rows it is found."""

    default_error_messages = {"invalid": "A text was expected."}

    def __init__(self, model: type[Model], *, prefix: str, **kwargs: Any) -> None:
        self.model = model
        self.prefix = prefix
        super().__init__(write_only=True, **kwargs)

    def rows(self) -> QuerySet[Any]:
        """Where the object is looked for."""
        return self.model._default_manager.all()

    def to_internal_value(self, data: Any) -> Any:
        """The object; that there is none is this field's error."""
        if not isinstance(data, str):
            self.fail("invalid")
        try:
            return find_referenced(self.rows(), self.prefix, data)
        except NotFound as error:
            raise serializers.ValidationError(error.message, "not_found") from error

    def to_representation(self, value: Any) -> str:
        """The public id."""
        return str(value.public_id)


@extend_schema_field({"type": ["string", "null"]})
class IdField(serializers.Field[Any, Any, str, Any]):
    """Another row's public id out of the number of the row, which costs no query."""

    def __init__(self, *, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        super().__init__(read_only=True, **kwargs)

    def to_representation(self, value: int) -> str:
        """The public id."""
        return public_id(self.prefix, value)
