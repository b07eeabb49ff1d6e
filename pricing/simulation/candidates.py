"""What is simulated: versions and hypothetical content, compiled once with the meters that they price."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from core.errors import InvalidRequest
from core.ids import public_id
from core.numbers import ZERO
from metering.aggregation import MeterDefinition, parse_meter
from metering.aggregation.paths import Properties
from metering.models import Meter
from pricing.catalog import Catalog, Document, PlanTerms, content_hash, phase_terms, read_catalog
from pricing.models import PlanVersion
from pricing.pricelist import LIVE_AGGREGATIONS, compile_dimensions
from pricing.rating import Component, read_component
from pricing.rating.models.cost_plus import CostPlus
from pricing.rating.models.percentage import Percentage
from pricing.terms import terms_of

BUCKETED: Final = frozenset({"count", "sum", "max"})
"""Aggregations of which an hour's bucket says all that F asks for, whatever it is priced by."""


@dataclass(frozen=True, slots=True)
class SimulatedMeter:
    """A meter, perhaps one that only a draft's file knows (`id` None).

    `counted_since`: what was recorded from then on is in its buckets; None: it has none.
    """

    key: str
    id: int | None
    definition: MeterDefinition
    counted_since: datetime | None

    @property
    def signature(self) -> str:
        """The same for meters that count the same."""
        return str(self.id) if self.id is not None else repr(self.definition)


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedComponent:
    """A priced line of a candidate.

    `signature` is the same for components that turn the same usage into the same states.
    """

    key: str
    meter: SimulatedMeter
    rating: Component
    is_live: bool
    reads_buckets: bool
    signature: tuple[str, str]
    dimensions: Callable[[Properties], Mapping[str, str | None]]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A version or hypothetical content, ready to be rated. `label` is how results name it.

    `content_hash` is the same for the same terms over the same meters. `phases`: those of its ramp, in order.
    `fee_lines`: base fees that were worked out, by what they depend on (`bills` keeps them).
    """

    label: str
    version_id: int | None
    terms: PlanTerms
    content_hash: str
    components: tuple[SimulatedComponent, ...]
    phases: tuple[Candidate, ...] = ()
    fee_lines: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def meters(self) -> frozenset[str]:
        """The keys of the meters that it prices."""
        return frozenset(component.meter.key for component in self.components)

    def with_terms(self, **changes: Any) -> Candidate:
        """The same prices of usage under terms that differ in `changes`; without phases."""
        return replace(self, terms=replace(self.terms, **changes), phases=(), fee_lines={})


def compile_versions(versions: Iterable[PlanVersion]) -> list[Candidate]:
    """Stored versions, drafts too, as candidates; one statement for their meters."""
    versions = list(versions)
    terms = [terms_of(version) for version in versions]
    meters = _stored_meters(key for each in terms for key in each.meters)
    return [
        _compile(public_id("pv", version.pk), version.pk, each, meters)
        for version, each in zip(versions, terms, strict=True)
    ]


def compile_content(document: Mapping[str, Any], param: str = "") -> Candidate:
    """Hypothetical content: a plan document as its file has it, with the meters that stand beside it.

    Nothing is stored. Raises CatalogError for what is wrong with it, InvalidRequest for a meter that is
    neither there nor in the document.
    """
    return compile_catalog(read_catalog([Document(dict(document))]), param)[0]


def compile_catalog(catalog: Catalog, param: str = "") -> list[Candidate]:
    """The plans of files as candidates, in their order; raises InvalidRequest as `compile_content`."""
    if not catalog.plans:
        raise InvalidRequest("invalid_value", "The document must hold a plan.", param or "plan")
    meters = _stored_meters(key for terms in catalog.plans.values() for key in terms.meters)
    for key, spec in catalog.meters.items():
        stored = meters.get(key)
        if stored is None or stored.definition != spec.definition:
            meters[key] = SimulatedMeter(key, None, spec.definition, None)
    found = []
    for terms in catalog.plans.values():
        unknown = [part.meter for part in terms.components if part.meter not in meters]
        if unknown:
            says = f"There is no meter {unknown[0]!r}: define it under meters, or create it first."
            raise InvalidRequest("unknown_meter", says, param or "components")
        found.append(_compile(terms.key, None, terms, meters))
    return found


def _stored_meters(keys: Iterable[str]) -> dict[str, SimulatedMeter]:
    rows = Meter.objects.filter(key__in=set(keys))
    return {
        row.key: SimulatedMeter(row.key, row.pk, parse_meter(row.definition()), row.frozen_at) for row in rows
    }


def _compile(
    label: str, version_id: int | None, terms: PlanTerms, meters: Mapping[str, SimulatedMeter]
) -> Candidate:
    components = tuple(
        _component(part.key, meters[part.meter], part.definition)
        for part in terms.components
        if part.meter in meters
    )
    content = terms.content() | {"meters": [component.signature[0] for component in components]}
    phases = tuple(
        _compile(label, version_id, phase_terms(terms, number), meters)
        for number in range(1, len(terms.ramps) + 1)
    )
    return Candidate(label, version_id, terms, content_hash(content), components, phases)


def _component(key: str, meter: SimulatedMeter, definition: Mapping[str, Any]) -> SimulatedComponent:
    aggregation = meter.definition.aggregation
    rating = read_component(definition, aggregation="max" if aggregation == "max" else "sum")
    return SimulatedComponent(
        key=key,
        meter=meter,
        rating=rating,
        is_live=aggregation in LIVE_AGGREGATIONS,
        reads_buckets=meter.id is not None and _sums_suffice(meter.definition, rating),
        signature=(meter.signature, json.dumps(_priced_by(definition), sort_keys=True)),
        dimensions=compile_dimensions(rating.group_dimensions),
    )


def _sums_suffice(meter: MeterDefinition, rating: Component) -> bool:
    """Whether F of a period is F of its sums by the meter's dimensions, so that events need not be read."""
    if meter.aggregation not in BUCKETED or not set(rating.group_dimensions) <= set(meter.group_by):
        return False
    if isinstance(rating.pricing, Percentage):
        return _is_linear(rating.pricing)
    return not isinstance(rating.pricing, CostPlus)


def _is_linear(pricing: Percentage) -> bool:
    """Whether every transaction pays the rate and nothing else."""
    bounds = (pricing.free_transactions, pricing.free_amount, pricing.max_per_transaction)
    extras: tuple[Decimal, ...] = (pricing.fixed_fee, pricing.min_per_transaction)
    return all(bound is None for bound in bounds) and all(extra == ZERO for extra in extras)


_APPLIED_LATER: Final = ("key", "meter", "minimum", "maximum", "discount_percent", "bill_zero_usage")


def _priced_by(definition: Mapping[str, Any]) -> dict[str, Any]:
    """What of a component the states of its groups depend on."""
    return {name: value for name, value in definition.items() if name not in _APPLIED_LATER}
