"""A simulation's rows as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, Final

from accounts.models import BillingEntity, Customer
from core.ids import public_id
from core.pages.export import csv_cell
from pricing.models import Simulation, SimulationRow
from pricing.simulation.outcomes import outcome_of

COLUMNS: Final = (
    "version",
    "customer",
    "customer_name",
    "billing_entity",
    "billing_entity_name",
    "currency",
    "current",
    "simulated",
    "difference",
    "outcome",
    "cost",
    "events",
    "costed",
    "unpriced",
)
_AT_ONCE: Final = 1000


class _Line:
    def write(self, line: str) -> str:
        return line


def csv_rows(simulation: Simulation) -> Iterator[str]:
    """The header and a line for each row, those first who would pay most more; cells no spreadsheet runs."""
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    labels = [version["label"] for version in simulation.versions]
    rows = SimulationRow.objects.filter(simulation=simulation).order_by("version", "-difference", "id")
    chunk: list[SimulationRow] = []
    for row in rows.iterator(_AT_ONCE):
        chunk.append(row)
        if len(chunk) == _AT_ONCE:
            yield from _lines(writer, labels, chunk)
            chunk.clear()
    yield from _lines(writer, labels, chunk)


def _lines(writer: Any, labels: list[str], rows: list[SimulationRow]) -> Iterator[str]:
    customers = dict(
        Customer.objects.filter(pk__in={row.customer_id for row in rows}).values_list("pk", "name")
    )
    payers = dict(
        BillingEntity.objects.filter(pk__in=[row.billing_entity_id for row in rows]).values_list("pk", "name")
    )
    for row in rows:
        cells = (
            labels[row.version],
            public_id("cus", row.customer_id),
            customers.get(row.customer_id),
            public_id("be", row.billing_entity_id),
            payers.get(row.billing_entity_id),
            row.currency,
            row.current,
            row.simulated,
            row.difference,
            outcome_of(row.difference).value,
            row.cost,
            row.events,
            row.costed,
            row.unpriced,
        )
        yield writer.writerow([csv_cell(cell) for cell in cells])
