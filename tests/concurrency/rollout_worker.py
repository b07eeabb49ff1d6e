"""A worker of its own process, for tests that kill it: `python -m tests.concurrency.rollout_worker BATCH`.

BATCH is how many subscriptions move in one transaction.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import django
from django.utils.module_loading import import_string


def main(batch: int) -> None:
    """Run the due task once, as Celery would."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    import_module("billing.rollouts.executing").BATCH = batch  # type: ignore[attr-defined]
    import_string("billing.tasks.execute_rollouts")()


if __name__ == "__main__":
    main(int(sys.argv[1]))
