"""Spend limits: ceilings in money per key, workspace, meter, organization and payer.

`windows` (pure) says what a limit counts together, `catalogue` is the process's copy of the limits, `verbs`
set them, `filling` says how full they are. The charge path asks them in `billing.charging.limiting`;
docs/algorithms/limits.md tells the rules.
"""

from billing.limits.catalogue import Limit, LimitBook, find_homes, limit_books

__all__ = ["Limit", "LimitBook", "find_homes", "limit_books"]
