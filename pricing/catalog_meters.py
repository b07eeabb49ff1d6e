"""The meters and cost rates that plan files define, made or changed by metering's own verbs.

A verb that refuses becomes a problem with its place in the file; the rest is still tried, so that all
problems are found, and the caller's transaction undoes it.
"""

from __future__ import annotations

from typing import Any

from core.errors import TollgateError
from metering.aggregation import parse_filter
from metering.meters import change_meter, create_meter
from metering.models import CostRate, Meter
from metering.rates import create_cost_rate, end_cost_rate
from pricing.applied import Action, Applied
from pricing.catalog import Catalog, Problem
from pricing.catalog.cost_rates import CostRateSpec
from pricing.catalog.meters import MeterSpec


def apply_meters(catalog: Catalog) -> tuple[list[Applied], list[Problem]]:
    """Create the catalog's meters or change them; the caller has locked those that exist.

    A frozen meter that the files define differently is a problem.
    """
    stored = {meter.key: meter for meter in Meter.objects.filter(key__in=list(catalog.meters))}
    done, problems = [], []
    for key, spec in catalog.meters.items():
        try:
            done.append(Applied("meter", key, _apply_meter(spec, stored.get(key))))
        except TollgateError as error:
            # What is frozen is the whole definition; the verb names any one of its fields.
            below = "" if error.code == "meter_frozen" else error.param or ""
            problems.append(catalog.problem(error.code, error.message, "meters", key, below))
    return done, problems


def apply_cost_rates(catalog: Catalog) -> tuple[list[Applied], list[Problem]]:
    """Create the catalog's cost rates. One that is there already may only be given another end.

    What an event cost was computed from the rate as it was, so another price is a problem: it takes a
    rate of its own that starts later.
    """
    events = {spec.event for spec in catalog.cost_rates.values()}
    stored = {_series_of(rate): rate for rate in CostRate.objects.filter(event__in=events)}
    done, problems = [], []
    for series, spec in catalog.cost_rates.items():
        name = " ".join(part for part in (spec.vendor, spec.event, spec.property_path) if part)
        try:
            done.append(Applied("cost rate", name, _apply_cost_rate(spec, stored.get(series))))
        except TollgateError as error:
            below = error.param or ""
            problems.append(catalog.problem(error.code, error.message, "cost_rates", series, below))
    return done, problems


def _apply_meter(spec: MeterSpec, meter: Meter | None) -> Action:
    labels = {"name": spec.name, "unit": spec.unit, "late_policy": spec.late_policy}
    if meter is None:
        create_meter(key=spec.key, definition=spec.document, **labels)
        return Action.CREATED
    before = _facts(meter)
    nothing: dict[str, Any] = {"property": None, "filter": [], "group_by": [], "carry_over": False}
    after = change_meter(meter, definition=nothing | spec.document, **labels)
    return Action.UNCHANGED if _facts(after) == before else Action.CHANGED


def _facts(meter: Meter) -> tuple[Any, ...]:
    filters = parse_filter(meter.filter)
    return (meter.definition() | {"filter": filters}, meter.name, meter.unit, meter.late_policy)


def _apply_cost_rate(spec: CostRateSpec, rate: CostRate | None) -> Action:
    if rate is None or (rate.unit_cost, rate.currency) != (spec.unit_cost, spec.currency):
        create_cost_rate(
            vendor=spec.vendor,
            event=spec.event,
            property_path=spec.property_path,
            conditions=list(spec.filter),
            unit_cost=spec.unit_cost,
            currency=spec.currency,
            starts_at=spec.starts_at,
            ends_at=spec.ends_at,
        )
        return Action.CREATED
    if rate.ends_at != spec.ends_at:
        end_cost_rate(rate, ends_at=spec.ends_at)
        return Action.CHANGED
    return Action.UNCHANGED


def _series_of(rate: CostRate) -> tuple[Any, ...]:
    return (rate.vendor, rate.event, rate.property_path, parse_filter(rate.filter), rate.starts_at)
