"""Due tasks of billing. A task only calls; what it does stands elsewhere."""

from __future__ import annotations

from celery import shared_task

from accounts import payers
from billing import (
    authorizations,
    closing,
    margin_rules,
    periods,
    recurring_credits,
    rollouts,
    simulations,
    subscriptions,
    vendor_bills,
)
from billing.limits.verbs import prune_counters
from billing.reconciliation import runs as reconciliation_runs
from core import clock
from core.audit import Source, audited


@shared_task
def apply_subscription_changes() -> None:
    """Carry out the scheduled changes of subscriptions whose time has come."""
    with audited(Source.TASK):
        subscriptions.apply_subscription_changes(clock.now())


@shared_task
def suspend_overdue() -> None:
    """Write down that payers past due are suspended whose time has come."""
    with audited(Source.TASK):
        payers.suspend_overdue(clock.now())


@shared_task
def expire_authorizations() -> None:
    """Settle the holds whose time is over."""
    authorizations.expire_due(clock.now())


@shared_task
def book_base_fees() -> None:
    """Open the billing periods that have begun and book the base fees that are due."""
    with audited(Source.TASK):
        periods.book_base_fees(clock.now())


@shared_task
def release_credits() -> None:
    """Give the recurring credits whose period has begun."""
    with audited(Source.TASK):
        recurring_credits.release_credits(clock.now())


@shared_task
def close_periods() -> None:
    """Close the billing periods whose time of grace is over."""
    with audited(Source.TASK):
        closing.close_periods(clock.now())


@shared_task
def execute_rollouts() -> None:
    """Tell customers of price changes when it is time, and move the subscriptions that are due."""
    with audited(Source.TASK):
        rollouts.execute_rollouts(clock.now())


@shared_task
def deliver_outbox() -> None:
    """Take on what waits in the outbox."""
    rollouts.deliver_outbox(clock.now())


@shared_task
def prune_limits() -> None:
    """Forget the slots that no rolling limit counts any more."""
    prune_counters(clock.now())


@shared_task
def apply_vendor_bills() -> None:
    """Spread the vendors' bills that staff has let be applied."""
    with audited(Source.TASK):
        vendor_bills.apply_bills()


@shared_task
def watch_margins() -> None:
    """Tell staff of margins that fell as far as a rule says."""
    margin_rules.watch_margins(clock.now())


@shared_task
def run_simulations() -> None:
    """Run the simulations that wait or were left unfinished."""
    with audited(Source.TASK):
        simulations.run_simulations()


@shared_task
def start_reconciliation() -> None:
    """Queue the night's reconciliation when its hour has come."""
    with audited(Source.TASK):
        reconciliation_runs.start_nightly(clock.now())


@shared_task
def run_reconciliation() -> None:
    """Carry on with the reconciliation that was asked for or left unfinished."""
    with audited(Source.TASK):
        reconciliation_runs.run_unfinished()
