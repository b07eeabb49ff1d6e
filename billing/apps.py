"""The `billing` app; its README says what it owns."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import import_string

from accounts.followers import closings, moves
from billing.moved_holds import follow_holds


class BillingConfig(AppConfig):
    """Registers `billing` with Django."""

    name = "billing"
    label = "billing"

    def ready(self) -> None:
        """Let open holds follow what moves in a customer's tree, and subscriptions end with their payers."""
        moves.join(follow_holds)
        closings.join(import_string("billing.closed_payers.end_subscriptions"))
