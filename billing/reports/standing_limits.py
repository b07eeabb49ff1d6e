"""The limits that stand now where calls were refused: a refusal names the level, not the limit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Q

from accounts.scoping import Viewer, visible
from billing.limits.catalogue import OWNERS
from billing.models import Denial, SpendLimit
from core.errors import NotFound
from core.ids import row_id

Place = tuple[str, int, int | None]
"""A level, whose it is there, and of a meter the payer, for a meter's limit is that of one payer."""


def limits_behind(viewer: Viewer, denials: Sequence[Denial]) -> Mapping[int, list[SpendLimit]]:
    """By the id of a denial, the hard limits at its level that stand now; at most one statement."""
    places = {denial.pk: place for denial in denials if (place := _place_of(denial)) is not None}
    if not places:
        return {}
    asked = Q()
    for level, owner_id, payer_id in set(places.values()):
        of_payer = {} if payer_id is None else {"billing_entity_id": payer_id}
        asked |= Q(level=level, **{OWNERS[level][1]: owner_id}, **of_payer)
    rows = visible(SpendLimit, viewer).filter(
        asked,
        customer_id__in={denial.customer_id for denial in denials},
        kind=SpendLimit.Kind.HARD,
        ended_at=None,
    )
    found: defaultdict[Place, list[SpendLimit]] = defaultdict(list)
    for row in rows.order_by("pk"):
        payer = row.billing_entity_id if row.level == SpendLimit.Level.METER else None
        found[row.level, _owner_of(row), payer].append(row)
    return {pk: found[place] for pk, place in places.items()}


def _place_of(denial: Denial) -> Place | None:
    if denial.reason != Denial.Reason.SPEND_LIMIT or denial.level not in OWNERS:
        return None
    try:
        owner_id = row_id(OWNERS[denial.level][0], denial.level_id)
    except NotFound:
        return None
    is_meters = denial.level == SpendLimit.Level.METER
    return (denial.level, owner_id, denial.billing_entity_id if is_meters else None)


def _owner_of(row: SpendLimit) -> int:
    owner: Any = getattr(row, OWNERS[row.level][1])
    return int(owner)
