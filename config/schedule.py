"""What runs when: one row for each due task, for Celery's beat and for `manage.py run_due` alike."""

from __future__ import annotations

from dataclasses import dataclass

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True)
class Due:
    """A task and how often it runs (seconds). The task finds out itself what is due; twice does no harm."""

    task: str
    every: float


SCHEDULE: tuple[Due, ...] = (
    Due("core.tasks.make_partitions", every=HOUR),
    Due("core.tasks.clear_sessions", every=DAY),
    Due("billing.tasks.apply_subscription_changes", every=MINUTE),
    Due("billing.tasks.execute_rollouts", every=MINUTE),
    Due("billing.tasks.suspend_overdue", every=MINUTE),
    Due("billing.tasks.expire_authorizations", every=MINUTE / 6),
    Due("billing.tasks.book_base_fees", every=MINUTE),
    Due("billing.tasks.release_credits", every=MINUTE),
    Due("billing.tasks.close_periods", every=MINUTE),
    Due("billing.tasks.deliver_outbox", every=MINUTE),
    Due("billing.tasks.prune_limits", every=HOUR),
    Due("billing.tasks.apply_vendor_bills", every=MINUTE),
    Due("billing.tasks.watch_margins", every=HOUR),
    Due("billing.tasks.run_simulations", every=MINUTE / 6),
    Due("billing.tasks.start_reconciliation", every=MINUTE),
    Due("billing.tasks.run_reconciliation", every=MINUTE / 6),
)
"""In the order in which `run_due` runs them: what later rows need is done by earlier ones."""
