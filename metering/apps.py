"""The `metering` app; its README says what it owns."""

from __future__ import annotations

from django.apps import AppConfig


class MeteringConfig(AppConfig):
    """Registers `metering` with Django."""

    name = "metering"
    label = "metering"
