"""Scheduled tasks as jobs: run by one wrapper, remembered in the database, watched over.

`catalogue` says what jobs there are, `running` runs one, `asking` lets somebody ask for a run, `states` says
how each does, `beating` who is alive, `parking` keeps messages that nobody can work off. `task`, `consumer`
and `scheduler` are what Celery is told to use.
"""

from __future__ import annotations

from core.jobs.asking import request_run
from core.jobs.beating import Pulse, pulse
from core.jobs.catalogue import Job, find_job, jobs
from core.jobs.parking import drop, send_again
from core.jobs.running import run_job
from core.jobs.states import JobState, job_states

__all__ = [
    "Job",
    "JobState",
    "Pulse",
    "drop",
    "find_job",
    "job_states",
    "jobs",
    "pulse",
    "request_run",
    "run_job",
    "send_again",
]
