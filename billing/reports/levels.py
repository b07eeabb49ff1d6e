"""Whose a refusal or an alert is, by name: the rows behind the public ids that they keep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.db.models import QuerySet

from accounts.models import ApiKey, BillingEntity, Organization, Workspace
from accounts.scoping import Viewer, visible
from billing.limits.catalogue import OWNERS
from core.errors import NotFound
from core.ids import public_id, row_id
from metering.models import Meter
from pricing.models import Subscription

Place = tuple[str, str]
"""A level and the public id of whose it is there."""
PREFIXES: Final = {level: prefix for level, (prefix, _) in OWNERS.items()} | {"subscription": "sub"}
"""The levels that are rows; a feature is its own name, and a hold has none."""


def find_levels(
    viewer: Viewer, places: Iterable[Place], known: Mapping[str, Mapping[int, Any]]
) -> dict[Place, Any]:
    """The rows of these places, as far as the viewer may see them; at most one statement for each level.

    `known`: rows that the caller has, by level and id; nothing is asked of such a level.
    """
    wanted: defaultdict[str, set[int]] = defaultdict(set)
    for level, level_id in places:
        if level in PREFIXES:
            try:
                wanted[level].add(row_id(PREFIXES[level], level_id))
            except NotFound:
                continue
    found: dict[Place, Any] = {}
    for level, ids in wanted.items():
        rows = known[level] if level in known else _rows(viewer, level).in_bulk(ids)
        found |= {(level, public_id(PREFIXES[level], pk)): rows[pk] for pk in ids if pk in rows}
    return found


def level_name(level: str, row: Any) -> str:
    """How people call it."""
    if level == "api_key":
        return f"{row.name} of {row.workspace.name}"
    if level == "subscription":
        return f"{row.version.plan.name} v{row.version.number}"
    return str(row.name)


def _rows(viewer: Viewer, level: str) -> QuerySet[Any]:
    if level == "api_key":
        return visible(ApiKey, viewer).select_related("workspace")
    if level == "subscription":
        return visible(Subscription, viewer).select_related("version__plan")
    if level == "meter":
        return Meter.objects.all()  # all customers share them
    models: dict[str, Any] = {
        "workspace": Workspace,
        "organization": Organization,
        "billing_entity": BillingEntity,
    }
    rows: QuerySet[Any] = visible(models[level], viewer)
    return rows
