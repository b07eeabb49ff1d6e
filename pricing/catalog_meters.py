"""The meters and cost rates that plan files define, made or changed in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from core.numbers import plain
from metering.aggregation import parse_filter, parse_meter
from metering.models import CostRate, Meter
from pricing.applied import Action, Applied
from pricing.catalog import Catalog, Problem
from pricing.catalog.cost_rates import CostRateSpec
from pricing.catalog.meters import MeterSpec


def apply_meters(catalog: Catalog, now: datetime) -> tuple[list[Applied], list[Problem]]:
    """Create the catalog's meters or change them; the caller's transaction decides.

    Locks them in id order. A frozen meter that the files define differently is a problem, not changed.
    """
    keys = sorted(catalog.meters)
    known = set(Meter.objects.filter(key__in=keys).values_list("key", flat=True))
    new = [_meter_row(catalog.meters[key], now) for key in keys if key not in known]
    Meter.objects.bulk_create(new, ignore_conflicts=True)
    done, problems = [], []
    for meter in Meter.objects.filter(key__in=keys).order_by("pk").select_for_update():
        spec = catalog.meters[meter.key]
        is_same = parse_meter(meter.definition()) == spec.definition
        if meter.frozen_at is not None and not is_same:
            says = (
                f"Meter {meter.key!r} is frozen, because a published plan or a counted event rests on it:"
                " what it counts cannot change. Define a new meter."
            )
            problems.append(catalog.problem("meter_frozen", says, "meters", meter.key))
            continue
        action = Action.UNCHANGED if meter.key in known else Action.CREATED
        if _change_meter(meter, spec, is_same=is_same):
            action = Action.CHANGED if meter.key in known else Action.CREATED
        done.append(Applied("meter", meter.key, action))
    return done, problems


def apply_cost_rates(catalog: Catalog, now: datetime) -> tuple[list[Applied], list[Problem]]:
    """Create the catalog's cost rates. One that is there already may only be given another end.

    What an event cost was computed from the rate as it was, so a different price is a problem: it takes
    a rate of its own that starts later.
    """
    stored = {_series_of(rate): rate for rate in CostRate.objects.order_by("pk").select_for_update()}
    done, problems = [], []
    for series, spec in catalog.cost_rates.items():
        rate = stored.get(series)
        name = f"{spec.vendor} {spec.event}" + (f" {spec.property_path}" if spec.property_path else "")
        if rate is None:
            _cost_rate_row(spec, now).save(force_insert=True)
            done.append(Applied("cost rate", name, Action.CREATED))
        elif (rate.unit_cost, rate.currency) != (spec.unit_cost, spec.currency):
            says = (
                f"The cost rate {name} from that instant on is {plain(rate.unit_cost)} {rate.currency};"
                " another price takes a rate of its own with a later starts_at."
            )
            problems.append(catalog.problem("cost_rate_exists", says, "cost_rates", series))
        elif rate.ends_at != spec.ends_at:
            rate.ends_at = spec.ends_at
            rate.save(update_fields=["ends_at"])
            done.append(Applied("cost rate", name, Action.CHANGED))
        else:
            done.append(Applied("cost rate", name, Action.UNCHANGED))
    return done, problems


def _meter_row(spec: MeterSpec, now: datetime) -> Meter:
    meter = Meter(key=spec.key, created_at=now)
    _set_definition(meter, spec)
    meter.name, meter.unit, meter.late_policy = spec.name, spec.unit, spec.late_policy
    return meter


def _set_definition(meter: Meter, spec: MeterSpec) -> None:
    definition = spec.definition
    meter.event, meter.aggregation = definition.event, definition.aggregation
    meter.property_path, meter.group_by = definition.property, list(definition.group_by)
    meter.filter, meter.carry_over = list(spec.conditions), definition.carry_over


def _change_meter(meter: Meter, spec: MeterSpec, *, is_same: bool) -> bool:
    """Make the row as the file says, where it differs; whether it did."""
    named = (meter.name, meter.unit, meter.late_policy)
    if is_same and named == (spec.name, spec.unit, spec.late_policy):
        return False
    if not is_same:
        _set_definition(meter, spec)
    meter.name, meter.unit, meter.late_policy = spec.name, spec.unit, spec.late_policy
    meter.save()
    return True


def _cost_rate_row(spec: CostRateSpec, now: datetime) -> CostRate:
    return CostRate(
        vendor=spec.vendor,
        event=spec.event,
        property_path=spec.property_path,
        filter=list(spec.filter),
        unit_cost=spec.unit_cost,
        currency=spec.currency,
        starts_at=spec.starts_at,
        ends_at=spec.ends_at,
        created_at=now,
    )


def _series_of(rate: CostRate) -> tuple[Any, ...]:
    return (rate.vendor, rate.event, rate.property_path, parse_filter(rate.filter), rate.starts_at)
