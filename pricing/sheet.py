"""A version as a price sheet: what each line costs, in rows and facts that a page puts into words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from core.numbers import CONTEXT, ONE
from pricing.catalog.components import ComponentTerms
from pricing.catalog.plans import PlanTerms
from pricing.catalog.ramps import RampPhase

MODEL_WORDS: Final[Mapping[str, str]] = {
    "per_unit": "One price for every unit",
    "graduated": "Each unit at the price of its own tier",
    "volume": "All units at the price of the tier that the total reaches",
    "package": "Sold in packages; one that is begun is paid whole",
    "percentage": "A share of the value of each transaction",
    "graduated_percentage": "A share of the value, tier by tier",
    "matrix": "A price for each combination of properties",
    "cost_plus": "What the vendor takes, and a markup on it",
}
"""What a rating model means to who pays."""

_SCALES: Final = ((Decimal("0.001"), ONE), (Decimal("0.0001"), Decimal(1000)))
_LARGEST_SCALE: Final = Decimal(1_000_000)
_LIMITS: Final = (
    *("included", "quantity_rounding", "discount_percent", "maximum", "minimum", "bill_zero_usage"),
    *("free_transactions", "free_amount", "min_per_transaction", "max_per_transaction", "group_by"),
)


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One price of a component. `above` and `up_to` bound its tier, `match` says which events it prices.

    `is_rest`: it prices what matches nothing else.
    `kind` says what `price` is: the money for a `unit` or a `package`, or a `rate` or `markup` as a ratio.
    """

    kind: str
    price: Decimal
    above: Decimal | None = None
    up_to: Decimal | None = None
    match: tuple[tuple[str, str | None], ...] = ()
    flat_fee: Decimal | None = None
    is_rest: bool = False

    @property
    def is_money(self) -> bool:
        """Whether the price is an amount, not a ratio."""
        return self.kind in ("unit", "package")


@dataclass(frozen=True, slots=True)
class ComponentSheet:
    """A priced line. `per` is how many units the shown price is for: 1, 1,000 or 1,000,000."""

    key: str
    meter: str
    model: str
    words: str
    per: Decimal
    rows: tuple[PriceRow, ...]
    package_size: Decimal | None
    limits: tuple[tuple[str, Any], ...]

    @property
    def has_tiers(self) -> bool:
        """Whether the price depends on how much was used."""
        return any(row.above is not None for row in self.rows)

    @property
    def has_flat_fees(self) -> bool:
        """Whether entering a tier costs something by itself."""
        return any(row.flat_fee for row in self.rows)

    @property
    def shown(self) -> list[tuple[PriceRow, Decimal]]:
        """The rows, each with its price for `per` units."""
        return [
            (row, CONTEXT.multiply(row.price, self.per) if row.kind == "unit" else row.price)
            for row in self.rows
        ]


@dataclass(frozen=True, slots=True)
class RampSheet:
    """One phase: from when, and which parts of the plan it changes."""

    key: str
    parts: tuple[str, ...]


def ramp_sheets(terms: PlanTerms) -> list[RampSheet]:
    """The phases of a plan, in order of time."""
    return [RampSheet(_begin(phase), tuple(_parts(phase.overrides))) for phase in terms.ramps]


def component_sheets(terms: PlanTerms) -> list[ComponentSheet]:
    """The priced lines of a plan, in its order."""
    return [component_sheet(component) for component in terms.components]


def component_sheet(component: ComponentTerms) -> ComponentSheet:
    """One priced line."""
    definition = component.definition
    model = str(definition["model"])
    rows = tuple(_rows(model, definition))
    size = definition.get("package_size")
    return ComponentSheet(
        key=component.key,
        meter=component.meter,
        model=model,
        words=MODEL_WORDS[model],
        per=_scale(row.price for row in rows if row.kind == "unit"),
        rows=rows,
        package_size=None if size is None else Decimal(size),
        limits=tuple((name, definition[name]) for name in _LIMITS if name in definition),
    )


def _rows(model: str, definition: Mapping[str, Any]) -> Iterator[PriceRow]:
    if "tiers" in definition:
        yield from _tiers(definition["tiers"])
    elif model == "package":
        yield PriceRow("package", Decimal(definition["package_price"]))
    elif model == "percentage":
        yield PriceRow("rate", Decimal(definition["rate"]), flat_fee=_optional(definition.get("fixed_fee")))
    elif model == "cost_plus":
        yield PriceRow("markup", Decimal(definition["markup"]))
    elif model == "matrix":
        for cell in definition["cells"]:
            yield PriceRow("unit", Decimal(cell["unit_price"]), match=tuple(cell["match"].items()))
        if "default_unit_price" in definition:
            yield PriceRow("unit", Decimal(definition["default_unit_price"]), is_rest=True)
    else:
        yield PriceRow("unit", Decimal(definition["unit_price"]))


def _tiers(tiers: list[Mapping[str, Any]]) -> Iterator[PriceRow]:
    above = Decimal(0)
    for tier in tiers:
        kind = "rate" if "rate" in tier else "unit"
        price = Decimal(tier["rate" if kind == "rate" else "unit_price"])
        up_to = _optional(tier["up_to"])
        yield PriceRow(kind, price, above, up_to, flat_fee=_optional(tier.get("flat_fee")))
        above = above if up_to is None else up_to


def _optional(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _scale(prices: Iterator[Decimal]) -> Decimal:
    """How many units a price is said for, so that its smallest one has few zeros after the point."""
    smallest = min((price for price in prices if price), default=ONE)
    return next((per for bound, per in _SCALES if smallest >= bound), _LARGEST_SCALE)


def _begin(phase: RampPhase) -> str:
    if phase.starts_on is not None:
        return phase.starts_on.isoformat()
    months = phase.after_months or 0
    return f"after {months} month{'' if months == 1 else 's'}"


def _parts(overrides: Mapping[str, Any]) -> Iterator[str]:
    """`components tok: unit_price 0.01`, one for each part that is overridden."""
    for section, value in overrides.items():
        name = section.replace("_", " ").capitalize()
        if not isinstance(value, Mapping):
            yield f"{name}: {value}"
            continue
        for key, change in value.items():
            if change is None:
                yield f"{name} {key}: gone"
            elif isinstance(change, Mapping):
                yield f"{name} {key}: {', '.join(f'{what} {_brief(to)}' for what, to in change.items())}"
            else:
                yield f"{name} {key}: {_brief(change)}"


def _brief(value: Any) -> str:
    return f"{len(value)} entries" if isinstance(value, list) else str(value)
