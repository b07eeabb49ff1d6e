"""Workspaces: where calls happen."""

from __future__ import annotations

from typing import TypedDict, Unpack

from django.db import transaction

from accounts.external_ids import check_external_id
from accounts.followers import moves
from accounts.models import BillingEntity, Customer, Organization, Workspace
from accounts.organizations import check_inside
from accounts.payers import assign_payer
from core import clock
from core.texts import clean_text


class WorkspaceChanges(TypedDict, total=False):
    """What may change about a workspace."""

    name: str
    external_id: str | None
    organization: Organization | None


def create_workspace(
    *,
    customer: Customer,
    name: str,
    organization: Organization | None = None,
    external_id: str | None = None,
    billing_entity: BillingEntity | None = None,
) -> Workspace:
    """A new workspace; `billing_entity`, if given, pays for it from the beginning of time.

    Raises Unprocessable for an organization or payer of another customer, Conflict for a taken external id.
    """
    check_inside(customer.pk, organization, "organization")
    with transaction.atomic():
        workspace = Workspace.objects.create(
            customer=customer,
            organization=organization,
            name=clean_text(name, "name"),
            external_id=check_external_id(Workspace, "ws", external_id),
            created_at=clock.now(),
        )
        if billing_entity is not None:
            assign_payer(workspace, billing_entity, from_=None)
        return workspace


def change_workspace(workspace: Workspace, **changes: Unpack[WorkspaceChanges]) -> Workspace:
    """Rename it or move it to another organization of its customer; returns the row as it is then.

    Who pays does not change with it: that is `payers.assign_payer`.
    """
    with moves.around([workspace.customer_id] if "organization" in changes else ()):
        workspace = Workspace.objects.select_for_update().get(pk=workspace.pk)
        if "name" in changes:
            workspace.name = clean_text(changes["name"], "name")
        if "external_id" in changes:
            workspace.external_id = check_external_id(Workspace, "ws", changes["external_id"], workspace)
        if "organization" in changes:
            check_inside(workspace.customer_id, changes["organization"], "organization")
            workspace.organization = changes["organization"]
        workspace.save(update_fields=["name", "external_id", "organization"])
        return workspace
