"""The Celery application."""

from __future__ import annotations

import os

from celery import Celery

from config.schedule import SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("tollgate", task_cls="core.jobs.task:JobTask")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["consumer"].add("core.jobs.consumer:AliveStep")
app.conf.beat_schedule = {
    # A run that waited as long as its interval (the worker was down) is dropped: the next one does its work.
    due.task: {"task": due.task, "schedule": due.every, "options": {"expires": due.every}}
    for due in SCHEDULE
}
