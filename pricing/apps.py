"""The `pricing` app; its README says what it owns."""

from __future__ import annotations

from django.apps import AppConfig


class PricingConfig(AppConfig):
    """Registers `pricing` with Django."""

    name = "pricing"
    label = "pricing"
