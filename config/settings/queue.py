"""Redis: Celery's messages and the caches. `REDIS_URL` names your own; unset means the embedded one."""

from __future__ import annotations

from redis.backoff import NoBackoff
from redis.retry import Retry

from config.embedded.installation import REDIS
from config.environment import REDIS_URL
from config.schedule import SCHEDULE

CACHES = {
    "default": {
        "BACKEND": "core.cache.FailOpenRedisCache",
        "LOCATION": REDIS_URL or REDIS.dsn,
        "KEY_PREFIX": "tollgate",
        "OPTIONS": {
            "retry": Retry(NoBackoff(), 0),  # a cache that is slow to fail is worse than none
            "socket_connect_timeout": 0.25,
            "socket_timeout": 0.25,
        },
    }
}

CELERY_BROKER_URL = REDIS_URL or REDIS.broker_url
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 30 * 60
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 60 * 60, "socket_connect_timeout": 5}
CELERY_BEAT_SCHEDULER = "core.jobs.scheduler:DatabaseScheduler"
CELERY_WORKER_CONSUMER = "core.jobs.consumer:ParkingConsumer"
CELERY_TIMEZONE = "UTC"

JOBS = SCHEDULE
"""The jobs, for those who may not know the schedule itself: beat, the jobs page, `/v1/jobs`, metrics."""
