"""Refusing what would go beyond a usage ceiling: see docs/algorithms/rollouts.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from billing.charging.planning import Planned
from core.numbers import CONTEXT
from pricing.ceilings import Ceiling


class Beyond(NamedTuple):
    """The ceiling that a charge would pass, and what its segment has used so far."""

    ceiling: Ceiling
    used: Decimal

    def as_denied(self) -> dict[str, Any]:
        """What it says in a refusal."""
        return {
            "level": "subscription",
            "level_id": self.ceiling.subscription,
            "limit": self.ceiling.limit,
            "used": CONTEXT.add(self.ceiling.used_before, self.used),
        }


def beyond_ceiling(item: Planned, rated: Sequence[Mapping[str, Any]]) -> Beyond | None:
    """The first ceiling that an item would pass; `rated` are the records of its lines, in their order.

    Reads only what the charge path has in memory. What adds nothing to the quantity passes no ceiling.
    """
    for line, record in zip(item.lines, rated, strict=False):
        ceiling = line.segment.ceilings.get(line.component.meter_id)
        if ceiling is None:
            continue
        before, after = (Decimal(record["position"][end]) for end in ("from", "to"))
        if after > before and after > ceiling.left:
            return Beyond(ceiling, before)
    return None
