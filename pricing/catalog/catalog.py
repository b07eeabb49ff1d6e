"""Documents put together: the meters, features, cost rates, coupons and plans that they define, each once.

A document is one plan, or sections (`meters`, `features`, `cost_rates`, `coupons`, `plans`), or a plan
with sections beside its own fields. What a document defines, every other document of the same call may name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final, TypeVar

from core.errors import InvalidRequest
from pricing.catalog.cost_rates import CostRateSpec, read_cost_rate
from pricing.catalog.coupons import CouponSpec, read_coupon
from pricing.catalog.entitlements import Feature, read_feature
from pricing.catalog.meters import MeterSpec, read_meter
from pricing.catalog.plans import PlanTerms, phase_terms, read_plan
from pricing.catalog.problems import CatalogError, Problem, problem_of
from pricing.catalog.yaml_source import Document

SECTIONS: Final = ("meters", "features", "cost_rates", "coupons", "plans")
T = TypeVar("T")
Entry = tuple[Document, str, Any]
"""A document, a path in it ("" = all of it), and what stands there."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a set of documents defines. `places` says where each plan, meter and cost rate stands."""

    meters: dict[str, MeterSpec] = field(default_factory=dict)
    features: dict[str, Feature] = field(default_factory=dict)
    cost_rates: dict[tuple[Any, ...], CostRateSpec] = field(default_factory=dict)
    coupons: dict[str, CouponSpec] = field(default_factory=dict)
    plans: dict[str, PlanTerms] = field(default_factory=dict)
    places: dict[tuple[str, Any], tuple[Document, str]] = field(default_factory=dict)

    def unknown_meters(self, there: Collection[str] | None = None) -> list[Problem]:
        """One problem for each meter that a plan names and that is not `there` (None: in the documents)."""
        there = self.meters if there is None else there
        problems = []
        for plan in self.plans.values():
            plan_meters = replace(plan, ramps=()).meters
            named = [(f"components[{i}].meter", part.meter) for i, part in enumerate(plan.components)]
            named += [
                (f"entitlements[{i}].meter", part.meter or "") for i, part in enumerate(plan.entitlements)
            ]
            for i in range(len(plan.ramps)):
                added = phase_terms(plan, i + 1).meters
                named += [(f"ramps[{i}].overrides", meter) for meter in added if meter not in plan_meters]
            for below, meter in named:
                if meter and meter not in there:
                    says = f"There is no meter {meter!r} in use: define it under meters, or create it first."
                    problems.append(self.problem("unknown_meter", says, "plans", plan.key, below))
        return problems

    def problem(self, code: str, message: str, section: str, key: Any, below: str = "") -> Problem:
        """A problem with one of the catalog's entries (`below` is the path inside it)."""
        document, path = self.places[section, key]
        path = f"{path}.{below}" if path and below else path or below
        return Problem(code, message, path or None, document.file, document.line_of(path))


def read_catalog(documents: Iterable[Document]) -> Catalog:
    """Check documents and put them together. Raises CatalogError with every problem that was found.

    Plans are checked against the meters and features of all documents; other meters, only a database knows.
    """
    reader = _CatalogReader()
    for document in documents:
        reader.take(document)
    return reader.catalog()


class _CatalogReader:
    """Reads section after section, noting problems on the way."""

    def __init__(self) -> None:
        self._found: dict[str, list[Entry]] = {section: [] for section in SECTIONS}
        self._problems: list[Problem] = []
        self._catalog = Catalog()

    def take(self, document: Document) -> None:
        """Sort what a document holds into sections."""
        if not isinstance(document.value, Mapping):
            self._note(document, InvalidRequest("invalid_type", "A document must be an object with fields."))
            return
        plan = {key: value for key, value in document.value.items() if key not in SECTIONS}
        for section in SECTIONS:
            items = document.value.get(section)
            if items is not None and not isinstance(items, list):
                self._note(document, InvalidRequest("invalid_type", f"{section} must be a list.", section))
                continue
            for index, item in enumerate(items or ()):
                self._found[section].append((document, f"{section}[{index}]", item))
        if plan or not document.value:
            self._found["plans"].append((document, "", plan))

    def catalog(self) -> Catalog:
        """The catalog; raises CatalogError."""
        catalog = self._catalog
        self._read("meters", read_meter, lambda meter: meter.key, catalog.meters)
        self._read("features", read_feature, lambda feature: feature.key, catalog.features)
        self._read("cost_rates", read_cost_rate, lambda rate: rate.series, catalog.cost_rates)
        self._read("coupons", read_coupon, lambda coupon: coupon.key, catalog.coupons)
        self._read("plans", self._read_plan, lambda plan: plan.key, catalog.plans)
        if self._problems:
            raise CatalogError(self._problems)
        return catalog

    def _read_plan(self, raw: Any, path: str) -> PlanTerms:
        aggregations = {key: meter.definition.aggregation for key, meter in self._catalog.meters.items()}
        return read_plan(raw, path, aggregations=aggregations, features=self._catalog.features)

    def _read(
        self,
        section: str,
        read: Callable[[Any, str], T],
        key_of: Callable[[T], Any],
        into: dict[Any, T],
    ) -> None:
        for document, path, raw in self._found[section]:
            try:
                refuse_bare_decimals(raw, path)
                entry = read(raw, path)
            except InvalidRequest as error:
                self._note(document, error)
                continue
            key = key_of(entry)
            if key in into:
                self._note(document, self._duplicate(section, key, path))
                continue
            into[key] = entry
            self._catalog.places[section, key] = (document, path)

    def _duplicate(self, section: str, key: Any, path: str) -> InvalidRequest:
        first, where = self._catalog.places[section, key]
        name = key if isinstance(key, str) else " ".join(str(part) for part in key[:2])
        place = f"{first.file}:{first.line_of(where)}" if first.file else where or "the same document"
        return InvalidRequest("duplicate", f"{name!r} is defined in {place} already.", path or None)

    def _note(self, document: Document, error: InvalidRequest) -> None:
        self._problems.append(problem_of(error, document.file, document.line_of(error.param)))


def refuse_bare_decimals(value: Any, path: str) -> None:
    """JSON documents may hold numbers with a point; prices are texts there as in YAML."""
    if isinstance(value, float | Decimal):
        raise InvalidRequest("invalid_type", f"{path} must be a decimal number in quotes.", path)
    if isinstance(value, Mapping):
        for key, item in value.items():
            refuse_bare_decimals(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            refuse_bare_decimals(item, f"{path}[{index}]")
