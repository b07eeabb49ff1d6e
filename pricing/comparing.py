"""Two versions side by side: every price of either, what changed and by how much. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final, Generic, TypeVar

from core.numbers import CONTEXT, ONE, ZERO
from pricing.catalog.plans import PlanTerms
from pricing.sheet import ComponentSheet, PriceRow, component_sheets, ramp_sheets

T = TypeVar("T")
ADDED, REMOVED, CHANGED, UNCHANGED = "added", "removed", "changed", "unchanged"
_PARTS: Final = ("base_fees", "components", "credits", "entitlements", "coupons", "one_off_fees", "ramps")


@dataclass(frozen=True, slots=True)
class Pair(Generic[T]):
    """One thing in the old and the new version; None where a version has no such thing."""

    key: str
    old: T | None
    new: T | None

    @property
    def mark(self) -> str:
        """added, removed, changed or unchanged."""
        if self.old is None:
            return ADDED
        if self.new is None:
            return REMOVED
        return UNCHANGED if self.old == self.new else CHANGED


@dataclass(frozen=True, slots=True)
class ComponentPair(Pair[ComponentSheet]):
    """A priced line in both versions; its prices by what they are for, its limits by name."""

    prices: tuple[Pair[PriceRow], ...]
    limits: tuple[Pair[Any], ...]

    @property
    def per(self) -> Decimal:
        """How many units both prices are said for: the finer of the two scales."""
        sheets = [sheet for sheet in (self.old, self.new) if sheet is not None]
        return max((sheet.per for sheet in sheets), default=ONE)

    @property
    def sheet(self) -> ComponentSheet | None:
        """The new one, or the old one when it is gone."""
        return self.new or self.old


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two versions have, part by part; `facts` are the terms that are no lists."""

    facts: tuple[Pair[Any], ...]
    fees: tuple[Pair[Any], ...]
    components: tuple[ComponentPair, ...]
    credits: tuple[Pair[Any], ...]
    entitlements: tuple[Pair[Any], ...]
    one_off_fees: tuple[Pair[Any], ...]
    ramps: tuple[Pair[Any], ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many things were added, removed and changed."""
        lists = (self.fees, self.components, self.credits, self.entitlements, self.one_off_fees, self.ramps)
        pairs = [*self.facts, *(pair for pairs in lists for pair in pairs)]
        return {mark: sum(pair.mark == mark for pair in pairs) for mark in (ADDED, REMOVED, CHANGED)}

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        return not any(self.counts.values())


def compare_versions(old: PlanTerms, new: PlanTerms) -> Comparison:
    """All of both versions in the order of the new one, what is gone at its old place's end."""
    return Comparison(
        facts=tuple(pair for pair in _facts(old, new) if pair.mark != UNCHANGED),
        fees=tuple(_pairs(old.base_fees, new.base_fees, lambda fee: fee.key)),
        components=tuple(_components(old, new)),
        credits=tuple(_pairs(old.credits, new.credits, lambda credit: credit.key)),
        entitlements=tuple(_pairs(old.entitlements, new.entitlements, lambda one: one.feature)),
        one_off_fees=tuple(_pairs(old.one_off_fees, new.one_off_fees, lambda fee: fee.key)),
        ramps=tuple(_pairs(ramp_sheets(old), ramp_sheets(new), lambda phase: phase.key)),
    )


def price_change(pair: Pair[PriceRow]) -> Decimal | None:
    """The relative change of a price, 0.1 for one tenth more; None without two prices of one kind."""
    old, new = pair.old, pair.new
    if old is None or new is None or old.kind != new.kind or not old.price:
        return None
    return CONTEXT.divide(CONTEXT.subtract(new.price, old.price), old.price)


def _facts(old: PlanTerms, new: PlanTerms) -> Iterator[Pair[Any]]:
    before, after = old.content(), new.content()
    for name in dict.fromkeys([*after, *before]):
        if name not in _PARTS:
            yield Pair(name, before.get(name), after.get(name))


def _components(old: PlanTerms, new: PlanTerms) -> Iterator[ComponentPair]:
    for pair in _pairs(component_sheets(old), component_sheets(new), lambda sheet: sheet.key):
        rows = _rows_on_one_scale(pair.old, pair.new)
        limits = [sheet.limits if sheet else () for sheet in (pair.old, pair.new)]
        yield ComponentPair(
            pair.key,
            pair.old,
            pair.new,
            tuple(sorted(_pairs(rows[0], rows[1], _place), key=_height)),
            tuple(_limits(*limits)),
        )


def _rows_on_one_scale(
    old: ComponentSheet | None, new: ComponentSheet | None
) -> tuple[tuple[PriceRow, ...], tuple[PriceRow, ...]]:
    """The rows of both, cut wherever a tier of either ends, so that each row has its like in the other.

    As they are where that would say something untrue: for tiers that cost something to enter, and of models
    in which a tier means different things.
    """
    rows = (old.rows if old else (), new.rows if new else ())
    if old is None or new is None or not (old.has_tiers or new.has_tiers):
        return rows
    models = {old.model, new.model} - {"per_unit"}
    if old.has_flat_fees or new.has_flat_fees or models not in ({"graduated"}, {"volume"}):
        return rows
    ends = sorted({row.up_to for side in rows for row in side if row.up_to is not None})
    return tuple(_cut(rows[0], ends)), tuple(_cut(rows[1], ends))


def _cut(rows: Iterable[PriceRow], ends: Iterable[Decimal]) -> Iterator[PriceRow]:
    for row in rows:
        above = row.above or ZERO
        for end in ends:
            if above < end and (row.up_to is None or end < row.up_to):
                yield replace(row, above=above, up_to=end)
                above = end
        yield replace(row, above=above)


def _limits(old: Iterable[tuple[str, Any]], new: Iterable[tuple[str, Any]]) -> Iterator[Pair[Any]]:
    before, after = dict(old), dict(new)
    for name in dict.fromkeys([*after, *before]):
        yield Pair(name, before.get(name), after.get(name))


def _place(row: PriceRow) -> str:
    """What a price is for: its kind, its tier, its match."""
    match = sorted((name, str(value)) for name, value in row.match)
    return f"{row.kind} {row.above} {row.up_to} {match}"


def _height(pair: Pair[PriceRow]) -> Decimal:
    """Where a tier begins, so that the tiers of both versions stand in one order."""
    row = pair.new or pair.old
    return (row and row.above) or ZERO


def _pairs(old: Iterable[T], new: Iterable[T], key_of: Callable[[T], str]) -> Iterator[Pair[T]]:
    before, after = {key_of(one): one for one in old}, {key_of(one): one for one in new}
    for key in dict.fromkeys([*after, *before]):
        yield Pair(key, before.get(key), after.get(key))
