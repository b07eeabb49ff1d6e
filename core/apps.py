"""The `core` app; its README says what it owns."""

from __future__ import annotations

from django.apps import AppConfig

from core import test_clock


class CoreConfig(AppConfig):
    """Registers `core` with Django."""

    name = "core"
    label = "core"

    def ready(self) -> None:
        """Take the time from the test clock where the installation has one."""
        test_clock.install()
