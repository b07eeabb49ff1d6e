"""Margin floors: what must stay of a period's revenue, looked at before a call lands.

`rule` decides, pure (docs/algorithms/margin-floor.md); `planning` finds the floors that a call falls under;
`sums` knows what their periods have come to, for the calls that need it, and keeps it; `verbs` sets a payer's
own.
"""

from billing.margin_floors.planning import plan_floors
from billing.margin_floors.sums import FlooredPayers, ItemFloors
from billing.margin_floors.verbs import remove_floor, set_floor

__all__ = ["FlooredPayers", "ItemFloors", "plan_floors", "remove_floor", "set_floor"]
