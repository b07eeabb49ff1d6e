"""Meters: made, changed while nothing rests on them, archived."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from django.db import IntegrityError, transaction

from core import clock
from core.errors import Conflict, InvalidRequest
from metering.aggregation import MeterDefinition, parse_meter
from metering.models import Meter

CONDITIONS_MAX: Final = 50
DIMENSIONS_MAX: Final = 20
PATH_LENGTH_MAX: Final = 200
_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}").fullmatch
_LABELS: Final = ("name", "unit", "late_policy")


def create_meter(
    *,
    key: str,
    definition: Mapping[str, Any],
    name: str = "",
    unit: str = "",
    late_policy: str = Meter.LatePolicy.DELTA_LINE,
) -> Meter:
    """Make a meter. `definition` is what plan files and `manage.py aggregate` write: event, aggregation, ...

    Raises InvalidRequest naming the offending field, or Conflict when the key is taken.
    """
    if not _KEY(key):
        sentence = "A key has 1 to 100 letters, digits or _ . : - and begins with a letter or digit."
        raise InvalidRequest("invalid_value", sentence, "key")
    meter = Meter(key=key, name=name or key, unit=unit, late_policy=late_policy, created_at=clock.now())
    _define(meter, _checked(definition), definition)
    try:
        with transaction.atomic():
            meter.save(force_insert=True)
    except IntegrityError as error:
        raise Conflict("meter_exists", f"There is a meter {key!r} already.", "key") from error
    return meter


@transaction.atomic
def change_meter(meter: Meter, *, definition: Mapping[str, Any] | None = None, **labels: str) -> Meter:
    """Change labels (`name`, `unit`, `late_policy`), and while the meter is not frozen what it counts.

    `definition` holds only the fields that change. Locks the meter. Raises Conflict `meter_frozen` when a
    published version names it or an event was counted.
    """
    meter = Meter.objects.select_for_update().get(pk=meter.pk)
    if definition:
        whole = {**meter.definition(), **definition}
        parsed = _checked(whole)
        if meter.frozen_at is not None and parsed != parse_meter(meter.definition()):
            raise Conflict(
                "meter_frozen",
                f"What {meter.key!r} counts is fixed since it was first used; make a new meter.",
                next(iter(definition)),
            )
        _define(meter, parsed, whole)
    for label in _LABELS:
        if label in labels:
            setattr(meter, label, labels[label])
    meter.save()
    return meter


@transaction.atomic
def archive_meter(meter: Meter) -> Meter:
    """Take a meter out of use: no new plan may name it. What rests on it goes on counting."""
    meter = Meter.objects.select_for_update().get(pk=meter.pk)
    if meter.archived_at is None:
        meter.archived_at = clock.now()
        meter.save(update_fields=["archived_at"])
    return meter


def storable_filter(conditions: Any) -> Any:
    """A filter as a JSON column keeps it: a decimal as a number where a float holds it, else as text."""
    if isinstance(conditions, list):
        return [storable_filter(item) for item in conditions]
    if isinstance(conditions, dict):
        return {name: storable_filter(item) for name, item in conditions.items()}
    if isinstance(conditions, Decimal):
        near = float(conditions)
        return near if Decimal(repr(near)) == conditions else str(conditions)
    return conditions


def check_filter_size(conditions: Any) -> None:
    """Raise InvalidRequest when a filter has more than 50 conditions."""
    if isinstance(conditions, list) and len(conditions) > CONDITIONS_MAX:
        raise InvalidRequest("too_long", f"A filter may have {CONDITIONS_MAX} conditions.", "filter")


def _checked(definition: Mapping[str, Any]) -> MeterDefinition:
    check_filter_size(definition.get("filter"))
    parsed = parse_meter(definition)
    if len(parsed.group_by) > DIMENSIONS_MAX:
        raise InvalidRequest("too_long", f"A meter may have {DIMENSIONS_MAX} dimensions.", "group_by")
    texts = {"event": parsed.event, "property": parsed.property or ""}
    texts |= {f"group_by[{index}]": path for index, path in enumerate(parsed.group_by)}
    for param, text in texts.items():
        if len(text) > PATH_LENGTH_MAX:
            raise InvalidRequest("invalid_length", f"{param} may have {PATH_LENGTH_MAX} characters.", param)
    return parsed


def _define(meter: Meter, parsed: MeterDefinition, definition: Mapping[str, Any]) -> None:
    meter.event, meter.aggregation, meter.property_path = parsed.event, parsed.aggregation, parsed.property
    meter.filter, meter.group_by = storable_filter(definition.get("filter") or []), list(parsed.group_by)
    meter.carry_over = parsed.carry_over
