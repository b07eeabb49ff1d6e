"""The close of billing periods, and what comes after it (docs/algorithms/closing.md).

Nothing here knows the path of a call, which asks `late` for usage of a closed period.
"""

from __future__ import annotations

from billing.closing.verbs import close_period, close_periods

__all__ = ["close_period", "close_periods"]
