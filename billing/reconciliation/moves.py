"""Of which organizations it is known who was in them whenever something was charged.

A limit of an organization counts what is charged below it at that moment, and the charge does not keep where
that was. Where nothing has moved across the organization's edge, what is below it now always was, and its
counter follows from the charges. Moves inside it, or elsewhere, change nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

ORGANIZATION: Final = "organization"
PLACES: Final = """
    SELECT DISTINCT 'organization', id, parent_id FROM accounts_organizationevent
    WHERE customer_id = ANY(%(ids)s::bigint[])
    UNION SELECT 'workspace', id, organization_id FROM accounts_workspaceevent
    WHERE customer_id = ANY(%(ids)s::bigint[])
    UNION SELECT 'payer', id, organization_id FROM accounts_billingentityevent
    WHERE customer_id = ANY(%(ids)s::bigint[])"""
Places = Mapping[tuple[str, int], set[int | None]]
"""(kind, id) -> under which organizations it has ever been; None: under none."""


def read_places(rows: Iterable[tuple[Any, ...]]) -> Places:
    """What PLACES gives, by whose places these are."""
    places: dict[tuple[str, int], set[int | None]] = defaultdict(set)
    for kind, pk, organization_id in rows:
        places[kind, pk].add(organization_id)
    return places


def is_settled(organization_id: int, places: Places) -> bool:
    """Whether everything that was ever below the organization always was. Pure.

    The tree has no cycle at any instant: what was never anywhere but inside hangs below the organization.
    """
    organizations = {pk: above for (kind, pk), above in places.items() if kind == ORGANIZATION}
    reach: set[int | None] = {organization_id}
    while found := {pk for pk, above in organizations.items() if pk not in reach and above & reach}:
        reach |= found
    inside = set(reach)
    while gone := {pk for pk in inside - {organization_id} if pk is None or not organizations[pk] <= inside}:
        inside -= gone
    return all(above <= inside or not above & reach for above in places.values())
