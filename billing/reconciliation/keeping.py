"""Keeping what a step found: discrepancies that are new, found again or gone; checkpoints; sums by link."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import psycopg
from django.db.models import Count, F, Sum
from django.db.models.functions import Abs

from billing.models import Discrepancy, LinkDrift, ReconciliationCheck, ReconciliationRun
from billing.reconciliation.link import Checked, Finding, Span, SumKey
from billing.reconciliation.links import LINKS
from billing.store_reconciliation import forget_payers, write_checkpoints, write_sums
from core.numbers import CONTEXT, ZERO, plain, round_amount

Status = Discrepancy.Status
Key = tuple[str, str, int | None, int | None, str]
"""What makes a discrepancy the same one: link, type, customer, payer, subject."""
CHANGING: Final = (
    "expected",
    "actual",
    "amount",
    "unit",
    "cause",
    "detail",
    "found_times",
    "last_found_at",
    "last_run",
)


@dataclass(slots=True)
class Kept:
    """What became of the findings of a step."""

    new: list[Discrepancy] = field(default_factory=list)
    again: list[Discrepancy] = field(default_factory=list)
    resolved: int = 0


def keep_findings(
    run: ReconciliationRun,
    checked: Mapping[str, Checked],
    now: datetime,
    *,
    customer_ids: Collection[int] | None,
) -> Kept:
    """Let discrepancies stand as they were found now; those that were not found again are resolved.

    `customer_ids`: who was looked at; None: of these links, everything.
    """
    standing = Discrepancy.objects.filter(link__in=list(checked)).exclude(status=Status.RESOLVED)
    if customer_ids is not None:
        standing = standing.filter(customer_id__in=customer_ids)
    known: dict[Key, Discrepancy] = {_key_of(row): row for row in standing}
    kept = Kept()
    for link, one in checked.items():
        for finding in one.findings:
            key: Key = (link, finding.type, finding.customer_id, finding.payer_id, finding.subject)
            row = known.pop(key, None)
            if row is None:
                kept.new.append(_new(run, link, finding, now))
            else:
                kept.again.append(_found_again(row, run, finding, now))
    Discrepancy.objects.bulk_create(kept.new)
    Discrepancy.objects.bulk_update(kept.again, CHANGING, batch_size=200)
    gone = Discrepancy.objects.filter(pk__in=[row.pk for row in known.values()])
    kept.resolved = gone.update(status=Status.RESOLVED, resolved_at=now, resolved_by_run=run)
    return kept


def _key_of(row: Discrepancy) -> Key:
    return (row.link, row.type, row.customer_id, row.billing_entity_id, row.subject)


def _new(run: ReconciliationRun, link: str, finding: Finding, now: datetime) -> Discrepancy:
    return Discrepancy(
        link=link,
        type=finding.type,
        customer_id=finding.customer_id,
        billing_entity_id=finding.payer_id,
        subject=finding.subject,
        first_found_at=now,
        last_found_at=now,
        first_run=run,
        last_run=run,
        **_figures(finding),
    )


def _found_again(row: Discrepancy, run: ReconciliationRun, finding: Finding, now: datetime) -> Discrepancy:
    for name, value in _figures(finding).items():
        setattr(row, name, value)
    row.last_found_at, row.last_run = now, run
    row.found_times += 1
    return row


def _figures(finding: Finding) -> dict[str, Any]:
    return {
        "expected": None if finding.expected is None else round_amount(finding.expected),
        "actual": None if finding.actual is None else round_amount(finding.actual),
        "amount": round_amount(finding.difference),
        "unit": finding.unit,
        "cause": finding.cause,
        "detail": dict(finding.detail),
    }


def keep_checks(run: ReconciliationRun, checked: Mapping[str, Checked]) -> None:
    """Add what a step came to to the run's figures by link."""
    rows = {row.link: row for row in ReconciliationCheck.objects.filter(run=run)}
    for link, one in checked.items():
        row = rows.get(link) or ReconciliationCheck(run=run, link=link)
        row.rows += one.rows
        row.discrepancies += len(one.findings)
        row.drift = _added(row.drift, one.findings)
        row.save()


def _added(drift: Mapping[str, str], findings: Iterable[Finding]) -> dict[str, str]:
    sums = {unit: Decimal(amount) for unit, amount in drift.items()}
    for finding in findings:
        sums[finding.unit] = CONTEXT.add(sums.get(finding.unit, ZERO), abs(round_amount(finding.difference)))
    return {unit: plain(amount) for unit, amount in sums.items()}


def keep_proofs(
    raw: psycopg.Connection[Any],
    run: ReconciliationRun,
    spans: Sequence[Span],
    checked: Mapping[str, Checked],
    now: datetime,
) -> None:
    """Move the checkpoints of payers of whom nothing disagrees; the others have none any more."""
    findings = [finding for one in checked.values() for finding in one.findings]
    payers = {finding.payer_id for finding in findings}
    customers = {finding.customer_id for finding in findings if finding.payer_id is None}
    doubtful = [span for span in spans if span.payer_id in payers or span.customer_id in customers]
    moved = [span for span in spans if span.upto != span.after and span not in set(doubtful)]
    forget_payers(raw, [*doubtful, *(span for span in moved if not span.after)])
    proven = {span.payer_id for span in moved}
    sums: list[tuple[SumKey, str, Decimal]] = [
        (key, link, amount)
        for link, one in checked.items()
        for key, amount in one.sums.items()
        if key[1] in proven
    ]
    write_sums(raw, sums)
    write_checkpoints(raw, moved, now, run.pk)


def keep_drift(run: ReconciliationRun, now: datetime) -> None:
    """Let the day's drift of every link be what stands now."""
    day = now.date()
    standing = Discrepancy.objects.exclude(status=Status.RESOLVED)
    sums = standing.values("link", "unit").annotate(count=Count("pk"), total=Sum(Abs(F("amount"))))
    rows = [
        LinkDrift(
            link=row["link"],
            day=day,
            unit=row["unit"],
            discrepancies=row["count"],
            amount=row["total"],
            run=run,
        )
        for row in sums
    ]
    drifting = {row.link for row in rows}
    rows += [LinkDrift(link=link.name, day=day, run=run) for link in LINKS if link.name not in drifting]
    LinkDrift.objects.filter(day=day).delete()
    LinkDrift.objects.bulk_create(rows)
