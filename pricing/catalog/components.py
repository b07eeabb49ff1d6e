"""A plan's components: checked by the rating engine, kept in one canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from core.errors import InvalidRequest
from core.numbers import plain
from pricing.catalog.keys import read_key
from pricing.rating import read_component
from pricing.rating.fields import Fields
from pricing.rating.groups import dimension_text

_ZERO_IS_ABSENT: Final = frozenset(
    {"flat_fee", "fixed_fee", "min_per_transaction", "included", "minimum", "discount_percent"}
)
_PRICES: Final = frozenset({"unit_price", "default_unit_price", "package_price", "rate", "markup"})
_BOUNDS: Final = frozenset({"up_to", "package_size", "free_amount", "max_per_transaction", "maximum", "to"})
_DECIMALS: Final = _ZERO_IS_ABSENT | _PRICES | _BOUNDS
_NULL_HAS_A_MEANING: Final = frozenset({"up_to"})


@dataclass(frozen=True, slots=True)
class ComponentTerms:
    """A priced line of a plan: `definition` is what the engine's `read_component` takes."""

    key: str
    meter: str
    definition: dict[str, Any]

    def content(self) -> dict[str, Any]:
        """The canonical form."""
        return self.definition


def read_plan_components(
    raw: object, path: str, aggregations: Mapping[str, str]
) -> tuple[ComponentTerms, ...]:
    """A plan's components, keys all different; raises InvalidRequest.

    `aggregations` gives those of the meters that are known by now; the engine checks the others as sums.
    """
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise InvalidRequest("invalid_type", f"{path} must be a list.", path)
    found: dict[str, ComponentTerms] = {}
    for index, item in enumerate(raw):
        fields = Fields(item, f"{path}[{index}]")
        key, meter = read_key(fields, "key"), read_key(fields, "meter")
        if key in found:
            raise fields.error("key", "duplicate", f"{key!r} is taken already")
        is_maximum = aggregations.get(meter) == "max"
        read_component(item, fields.path, "max" if is_maximum else "sum")
        found[key] = ComponentTerms(key, meter, canonical_component(item))
    return tuple(found.values())


def canonical_component(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A checked component with each number in one notation and nothing that says what holds anyway."""
    return {
        key: _canonical(key, value) for key, value in sorted(raw.items()) if not _says_nothing(key, value)
    }


def _canonical(key: str, value: Any) -> Any:
    if key == "match":
        return {name: dimension_text(item) for name, item in sorted(value.items())}
    if key == "free_transactions":
        return int(value)
    if key in _DECIMALS and isinstance(value, str):
        return plain(Decimal(value))
    if isinstance(value, Mapping):
        return canonical_component(value)
    if isinstance(value, list):
        return [canonical_component(item) if isinstance(item, Mapping) else item for item in value]
    return value


def _says_nothing(key: str, value: Any) -> bool:
    if value is None:
        return key not in _NULL_HAS_A_MEANING
    if key in _ZERO_IS_ABSENT:
        return not Decimal(value)
    return value is False or value == []
