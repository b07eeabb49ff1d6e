"""Calls that a gateway counted and that wait in quarantine are released, each under its own key."""

from __future__ import annotations

from typing import Final

from billing.quarantine import release_quarantined
from billing.reconciliation.repairs.action import Action, Work
from core.errors import Conflict
from core.ids import public_id, row_id
from metering.models import QuarantinedEvent


def release_calls(work: Work) -> None:
    """Release them; Conflict `still_waiting` when one cannot be taken: then none is released."""
    names = [str(name) for name in work.finding.detail["quarantined"]]
    rows = QuarantinedEvent.objects.filter(pk__in=[row_id("qe", name) for name in names])
    for row in rows.order_by("pk"):
        after = {"status": QuarantinedEvent.Status.RELEASED.value}
        work.note("quarantined event", row.public_id, after, {"status": row.status})
    if work.is_preview:
        return
    release = release_quarantined([row.pk for row in rows], by=work.by)
    if release.refused:
        pk, why = next(iter(release.refused.items()))
        raise Conflict("still_waiting", f"{public_id('qe', pk)} still cannot be taken: {why}")


ACTION: Final = Action(
    "release_calls",
    "Release the calls that wait",
    "The calls are charged where they happened, each once, under its own key.",
    frozenset({("gateway_counts", "count_too_high")}),
    release_calls,
    posts=True,
    needs_facts=False,
    rehearses=False,
    only_when=lambda discrepancy: bool(discrepancy.detail.get("quarantined")),
)
