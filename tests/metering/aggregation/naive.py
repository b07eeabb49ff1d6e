"""The simplest thing that could answer a document, written from RATING.md section 5 alone.

It shares no code with metering.aggregation: fractions for numbers, full scans for everything.
"""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

Groups = dict[tuple[Any, ...], list[dict[str, Any]]]


def naive_answer(document: dict[str, Any]) -> dict[str, Any]:
    meter = document["meter"]
    start, end = instant(document["period"]["start"]), instant(document["period"]["end"])
    kept: list[dict[str, Any]] = []
    duplicates = conflicts = 0
    for event in document["events"]:
        earlier = [one for one in kept if one["idempotency_key"] == event["idempotency_key"]]
        if not earlier:
            kept.append(event)
        elif is_same(earlier[0], event):
            duplicates += 1
        else:
            conflicts += 1
    ignored = 0
    groups: Groups = {} if meter.get("group_by") else {(): []}
    for event in kept:
        if event["event"] != meter["event"] or not start <= instant(event["occurred_at"]) < end:
            continue
        properties = event["properties"]
        if not all(passes(condition, properties) for condition in meter.get("filter", [])):
            continue
        if usable(meter["aggregation"], look_up(properties, meter["property"])):
            key = tuple(text(look_up(properties, path)) for path in meter.get("group_by", []))
            groups.setdefault(key, []).append(event)
        else:
            ignored += 1
    counters = {"ignored": ignored, "duplicates": duplicates, "conflicts": conflicts}
    carried = document.get("initial", "0") if meter.get("carry_over") else "0"
    values = {key: aggregate(meter, events, start, end, Fraction(carried)) for key, events in groups.items()}
    paths = meter.get("group_by") or []
    if not paths:
        return {"value": values[()]} | counters
    order = sorted(values, key=lambda key: [(text is None, text or "") for text in key])
    rows = [{"dimensions": dict(zip(paths, key, strict=True)), "value": values[key]} for key in order]
    return {"groups": rows} | counters


def aggregate(
    meter: dict[str, Any], events: list[dict[str, Any]], start: datetime, end: datetime, level: Fraction
) -> str | None:
    kind = meter["aggregation"]
    if kind == "count":
        return str(len(events))
    found = [look_up(event["properties"], meter["property"]) for event in events]
    if kind == "unique":
        return str(len({text(value) for value in found}))
    numbers = [number(value) for value in found]
    exact = [value for value in numbers if value is not None]
    if kind == "sum":
        return written(sum(exact, Fraction(0)))
    if kind == "weighted_sum":
        return written(mean_level(events, exact, start, end, level))
    if not exact:
        return None
    if kind == "avg":
        return written(sum(exact, Fraction(0)) / len(exact))
    if kind == "latest":
        last = max(instant(event["occurred_at"]) for event in events)
        at_last = [
            value for event, value in zip(events, exact, strict=True) if instant(event["occurred_at"]) == last
        ]
        return written(at_last[-1])
    return written(min(exact) if kind == "min" else max(exact))


def mean_level(
    events: list[dict[str, Any]], values: list[Fraction], start: datetime, end: datetime, level: Fraction
) -> Fraction:
    """Walk through the period from step to step, with the level that holds between two of them."""
    steps = sorted(zip([instant(event["occurred_at"]) for event in events], values, strict=True))
    area = Fraction(0)
    at = start
    for step, change in [*steps, (end, Fraction(0))]:
        area += level * seconds(at, step)
        level += change
        at = step
    return area / seconds(start, end)


def seconds(start: datetime, end: datetime) -> Fraction:
    gone_by = end - start
    return gone_by.days * 86400 + gone_by.seconds + Fraction(gone_by.microseconds, 10**6)


def instant(written_at: str) -> datetime:
    return datetime.fromisoformat(written_at.replace("Z", "+00:00"))


def look_up(properties: dict[str, Any], path: str | None) -> Any:
    if path is None:
        return None
    if properties.get(path) is not None:
        return properties[path]
    found: Any = properties
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


def any_number(value: Any) -> Fraction | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, Decimal)):
        return Fraction(value)
    if isinstance(value, str) and re.match(
        r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*\Z", value, re.ASCII
    ):
        return Fraction(value.strip().rstrip("."))
    return None


def number(value: Any) -> Fraction | None:
    found = any_number(value)
    if found is None or abs(found) >= 10**20 or (found * 10**12).denominator != 1:
        return None
    return found


def text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ",".join(part(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{part(value[name])}" for name in sorted(value)) + "}"
    return written(Fraction(value), digits=40)


def part(value: Any) -> str:
    if value is None or isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(text(value))


def usable(kind: str, value: Any) -> bool:
    if kind == "count":
        return True
    return value is not None if kind == "unique" else number(value) is not None


def passes(condition: dict[str, Any], properties: dict[str, Any]) -> bool:
    op, wanted = condition["op"], condition.get("value")
    found = look_up(properties, condition["property"])
    if op in ("ne", "not_in", "not_contains"):
        positive = {"ne": "eq", "not_in": "in", "not_contains": "contains"}[op]
        return not passes(condition | {"op": positive}, properties)
    if op == "exists":
        return (found is not None) == (wanted is not False)
    if found is None:
        return False
    if op == "eq":
        return equal(found, wanted)
    if op == "in":
        return any(equal(found, one) for one in wanted or [])
    if op == "contains":
        if isinstance(found, str):
            return str(text(wanted)) in found
        return isinstance(found, list) and any(equal(one, wanted) for one in found)
    left, right = any_number(found), any_number(wanted)
    if left is None or right is None:
        return False
    return {"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}[op]


def equal(left: Any, right: Any) -> bool:
    if isinstance(left, (list, dict)) or left is None:
        return False
    if (
        isinstance(left, bool)
        or isinstance(right, bool)
        or (isinstance(left, str) and isinstance(right, str))
    ):
        kinds = {type(left), type(right)}
        return kinds <= {bool, str} and text(left) == text(right)
    one, other = any_number(left), any_number(right)
    return one is not None and one == other


def is_same(first: Any, second: Any, path: str = "") -> bool:
    if first is None or second is None:
        return True
    if isinstance(first, dict) and isinstance(second, dict):
        return all(is_same(first[name], second[name], path or name) for name in first if name in second)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(
            (one is None) == (other is None) and is_same(one, other, path)
            for one, other in zip(first, second, strict=True)
        )
    if path == "occurred_at":
        return instant(first) == instant(second)
    if path == "properties" and any_number(first) is not None:
        return any_number(first) == any_number(second)
    return type(first) is type(second) and bool(first == second)


def written(value: Fraction, digits: int = 18) -> str:
    """Half up, ties away from zero, without trailing zeros."""
    scaled = math.floor(abs(value) * 10**digits + Fraction(1, 2))
    whole, rest = divmod(scaled, 10**digits)
    tail = str(rest).rjust(digits, "0").rstrip("0")
    sign = "-" if value < 0 and scaled else ""
    return f"{sign}{whole}.{tail}" if tail else f"{sign}{whole}"
