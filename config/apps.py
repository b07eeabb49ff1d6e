"""The project itself as an app: it owns the commands that run the installation, and a few checks."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from config.checks import check_chart_js


class ProjectConfig(AppConfig):
    """Registers the commands and checks with Django."""

    name = "config"
    label = "config"

    def ready(self) -> None:
        """Register the checks."""
        register(check_chart_js)
