"""Discrepancies as a run finds them, of what somebody has corrupted behind the system's back."""

from __future__ import annotations

from typing import Any

from django.db import connection

from billing.models import Discrepancy, ReconciliationRun
from billing.reconciliation.batches import spans_of, whole
from billing.reconciliation.finding import Finding
from billing.reconciliation.links import LINKS
from billing.reconciliation.scope import Scope
from core import clock
from core.sql import driver


def corrupt(statement: str, *params: Any) -> None:
    """What a superuser does who gets around every trigger."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement, params)
        assert cursor.rowcount > 0, "nothing was corrupted"
        cursor.execute("SET session_replication_role = DEFAULT")


def findings() -> list[tuple[str, Finding]]:
    """All that a full run finds."""
    now = clock.now()
    scope = Scope(driver(), whole(spans_of(driver())), now)
    outside = Scope(driver(), [], now)
    return [
        (link.name, finding)
        for link in LINKS
        for finding in link.check(outside if link.is_outside else scope).findings
    ]


def found() -> list[tuple[str, str]]:
    """(link, type) of all that a full run finds."""
    return [(link, finding.type) for link, finding in findings()]


def discrepancies() -> list[Discrepancy]:
    """What a full run keeps of what it finds."""
    now = clock.now()
    run = ReconciliationRun.objects.create(kind="full", status="done", created_at=now, finished_at=now)
    return [
        Discrepancy.objects.create(
            link=link,
            type=one.type,
            customer_id=one.customer_id,
            billing_entity_id=one.payer_id,
            subject=one.subject,
            expected=one.expected,
            actual=one.actual,
            amount=one.difference,
            unit=one.unit,
            cause=one.cause,
            detail=dict(one.detail),
            first_found_at=now,
            last_found_at=now,
            first_run=run,
            last_run=run,
        )
        for link, one in findings()
    ]


def the_one(kind: str, kept: list[Discrepancy]) -> Discrepancy:
    """The discrepancy of a type."""
    (row,) = [row for row in kept if row.type == kind]
    return row
