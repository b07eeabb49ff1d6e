"""What a plan lets its payers use: features, static limits and metered quotas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from core.numbers import plain
from pricing.catalog.keys import optional_choice, optional_name, read_key
from pricing.rating.fields import Fields

TYPES: Final = ("boolean", "limit", "metered")
RESETS: Final = ("month", "quarter", "year")


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature that plan files name: entitlements to it must be of its type."""

    key: str
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class EntitlementTerms:
    """One feature of a plan.

    boolean: `value`. limit: `limit` (a count). metered: at most `limit` of the meter's unit per `reset`.
    A boolean or limit may have a `meter`: the calls that it is about are those that this meter hears.
    """

    feature: str
    type: str
    value: bool | None = None
    limit: Decimal | None = None
    meter: str | None = None
    reset: str | None = None

    def content(self) -> dict[str, Any]:
        """The canonical form."""
        content: dict[str, Any] = {"feature": self.feature, "type": self.type}
        if self.value is not None:
            content["value"] = self.value
        if self.limit is not None:
            content["limit"] = int(self.limit) if self.type == "limit" else plain(self.limit)
        if self.meter is not None:
            content["meter"] = self.meter
        if self.reset is not None:
            content["reset"] = self.reset
        return content


def read_entitlements(fields: Fields, features: Mapping[str, Feature]) -> tuple[EntitlementTerms, ...]:
    """The field `entitlements`, one per feature; raises InvalidRequest."""
    found: dict[str, EntitlementTerms] = {}
    for index, item in enumerate(fields.optional_items("entitlements")):
        entry = Fields(item, f"{fields.path_to('entitlements')}[{index}]")
        terms = _read_entitlement(entry)
        entry.finish()
        if terms.feature in found:
            raise entry.error("feature", "duplicate", f"{terms.feature!r} stands in the list already")
        declared = features.get(terms.feature)
        if declared is not None and declared.type != terms.type:
            raise entry.error("type", "invalid_value", f"must be {declared.type}, as the feature is declared")
        found[terms.feature] = terms
    return tuple(found.values())


def _read_entitlement(entry: Fields) -> EntitlementTerms:
    feature, kind = read_key(entry, "feature"), entry.choice("type", TYPES)
    if kind == "boolean":
        entry.required("value")
        return EntitlementTerms(feature, kind, value=entry.flag("value"), meter=_about(entry))
    if kind == "limit":
        entry.required("limit")
        limit = Decimal(entry.optional_count("limit") or 0)
        return EntitlementTerms(feature, kind, limit=limit, meter=_about(entry))
    return EntitlementTerms(
        feature,
        kind,
        limit=entry.quantity("limit"),
        meter=read_key(entry, "meter"),
        reset=optional_choice(entry, "reset", RESETS, "month"),
    )


def _about(entry: Fields) -> str | None:
    return read_key(entry, "meter") if entry.value("meter") is not None else None


def read_feature(raw: object, path: str) -> Feature:
    """An entry of the section `features`; raises InvalidRequest."""
    fields = Fields(raw, path)
    key = read_key(fields, "key")
    feature = Feature(key, optional_name(fields, "name", key), fields.choice("type", TYPES))
    fields.finish()
    return feature
