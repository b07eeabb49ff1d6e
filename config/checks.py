"""System checks: what else must be true of an installation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.contrib.staticfiles import finders
from django.core.checks import CheckMessage, Error

CHART_JS = "vendor/chart/chart.js"
CHART_JS_MAJOR = 'version="4.'


def check_chart_js(**kwargs: Any) -> list[CheckMessage]:
    """Charts come from a file inside the django-unfold package: still there, still the version we know?"""
    found = finders.find(CHART_JS)
    if found and CHART_JS_MAJOR in Path(found).read_text(errors="replace"):
        return []
    hint = "Install the pinned django-unfold of requirements.txt."
    return [Error(f"{CHART_JS} is missing or not Chart.js 4.", hint=hint, id="config.E001")]
