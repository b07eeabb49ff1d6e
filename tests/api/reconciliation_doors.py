"""The doors of reconciliation and of jobs: what a run found, what was parked, and bodies that they take."""

from __future__ import annotations

from typing import Any

from billing.models import Discrepancy, ReconciliationRun
from core import clock
from core.models import ParkedMessage


def make_discrepancy(customer_id: int, number: int = 0) -> Discrepancy:
    """One that a run has found."""
    now = clock.now()
    status = ReconciliationRun.Status.DONE
    run = ReconciliationRun.objects.create(status=status, created_at=now, finished_at=now)
    return Discrepancy.objects.create(
        link="balances",
        type="balance",
        customer_id=customer_id,
        subject=f"account {number}",
        amount=5,
        unit="USD",
        first_found_at=now,
        last_found_at=now,
        first_run=run,
        last_run=run,
    )


def make_parked() -> ParkedMessage:
    """A message that was dropped already: no door sends it anywhere."""
    now = clock.now()
    return ParkedMessage.objects.create(
        message_id="door",
        task="billing.tasks.close_periods",
        reason=ParkedMessage.Reason.RAISED,
        error="It failed.",
        parked_at=now,
        status=ParkedMessage.Status.DROPPED,
        resolved_at=now,
    )


def reconciliation_bodies(customer: str, discrepancy: Discrepancy) -> dict[tuple[str, str], dict[str, Any]]:
    """(method, path) -> a body."""
    address = f"/v1/discrepancies/{discrepancy.public_id}"
    return {
        ("POST", "/v1/reconciliation-runs"): {"kind": "full", "customer": customer},
        ("POST", f"/v1/reconciliation-runs/{discrepancy.first_run.public_id}/cancel"): {},
        ("PATCH", address): {"owner": "ada", "status": "investigating"},
        ("POST", f"{address}/comments"): {"text": "t"},
        ("POST", f"{address}/repair"): {
            "action": "rebuild_balance",
            "preview": True,
            "facts": "0" * 64,
            "reason": "r",
        },
    }
