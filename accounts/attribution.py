"""Attribution: from what a call names (key, workspace, payer) to the entity that pays for it at the
instant it happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from accounts.directory import Callers, CustomerConfig, Payer, PayerEntry, WorkspaceEntry, directory
from core.errors import NotFound, PermissionDenied, TollgateError, Unprocessable


class Call(Protocol):
    """What attribution needs of an event."""

    workspace: str | None
    api_key: str | None
    billing_entity: str | None
    occurred_at: datetime


@dataclass(slots=True)
class Attribution:
    """Who a call belongs to. With a `problem` it may not be charged, but its customer may be known,
    so that a replay of an earlier call is still answered. `named_payer_id` is the payer that the call itself
    names, if it does."""

    config: CustomerConfig | None = None
    workspace_id: int | None = None
    workspace: str | None = None
    api_key_id: int | None = None
    payer: Payer | None = None
    named_payer_id: int | None = None
    problem: TollgateError | None = None


def attribute(calls: Sequence[Call]) -> list[Attribution]:
    """Attribute each call; unknown references are read from the database in a fixed number of
    statements. Nothing is raised for a single bad call: see `Attribution.problem`."""
    callers = directory.callers(
        {call.workspace for call in calls if call.workspace is not None},
        {call.api_key for call in calls if call.api_key is not None},
        {call.billing_entity for call in calls if call.billing_entity is not None},
    )
    return [_attribute(call, callers) for call in calls]


def _attribute(call: Call, callers: Callers) -> Attribution:
    found = Attribution()
    try:
        _resolve(call, callers, found)
    except TollgateError as problem:
        found.problem = problem
    return found


def _resolve(call: Call, callers: Callers, found: Attribution) -> None:
    key = workspace = None
    if call.api_key is not None:
        key = callers.keys.get(call.api_key)
        if key is None:
            raise NotFound("unknown_key", "There is no such API key.", "api_key")
    if call.workspace is not None:
        workspace = callers.workspaces.get(call.workspace)
        if workspace is None:
            raise NotFound("unknown_workspace", "There is no such workspace.", "workspace")
    if key is not None:
        found.config, found.api_key_id = key.config, key.id
        if workspace is not None and workspace.id != key.workspace.id:
            raise Unprocessable("mismatch", "The API key does not belong to this workspace.", "workspace")
        workspace = key.workspace
    if workspace is not None:
        found.config = workspace.config
        found.workspace_id, found.workspace = workspace.id, workspace.public_id
        found.payer = workspace.payer_at(call.occurred_at)
    if call.billing_entity is not None:
        _resolve_payer(callers.payers.get(call.billing_entity), workspace, found)
    if key is not None and key.valid_until is not None and key.valid_until <= call.occurred_at:
        raise PermissionDenied("key_revoked", "The API key was no longer valid at occurred_at.", "api_key")
    if found.payer is None:
        raise Unprocessable("no_payer", "Nobody pays for this workspace at occurred_at.", "workspace")


def _resolve_payer(entry: PayerEntry | None, workspace: WorkspaceEntry | None, found: Attribution) -> None:
    if entry is None:
        raise NotFound("unknown_payer", "There is no such billing entity.", "billing_entity")
    if workspace is not None and entry.config.customer_id != workspace.config.customer_id:
        # Not even the existence of another customer's payer is told.
        raise NotFound("unknown_payer", "There is no such billing entity.", "billing_entity")
    found.named_payer_id = entry.payer.id
    if workspace is None:
        found.config, found.payer = entry.config, entry.payer
    elif found.payer is None or found.payer.id != entry.payer.id:
        raise Unprocessable(
            "mismatch", "This billing entity does not pay for the workspace at occurred_at.", "billing_entity"
        )
