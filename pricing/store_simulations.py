"""SQL of simulations: many result rows at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import psycopg

from core.sql import NULL, TAB, HotTable

ROWS: Final = HotTable(
    "pricing_simulationrow",
    {
        "simulation_id": "bigint",
        "version": "smallint",
        "customer_id": "bigint",
        "billing_entity_id": "bigint",
        "currency": "text",
        "current": "numeric",
        "simulated": "numeric",
        "difference": "numeric",
        "cost": "numeric",
        "events": "bigint",
        "costed": "bigint",
        "unpriced": "bigint",
        "lines": "jsonb",
    },
)


def write_rows(raw: psycopg.Connection[tuple[object, ...]], rows: Iterable[tuple[object, ...]]) -> None:
    """Write rows of results by COPY, in the columns' order; None is null."""
    lines = [TAB.join(NULL if value is None else str(value) for value in row) for row in rows]
    if lines:
        ROWS.copy(raw, lines)
