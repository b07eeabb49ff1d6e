"""Where a charge, rated again, is not what is stored: field by field, and what it was rated from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from billing.models import Charge
from billing.recompute import Rerated
from core.ids import public_id, row_id
from core.numbers import plain
from pricing.models import PlanVersion

PREFIX: Final = "pv"


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field of a charge that does not come out again. `line`: its 0-based line, None = the charge's own.

    `stored` and `recomputed` as text; None where one side has no such field.
    """

    line: int | None
    component: str | None
    field: str
    stored: str | None
    recomputed: str | None


@dataclass(frozen=True, slots=True)
class RatedFrom:
    """What one line was rated from: the version (by its content's hash), the segment, the position."""

    component: str
    meter: str
    plan_version: str
    content_hash: str | None
    segment: str
    dimensions: str
    position: Mapping[str, str]


def charge_differences(
    charge: Charge, again: Rerated, segments: Collection[int] | None = None
) -> list[FieldDifference]:
    """The fields that differ, line by line; empty for a charge that is proved.

    `segments`: only lines of these were rated again.
    """
    if again.problem:
        return [FieldDifference(None, None, "charge", plain(charge.amount), again.problem)]
    lines = [line for line in charge.lines if segments is None or line.get("segment") in segments]
    found = []
    if len(lines) == len(charge.lines) and charge.amount != again.amount:
        found.append(FieldDifference(None, None, "amount", plain(charge.amount), plain(again.amount)))
    for number in range(max(len(lines), len(again.lines))):
        found += _line_differences(number, _at(lines, number), _at(again.lines, number))
    return found


def _line_differences(
    number: int, stored: Mapping[str, Any] | None, again: Mapping[str, Any] | None
) -> Iterator[FieldDifference]:
    component = (stored or again or {}).get("component")
    before, after = dict(_fields(stored)), dict(_fields(again))
    for field in sorted(before.keys() | after.keys()):
        if before.get(field) != after.get(field):
            yield FieldDifference(number, component, field, before.get(field), after.get(field))


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a line, by their paths."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _fields(inner, f"{path}.{name}" if path else name)
    elif path:
        yield path, str(value)


def _at(lines: Sequence[Mapping[str, Any]], number: int) -> Mapping[str, Any] | None:
    return lines[number] if number < len(lines) else None


def rated_from(lines: Iterable[Mapping[str, Any]]) -> list[RatedFrom]:
    """The versions and positions of a charge's lines, in their order."""
    lines = list(lines)
    versions = {row_id(PREFIX, line["plan_version"]) for line in lines}
    rows = PlanVersion.objects.filter(pk__in=versions).values_list("pk", "content_hash")
    hashes = {public_id(PREFIX, pk): content_hash for pk, content_hash in rows}
    return [
        RatedFrom(
            component=line["component"],
            meter=line["meter"],
            plan_version=line["plan_version"],
            content_hash=hashes.get(line["plan_version"]),
            segment=public_id("seg", line["segment"]),
            dimensions=line["dimensions"],
            position=line["position"],
        )
        for line in lines
    ]
