"""Celery with a clock that beats fast: what is due each minute comes every few seconds."""

from __future__ import annotations

from config.celery import app
from config.schedule import MINUTE, SCHEDULE

SECONDS = 5.0

app.conf.beat_schedule = {
    due.task: {"task": due.task, "schedule": SECONDS, "options": {"expires": 4 * SECONDS}}
    for due in SCHEDULE
    if due.every <= MINUTE
}
