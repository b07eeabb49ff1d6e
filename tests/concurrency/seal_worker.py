"""A sealer of its own process, for tests that kill it: `python -m tests.concurrency.seal_worker NUMBERS`.

NUMBERS is how many numbers are sealed in one transaction.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import django
from django.utils.module_loading import import_string


def main(numbers: int) -> None:
    """Run the due task once, as Celery would."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    sealing = import_module("billing.seals.sealing")
    sealing.SEAL_NUMBERS, sealing.BATCH_NUMBERS = 1, numbers  # type: ignore[attr-defined]
    import_string("billing.tasks.seal_books")()


if __name__ == "__main__":
    main(int(sys.argv[1]))
