"""What people do with a discrepancy: take it on, say something of it, let it be. Only a run resolves one."""

from __future__ import annotations

from typing import Final

from django.db import transaction

from billing.models import Discrepancy, DiscrepancyComment
from core import clock
from core.errors import Conflict, InvalidRequest

Status = Discrepancy.Status
BY_HAND: Final = (Status.OPEN, Status.INVESTIGATING, Status.ACCEPTED)
"""What a person may make of one."""


def change_discrepancy(
    row: Discrepancy, *, owner: str | None = None, status: str | None = None
) -> Discrepancy:
    """Set who looks after it, and how it stands.

    Raises InvalidRequest of `status` for `resolved`, and Conflict `discrepancy_resolved` once it is.
    """
    if status is not None and status not in BY_HAND:
        raise InvalidRequest(
            "invalid_value", "A run resolves a discrepancy that it no longer finds.", "status"
        )
    with transaction.atomic():
        row = Discrepancy.objects.select_for_update().get(pk=row.pk)
        if row.status == Status.RESOLVED:
            raise Conflict("discrepancy_resolved", f"{row.public_id} is resolved already.")
        row.owner = row.owner if owner is None else owner
        row.status = row.status if status is None else status
        row.save(update_fields=["owner", "status"])
    return row


def comment(row: Discrepancy, text: str, *, by: str = "") -> DiscrepancyComment:
    """Keep a comment of it."""
    return DiscrepancyComment.objects.create(
        discrepancy=row, text=text, created_by=by, created_at=clock.now()
    )
