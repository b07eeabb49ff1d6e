"""The `core` app; its README says what it owns."""

from __future__ import annotations

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Registers `core` with Django."""

    name = "core"
    label = "core"
