"""What was planned before the lock does not hold under it."""

from __future__ import annotations

from core.database_errors import Unavailable


class StaleConfig(Unavailable):
    """The configuration changed since the batch was planned: plan it again."""

    def __init__(self, customer_ids: list[int], is_global: bool) -> None:
        super().__init__("unavailable", "The configuration keeps changing; send the same request again.")
        self.customer_ids = customer_ids
        self.is_global = is_global
