"""The `billing` app; its README says what it owns."""

from __future__ import annotations

from django.apps import AppConfig

from accounts.moves import follow_moves
from billing.moved_holds import follow_holds


class BillingConfig(AppConfig):
    """Registers `billing` with Django."""

    name = "billing"
    label = "billing"

    def ready(self) -> None:
        """Let open holds follow what moves in a customer's tree."""
        follow_moves(follow_holds)
