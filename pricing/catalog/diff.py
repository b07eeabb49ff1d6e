"""What differs between two contents of a plan: part by part, price by price. Pure.

Two canonical contents are equal if and only if there is no change between them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pricing.catalog.overrides import PARTS

ORDER: Final = (
    "name",
    "family",
    "currency",
    "interval",
    "anchor",
    "proration",
    "base_fees",
    "one_off_fees",
    "components",
    "credits",
    "minimum_spend",
    "entitlements",
    "ramps",
)
"""The order of a plan's fields in a diff; others come after them by name."""


class Kind(StrEnum):
    """What became of the value at a path."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `path` names parts by key and tiers by number: `components.tok.tiers[0].unit_price`.

    `section` is the field of the plan in which it lies, `part` the key of the component, fee, credit or
    feature that it is about (None: of no single one). `old` is None when it was added, `new` when it was
    removed; a part that is added or removed is given whole.
    """

    section: str
    part: str | None
    path: str
    kind: Kind
    old: Any
    new: Any

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"path": self.path, "kind": self.kind.value, "old": self.old, "new": self.new}


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """All that differs, in the order of the plan's fields; true when anything does."""

    changes: tuple[Change, ...]

    def __bool__(self) -> bool:
        return bool(self.changes)

    def of(self, section: str, part: str | None = None) -> list[Change]:
        """The changes of a field of the plan, or of one of its parts."""
        found = [change for change in self.changes if change.section == section]
        return found if part is None else [change for change in found if change.part == part]


def diff_contents(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> VersionDiff:
    """What `new` changes against `old`; both canonical (`PlanTerms.content()`), None = there is no old one.

    Components, fees, credits and entitlements are matched by key, cells of a matrix by what they match,
    phases of a ramp by when they begin, tiers by number or, when there are more or fewer, by their bound.
    """
    old = old or {}
    sections = sorted(old.keys() | new.keys(), key=_order)
    return VersionDiff(tuple(change for name in sections for change in _section(name, old, new)))


def _section(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    if name not in PARTS:
        values = [content.get(name) for content in (old, new)]
        if any(isinstance(value, Mapping) for value in values):
            values = [value or {} for value in values]  # of a trial that is new, each field is
        for row in _compare(name, name, *values):
            yield Change(name, None, *row)
        return
    before, after = (_by(content.get(name, ()), _key_of(PARTS[name])) for content in (old, new))
    for key in _all_keys(before, after):
        for row in _compare("", f"{name}.{key}", before.get(key), after.get(key)):
            yield Change(name, key, *row)
    for row in _moved(name, before, after):
        yield Change(name, None, *row)


Row = tuple[str, Kind, Any, Any]


def _compare(name: str, path: str, old: Any, new: Any) -> Iterator[Row]:
    """The changes below one value; `name` is its field, which says how items of a list are told apart."""
    if old == new:
        return
    if old is None:
        yield path, Kind.ADDED, None, new
    elif new is None:
        yield path, Kind.REMOVED, old, None
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in _all_keys(old, new):
            if key in old and key in new:
                yield from _compare(key, f"{path}.{key}", old[key], new[key])
            elif key in new:
                yield f"{path}.{key}", Kind.ADDED, None, new[key]
            else:
                yield f"{path}.{key}", Kind.REMOVED, old[key], None
    elif name in _IDENTITIES and isinstance(old, Sequence) and isinstance(new, Sequence):
        yield from _items(path, old, new, _IDENTITIES[name])
    elif name == "tiers" and isinstance(old, Sequence) and isinstance(new, Sequence):
        yield from _tiers(path, old, new)
    else:
        yield path, Kind.CHANGED, old, new


def _items(
    path: str, old: Sequence[Any], new: Sequence[Any], identity: Callable[[Any], str]
) -> Iterator[Row]:
    before, after = _by(old, identity), _by(new, identity)
    for key in _all_keys(before, after):
        yield from _compare("", f"{path}[{key}]", before.get(key), after.get(key))
    yield from _moved(path, before, after)


def _tiers(path: str, old: Sequence[Any], new: Sequence[Any]) -> Iterator[Row]:
    if len(old) == len(new):
        for number, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _compare("", f"{path}[{number}]", before, after)
        return
    there = {tier["up_to"]: tier for tier in old}
    for number, tier in enumerate(new):
        yield from _compare("", f"{path}[{number}]", there.get(tier["up_to"]), tier)
    kept = {tier["up_to"] for tier in new}
    for number, tier in enumerate(old):
        if tier["up_to"] not in kept:
            yield f"{path}[{number}]", Kind.REMOVED, tier, None


def _moved(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Row]:
    """One row when what stayed stands in another order; new parts come after old ones."""
    expected = [key for key in before if key in after] + [key for key in after if key not in before]
    if expected != list(after):
        yield path, Kind.CHANGED, list(before), list(after)


def _by(items: Sequence[Any], identity: Callable[[Any], str]) -> dict[str, Any]:
    return {identity(item): item for item in items}


def _key_of(name: str) -> Callable[[Any], str]:
    return lambda item: str(item[name])


def _cell(cell: Mapping[str, Any]) -> str:
    return json.dumps(cell["match"], sort_keys=True, ensure_ascii=False)


def _phase(phase: Mapping[str, Any]) -> str:
    return str(phase.get("starts_on") or f"{phase.get('after_months')} months")


_IDENTITIES: Final[Mapping[str, Callable[[Any], str]]] = {"cells": _cell, "ramps": _phase}


def _all_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """The keys of both, those of `old` first."""
    return [*old, *(key for key in new if key not in old)]


def _order(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)
