"""The `billing` app; its README says what it owns."""

from __future__ import annotations

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Registers `billing` with Django."""

    name = "billing"
    label = "billing"
