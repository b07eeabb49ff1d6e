"""The project: settings, URLs, Celery, the embedded servers and the commands that run it all."""

from __future__ import annotations

from config.celery import app as celery_app

__all__ = ["celery_app"]
