"""The audit trail: who changed what, from where, and from which value to which.

Triggers write it (django-pghistory), so that no way of changing a row goes around it; `core.audit.audited`
says who and where. Its instants are the server's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from django.apps import apps
from django.db.models import Model, OuterRef, Subquery
from pghistory.models import Event

from accounts.scoping import Viewer, visible

KINDS: Final = {"insert": "created", "update": "changed", "delete": "deleted"}
SYSTEM: Final = "system"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field's old and new value; old is None for what was created, new for what was deleted."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one row. `actor`: a key's public id or a person's address; None when not known."""

    at: datetime
    noun: str
    row_id: Any
    kind: str
    source: str
    actor: str | None
    request_id: str | None
    fields: tuple[FieldChange, ...]


def changes_of(row: Model) -> list[Change]:
    """Everything that happened to `row`, the latest first."""
    model = event_model(type(row))
    rows = model.objects.filter(**{_key(model): row.pk})
    events = list(rows.select_related("pgh_context").order_by("pgh_id"))
    before: list[Any] = [None, *events[:-1]]
    return [_change(event, earlier) for event, earlier in zip(events, before, strict=True)][::-1]


def latest_changes(
    viewer: Viewer, *, before: datetime | None = None, models: Iterable[type[Model]] = (), limit: int = 50
) -> list[Change]:
    """The latest changes that `viewer` may see, of `models` or of all that are tracked, the latest first.

    `before` = only older ones: the `at` of the last one of the page before.
    """
    found: list[Any] = []
    for model in list(models) or tracked_models():
        rows = visible(event_model(model), viewer)
        if before is not None:
            rows = rows.filter(pgh_created_at__lt=before)
        found += rows.select_related("pgh_context").order_by("-pgh_id")[:limit]
    found.sort(key=lambda event: (event.pgh_created_at, event.pgh_id), reverse=True)
    page = found[:limit]
    earlier = _events_before(page)
    return [_change(event, earlier.get((type(event), event.pgh_id))) for event in page]


def tracked_models() -> list[type[Model]]:
    """Every model whose changes are kept, by name."""
    return sorted(_event_models(), key=lambda model: model._meta.label)


def event_model(model: type[Model]) -> Any:
    """The model of `model`'s changes; LookupError when they are not kept."""
    found = _event_models().get(model)
    if found is None:
        raise LookupError(f"changes of {model._meta.label} are not kept")
    return found


@cache
def _event_models() -> dict[type[Model], Any]:
    candidates: Iterable[Any] = (model for model in apps.get_models() if issubclass(model, Event))
    return {model.pgh_tracked_model: model for model in candidates if model.pgh_tracked_model is not None}


def _key(model: Any) -> str:
    """The column of an event model that names the row; the first is indexed."""
    names = {field.attname for field in model._meta.concrete_fields}
    return "pgh_obj_id" if "pgh_obj_id" in names else str(model.pgh_tracked_model._meta.pk.name)


def _events_before(events: list[Any]) -> dict[tuple[type[Any], int], Any]:
    """For each event the one before it of the same row, in two statements a model."""
    found = {}
    for model in {type(event) for event in events}:
        key = _key(model)
        older = model.objects.filter(**{key: OuterRef(key)}, pgh_id__lt=OuterRef("pgh_id")).order_by(
            "-pgh_id"
        )
        rows = model.objects.filter(pgh_id__in=[event.pgh_id for event in events if type(event) is model])
        pairs = dict(rows.values_list("pgh_id", Subquery(older.values("pgh_id")[:1])))
        kept = model.objects.in_bulk([pk for pk in pairs.values() if pk is not None])
        found.update({(model, later): kept[pk] for later, pk in pairs.items() if pk is not None})
    return found


def _change(event: Any, before: Any) -> Change:
    context = event.pgh_context.metadata if event.pgh_context is not None else {}
    kind = KINDS.get(event.pgh_label, event.pgh_label)
    tracked = event.pgh_tracked_model
    return Change(
        at=event.pgh_created_at,
        noun=str(tracked._meta.verbose_name),
        row_id=getattr(event, _key(type(event))),
        kind=kind,
        source=context.get("source", SYSTEM),
        actor=context.get("actor"),
        request_id=context.get("request_id"),
        fields=tuple(_differences(event, before, kind)),
    )


def _differences(event: Any, before: Any, kind: str) -> Iterable[FieldChange]:
    for field in event._meta.concrete_fields:
        name = field.attname
        if name.startswith("pgh_") or name == event.pgh_tracked_model._meta.pk.name:
            continue
        value = getattr(event, name)
        if kind == "deleted":
            yield FieldChange(name, value, None)
        elif before is None:
            yield FieldChange(name, None, value)
        elif getattr(before, name) != value:
            yield FieldChange(name, getattr(before, name), value)
