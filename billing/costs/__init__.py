"""Costs that become known later: of one event (`later`), or of a vendor's month (`billing.vendor_bills`).

`known` is what every reader of events' costs asks. Only margins move; a price never does.
"""

from billing.costs.known import KnownCost, know_costs, known_costs, with_known_cost
from billing.costs.later import correct_cost

__all__ = ["KnownCost", "correct_cost", "know_costs", "known_costs", "with_known_cost"]
