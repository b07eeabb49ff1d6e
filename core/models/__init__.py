"""What every app leans on: the installation's config version, request keys, the test clock, its jobs."""

from core.models.config import ConfigVersion, TestClock
from core.models.jobs import Heartbeat, JobRequest, JobRun, ParkedMessage
from core.models.requests import IdempotentRequest

__all__ = [
    "ConfigVersion",
    "Heartbeat",
    "IdempotentRequest",
    "JobRequest",
    "JobRun",
    "ParkedMessage",
    "TestClock",
]
