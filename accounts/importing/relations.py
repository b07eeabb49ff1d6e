"""Whether a row fits what is known: checked whole before any of it is taken."""

from __future__ import annotations

from typing import Any

from accounts.importing.rows import Row
from accounts.importing.state import Known
from core.errors import Conflict, InvalidRequest, Unprocessable


def check_relations(row: Row, known: Known) -> None:
    """Raise a TollgateError that says why the row cannot be taken; without one it can."""
    for noun, table, external_id in (
        ("organization", known.organizations, row.organization),
        ("organization", known.organizations, row.parent_organization),
        ("organization", known.organizations, row.billing_entity_organization),
        ("billing_entity", known.billing_entities, row.billing_entity),
        ("workspace", known.workspaces, row.workspace),
    ):
        _check_customer(row, noun, table, external_id)
    _check_tree(row, known)
    _check_billing_entity(row, known)
    _check_payer(row, known)
    _check_key(row, known)


def _check_customer(row: Row, noun: str, table: dict[str, Any], external_id: str | None) -> None:
    found = table.get(external_id) if external_id is not None else None
    if found is not None and found.customer.external_id != row.customer:
        raise Unprocessable("another_customer", f"{noun} {external_id!r} belongs to another customer.")


def _check_tree(row: Row, known: Known) -> None:
    step = row.parent_organization
    while step is not None:
        if step == row.organization:
            raise Conflict("organization_cycle", f"organization {step!r} may not stand below itself.")
        step = known.parents.get(step)


def _check_billing_entity(row: Row, known: Known) -> None:
    if row.billing_entity is None:
        return
    found = known.billing_entities.get(row.billing_entity)
    if found is None:
        if row.currency is None:
            message = f"billing_entity {row.billing_entity!r} is new and needs a currency."
            raise InvalidRequest("required", message)
        return
    for name in ("currency", "time_zone"):
        given, kept = getattr(row, name), getattr(found, name)
        if given is not None and given != kept:
            message = f"The {name} of billing_entity {row.billing_entity!r} is {kept} and stays."
            raise Conflict("unchangeable", message)


def _check_payer(row: Row, known: Known) -> None:
    if row.workspace is None or row.billing_entity is None or row.workspace not in known.payers:
        return
    present = known.payers[row.workspace]
    if present != row.billing_entity:
        raise Conflict(
            "other_payer",
            f"workspace {row.workspace!r} has another payer ({present or 'at another time'});"
            " a change of payer has a date: use /v1/payer-assignments.",
        )


def _check_key(row: Row, known: Known) -> None:
    found = known.keys.get(row.key_fingerprint) if row.key_fingerprint is not None else None
    if found is not None and found.workspace.external_id != row.workspace:
        raise Conflict("already_exists", "This key_fingerprint is registered for another workspace.")
