"""One full reconciliation in the installation of the environment, with what it took as JSON on the last line.

`python -m benchmarks.reconcile_run` prints events, rows, seconds, and the resident memory at a tenth of the
customers and at most (MB).
"""

from __future__ import annotations

import json
import os
import resource
import time

import django
import psutil

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from billing.models import ReconciliationRun  # noqa: E402
from billing.reconciliation.runs import request_run, run_steps  # noqa: E402

MEGABYTE = 1024 * 1024


def main() -> None:
    """Run it; RuntimeError unless everything agrees."""
    process, first = psutil.Process(), 0.0
    begun = time.perf_counter()
    run = request_run(ReconciliationRun.Kind.FULL, created_by="bench")
    for step in run_steps(run.pk):
        if not first and 10 * step.customers_done >= (step.customers_total or 0):
            first = process.memory_info().rss / MEGABYTE
    seconds = time.perf_counter() - begun
    run.refresh_from_db()
    if run.status != ReconciliationRun.Status.DONE or run.found:
        raise RuntimeError(f"{run.status}: {run.problem} {run.found} discrepancies")
    print(
        json.dumps(
            {
                "events": run.events_checked,
                "rows": run.rows_checked,
                "seconds": seconds,
                "first_rss": first,
                "peak_rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
