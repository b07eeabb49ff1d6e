"""What the database already knows of the things that a batch of rows names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q

from accounts.importing.rows import Row
from accounts.models import ApiKey, BillingEntity, Customer, Organization, PayerAssignment, Workspace
from core import clock


@dataclass
class Known:
    """Rows by external id (keys by fingerprint), the batch's own included as it goes on.

    `parents`: organization -> the one above it, by external id (or `#` and the number of one without).
    `payers`: workspace -> its present payer's external id, for workspaces that ever had one.
    """

    customers: dict[str, Customer] = field(default_factory=dict)
    organizations: dict[str, Organization] = field(default_factory=dict)
    billing_entities: dict[str, BillingEntity] = field(default_factory=dict)
    workspaces: dict[str, Workspace] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    payers: dict[str, str] = field(default_factory=dict)


def read_known(rows: Sequence[Row]) -> Known:
    """Read what `rows` name, in seven statements."""
    organizations = {
        name
        for row in rows
        for name in (row.organization, row.parent_organization, row.billing_entity_organization)
    }
    fingerprints = {row.key_fingerprint for row in rows if row.key_fingerprint is not None}
    keys = ApiKey.objects.filter(fingerprint__in=fingerprints).select_related("workspace")
    return Known(
        customers=_by_external_id(Customer, {row.customer for row in rows}),
        organizations=_by_external_id(Organization, organizations, "customer", "parent"),
        billing_entities=_by_external_id(
            BillingEntity, {row.billing_entity for row in rows}, "customer", "organization"
        ),
        workspaces=_by_external_id(Workspace, {row.workspace for row in rows}, "customer", "organization"),
        keys={key.fingerprint: key for key in keys},
        parents=_parents({row.customer for row in rows if row.parent_organization is not None}),
        payers=_payers({row.workspace for row in rows if row.workspace is not None}),
    )


def _by_external_id(model: Any, external_ids: set[str | None], *related: str) -> dict[str, Any]:
    rows = model.objects.filter(external_id__in=external_ids - {None})
    return {row.external_id: row for row in (rows.select_related(*related) if related else rows)}


def _parents(customers: set[str]) -> dict[str, str]:
    if not customers:
        return {}
    rows = Organization.objects.filter(customer__external_id__in=customers)
    names = {pk: external_id or f"#{pk}" for pk, external_id in rows.values_list("pk", "external_id")}
    placed = rows.filter(parent__isnull=False).values_list("pk", "parent_id")
    return {names[pk]: names[parent] for pk, parent in placed if parent is not None}


def _payers(workspaces: set[str]) -> dict[str, str]:
    now = clock.now()
    present = Q(starts_at__isnull=True) | Q(starts_at__lte=now)
    rows = PayerAssignment.objects.filter(workspace__external_id__in=workspaces)
    found = {str(name): "" for name in rows.values_list("workspace__external_id", flat=True)}
    current = rows.filter(present, Q(ends_at__isnull=True) | Q(ends_at__gt=now))
    for name, payer in current.values_list("workspace__external_id", "billing_entity__external_id"):
        found[str(name)] = payer or ""
    return found
