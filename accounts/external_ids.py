"""The operator's own ids."""

from __future__ import annotations

from typing import Final

from django.db.models import Model

from core.database_errors import explain_constraint
from core.errors import Conflict, InvalidRequest, NotFound
from core.ids import row_id
from core.texts import clean_text

OURS_BELOW: Final = 32**7
"""Our ids below it begin with a zero; a word of eight letters that could be an id of ours is not below."""

for _table in ("customer", "organization", "workspace", "billingentity"):
    explain_constraint(
        f"accounts_{_table}_external_id_key",
        Conflict,
        "already_exists",
        "There is one with this external_id already.",
        "external_id",
    )


def check_external_id(
    model: type[Model], prefix: str, external_id: str | None, own: Model | None = None
) -> str | None:
    """`external_id`, clean and free, for a row of `model` whose public ids begin with `prefix`.

    Raises InvalidRequest for a text that reads as an id of ours, Conflict when another row than `own` has it.
    """
    if external_id is None:
        return None
    external_id = clean_external_id(prefix, external_id, "external_id")
    others = model._default_manager.filter(external_id=external_id)
    if others.exclude(pk=own.pk if own is not None else None).exists():
        noun = model._meta.verbose_name
        raise Conflict("already_exists", f"There is a {noun} with this external_id already.", "external_id")
    return external_id


def clean_external_id(prefix: str, external_id: object, param: str) -> str:
    """`external_id`, clean, whether it is free or not; raises InvalidRequest."""
    text = clean_text(external_id, param)
    if _reads_as_ours(prefix, text):
        raise InvalidRequest("reserved_id", f"{text!r} reads as one of our own ids; choose another.", param)
    return text


def _reads_as_ours(prefix: str, text: str) -> bool:
    try:
        return row_id(prefix, text) < OURS_BELOW
    except NotFound:
        return False
