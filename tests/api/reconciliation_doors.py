"""The doors of reconciliation: a run and a discrepancy of a customer, and bodies that they take."""

from __future__ import annotations

from typing import Any

from billing.models import Discrepancy, ReconciliationRun
from core import clock


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


def reconciliation_bodies(customer: str, discrepancy: str) -> dict[tuple[str, str], dict[str, Any]]:
    """(method, path) -> a body."""
    return {
        ("POST", "/v1/reconciliation-runs"): {"kind": "full", "customer": customer},
        ("PATCH", f"/v1/discrepancies/{discrepancy}"): {"owner": "ada", "status": "investigating"},
        ("POST", f"/v1/discrepancies/{discrepancy}/comments"): {"text": "t"},
    }
