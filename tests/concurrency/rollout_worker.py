"""A worker of its own process, for tests that kill it: `python -m tests.concurrency.rollout_worker`."""

from __future__ import annotations

import os

import django
from django.utils.module_loading import import_string


def main() -> None:
    """Run the due task once, as Celery would."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    import_string("billing.tasks.execute_rollouts")()


if __name__ == "__main__":
    main()
