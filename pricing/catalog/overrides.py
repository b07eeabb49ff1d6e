"""Overrides: what a contract, or a phase of a ramp, changes of a plan by naming its parts.

Components, fees, credits and entitlements are named by key: a parameter that is given replaces the whole
parameter, null takes the part (or the parameter) away, and a key that the plan lacks adds a part. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from core.errors import InvalidRequest
from core.numbers import plain
from pricing.rating.fields import Fields
from pricing.rating.modifiers import HUNDRED

PARTS: Final = {
    "components": "key",
    "base_fees": "key",
    "one_off_fees": "key",
    "credits": "key",
    "entitlements": "feature",
}
"""The lists of a plan, and by what an override names their parts."""

TERMS: Final = (
    "name",
    "interval",
    "anchor",
    "proration",
    "minimum_spend",
    "margin_floor",
    "trial",
    "payment_terms",
    "ramps",
)
"""What an override replaces as a whole. A plan's key, family and currency stay."""

IN_A_CONTRACT: Final = (*PARTS, "discounts", *TERMS)
IN_A_PHASE: Final = ("components", "base_fees", "credits", "entitlements", "discounts", "minimum_spend")
"""A phase changes prices and what is included, not the calendar."""

_ALTERNATIVES: Final = {"amount": ("unit_amount", "quantity"), "unit_amount": ("amount",)}
_KIND: Final = {"components": ("model", ("key", "meter")), "entitlements": ("type", ("feature",))}
"""With another model (or type) the parameters of the old one go; these stay."""
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_TEXTS: Final = frozenset({"name", "key", "meter", "feature", "dimensions", "group_by", "components"})
_PLACE: Final = re.compile(rf"({'|'.join(PARTS)})\[([0-9]+)\]")


def apply_overrides(
    content: Mapping[str, Any],
    raw: object,
    path: str = "overrides",
    allowed: tuple[str, ...] = IN_A_CONTRACT,
) -> dict[str, Any]:
    """The plan `content` (canonical) with the overrides in it, still to be read by `read_plan`.

    Raises InvalidRequest for overrides that name what is not there or are of the wrong shape.
    """
    fields = Fields(raw, path)
    changed = dict(content)
    for name in allowed:
        if name in PARTS:
            changed[name] = _with_parts(content.get(name, ()), fields, name)
    if "discounts" in allowed:
        changed["components"] = _discounted(changed["components"], fields)
    for name in allowed:
        if name in TERMS and fields.has(name):
            changed[name] = fields.value(name)
    fields.finish()
    return changed


def placed(error: InvalidRequest, content: Mapping[str, Any], path: str) -> InvalidRequest:
    """An error of reading overridden `content`, as one about the overrides at `path`.

    `components[2].tiers` becomes `overrides.components.tok.tiers`.
    """
    old = error.param or ""
    found = _PLACE.match(old)
    new = f"{path}.{old}" if old else path
    if found:
        part = content[found[1]][int(found[2])]
        key = part.get(PARTS[found[1]]) if isinstance(part, Mapping) else found[2]
        new = f"{path}.{found[1]}.{key}{old[found.end() :]}"
    message = error.message.replace(old, new, 1) if old and error.message.startswith(old) else error.message
    return InvalidRequest(error.code, message, new)


def canonical_overrides(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides with each number in one notation and keys in order. What is null or 0 says something here."""
    return {key: _canonical(key, value) for key, value in sorted(raw.items())}


def _canonical(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return value if key == "match" else canonical_overrides(value)
    if isinstance(value, list | tuple):
        return [_canonical(key, item) for item in value]
    if isinstance(value, str) and key not in _TEXTS and _NUMBER.fullmatch(value):
        return plain(Decimal(value))
    return value


def _with_parts(there: Any, fields: Fields, name: str) -> list[Any]:
    named_by = PARTS[name]
    parts = {part[named_by]: part for part in there}
    raw = fields.value(name)
    if raw is None:
        return list(parts.values())
    changes = Fields(raw, fields.path_to(name))
    for key in changes.keys():  # noqa: SIM118 (Fields is not a dict)
        change = changes.value(key)
        if change is not None:
            parts[key] = _changed(parts.get(key, {}), Fields(change, changes.path_to(key)), change, name, key)
        elif parts.pop(key, None) is None:
            raise _unknown(changes, key, f"is not in the plan; {_there(parts)}")
    return list(parts.values())


def _changed(
    old: Mapping[str, Any], fields: Fields, change: Mapping[str, Any], section: str, key: str
) -> dict[str, Any]:
    named_by = PARTS[section]
    if change.get(named_by, key) != key:
        raise fields.error(named_by, "invalid_value", f"must be {key!r}, or left out")
    kind, stays = _KIND.get(section, ("", ()))
    if kind in change and change[kind] != old.get(kind):
        old = {name: old[name] for name in stays if name in old}
    gone = {other for name in change for other in _ALTERNATIVES.get(name, ()) if other not in change}
    kept = {name: value for name, value in old.items() if section != "base_fees" or name not in gone}
    return {**kept, **change, named_by: key}


def _discounted(components: list[Any], fields: Fields) -> list[Any]:
    parts = {part["key"]: part for part in components}
    seen: set[str] = set()
    for index, item in enumerate(fields.optional_items("discounts")):
        entry = Fields(item, f"{fields.path_to('discounts')}[{index}]")
        percent = entry.price("percent")
        if percent > HUNDRED:
            raise entry.error("percent", "invalid_value", "must be at most 100")
        keys = entry.names("components") or tuple(parts)
        entry.finish()
        for position, key in enumerate(keys):
            where = f"components[{position}]" if entry.value("components") else "components"
            if key not in parts:
                raise _unknown(entry, where, f"names {key!r}, which is not in the plan; {_there(parts)}")
            if key in seen:
                raise _unknown(entry, where, f"names {key!r}, which has a discount of this list already")
            seen.add(key)
            parts[key] = {**parts[key], "discount_percent": plain(percent)}
    return list(parts.values())


def _there(parts: Mapping[str, Any]) -> str:
    return f"there are: {', '.join(parts) or 'none'}"


def _unknown(fields: Fields, name: str, says: str) -> InvalidRequest:
    return fields.error(name, "unknown_key", says)
