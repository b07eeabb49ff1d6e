"""The commonest check: a sum of rows on one side, what is kept of it on the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from billing.reconciliation.link import Checked, Finding, Scope, SumKey
from core.numbers import CONTEXT, ZERO

Difference = Callable[[SumKey, Decimal, Decimal], Finding]
"""Makes a finding of (whose sum, expected, actual)."""


def add_up(
    proven: Mapping[SumKey, Decimal], moved: Iterable[tuple[Any, ...]]
) -> tuple[dict[SumKey, Decimal], int]:
    """The proven sums with what moved since, (customer, payer, key, amount, rows); and all its rows."""
    sums, rows = dict(proven), 0
    for customer_id, payer_id, key, amount, count in moved:
        place = (customer_id, payer_id, key)
        sums[place] = CONTEXT.add(sums.get(place, ZERO), amount)
        rows += count
    return sums, rows


def compare(
    scope: Scope,
    link: str,
    moved: Iterable[tuple[Any, ...]],
    kept: Iterable[tuple[Any, ...]],
    difference: Difference,
) -> Checked:
    """Sums of `moved` (as for `add_up`) on top of those proven, against `kept`: (customer, payer, key, sum).

    A sum that is missing on one side is 0 there.
    """
    sums, rows = add_up(scope.proven.get(link, {}), moved)
    actual: dict[SumKey, Decimal] = {(row[0], row[1], row[2]): row[3] for row in kept}
    findings = [
        difference(place, sums.get(place, ZERO), actual.get(place, ZERO))
        for place in sorted(sums.keys() | actual.keys())
        if sums.get(place, ZERO) != actual.get(place, ZERO)
    ]
    return Checked(rows, findings, {place: amount for place, amount in sums.items() if amount})
