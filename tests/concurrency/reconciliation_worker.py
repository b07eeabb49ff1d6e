"""A worker of its own process, for tests that kill it: `python -m tests.concurrency.reconciliation_worker`.

It takes one customer a step.
"""

from __future__ import annotations

import os
from importlib import import_module

import django
from django.utils.module_loading import import_string


def main() -> None:
    """Run the due task once, as Celery would."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    import_module("billing.reconciliation.batches").NUMBERS_AT_ONCE = 1  # type: ignore[attr-defined]
    import_string("billing.tasks.run_reconciliation")()


if __name__ == "__main__":
    main()
