"""Celery, and the one table of what runs when."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("tollgate")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

app.conf.beat_schedule = {}
"""name -> {"task": dotted path, "schedule": seconds or crontab}; every due task also runs by `run_due`."""
