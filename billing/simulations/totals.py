"""What a simulation came to in total, from its rows."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from billing.margins import Margin
from core.numbers import CONTEXT, ZERO, plain
from pricing.models import Simulation, SimulationRow
from pricing.simulation.outcomes import Outcome, deciles, grows_by_more_than, outcome_of

ROWS_AT_ONCE = 2000


class Figures(NamedTuple):
    """A row, as far as totals go."""

    current: Decimal
    simulated: Decimal
    difference: Decimal
    cost: Decimal | None
    events: int
    costed: int
    unpriced: int


def totals_of(simulation: Simulation) -> list[dict[str, Any]]:
    """The totals of every version, in their order; reads the rows as a stream."""
    found = []
    for number, version in enumerate(simulation.versions):
        rows = SimulationRow.objects.filter(simulation=simulation, version=number)
        ordered = rows.order_by("difference", "id").values_list(*Figures._fields)
        figures = (Figures(*row) for row in ordered.iterator(ROWS_AT_ONCE))
        currency = version["content"]["currency"]
        sums = sum_up(figures, rows.count(), simulation.grows_by)
        skipped = simulation.payers_done - sums["payers"]
        found.append({"label": version["label"], "currency": currency, "skipped": skipped, **sums})
    return found


def sum_up(rows: Iterable[Figures], count: int, grows_by: Decimal) -> dict[str, Any]:
    """The totals of `count` rows, given by ascending difference. Pure; ready for JSON."""
    outcomes = dict.fromkeys(Outcome, 0)
    current, simulated, growing, unpriced = Margin(), Margin(), 0, 0

    def counted() -> Iterable[Decimal]:
        nonlocal current, simulated, growing, unpriced
        for row in rows:
            outcomes[outcome_of(row.difference)] += 1
            growing += grows_by_more_than(row.current, row.difference, grows_by)
            unpriced += row.unpriced
            cost = Margin(events=row.events, costed=row.costed, known_cost=row.cost or ZERO)
            current += cost + Margin(revenue=row.current)
            simulated += cost + Margin(revenue=row.simulated)
            yield row.difference

    differences = deciles(counted(), count)
    return {
        "payers": count,
        "current": plain(current.revenue),
        "simulated": plain(simulated.revenue),
        "difference": plain(CONTEXT.subtract(simulated.revenue, current.revenue)),
        "cost": _text(simulated.cost),
        "cost_coverage": _text(simulated.cost_coverage),
        "current_margin": _text(current.margin),
        "current_margin_rate": _text(current.margin_rate),
        "margin": _text(simulated.margin),
        "margin_rate": _text(simulated.margin_rate),
        "winners": outcomes[Outcome.WINNER],
        "losers": outcomes[Outcome.LOSER],
        "unchanged": outcomes[Outcome.UNCHANGED],
        "growing": growing,
        "unpriced": unpriced,
        "deciles": [plain(value) for value in differences],
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
