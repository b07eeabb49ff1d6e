"""Celery with a clock that beats fast: what is due each minute comes every few seconds."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from django.conf import settings

from config.celery import app as app
from config.schedule import MINUTE, SCHEDULE

SECONDS: Final = 5.0

settings.JOBS = tuple(replace(due, every=SECONDS) for due in SCHEDULE if due.every <= MINUTE)
