"""Due tasks of billing. A task only calls; what it does stands elsewhere."""

from __future__ import annotations

from celery import shared_task

from billing import authorizations, closing, periods, recurring_credits, rollouts, simulations, subscriptions
from core import clock
from core.audit import Source, audited


@shared_task
def apply_subscription_changes() -> None:
    """Carry out the scheduled changes of subscriptions whose time has come."""
    with audited(Source.TASK):
        subscriptions.apply_subscription_changes(clock.now())


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
def run_simulations() -> None:
    """Run the simulations that wait or were left unfinished."""
    with audited(Source.TASK):
        simulations.run_simulations()
