"""Database triggers that several apps put on their tables: what is written stays written, and every
change of configuration is seen by the next call in every process.

Config versions come from one sequence, so that no two states ever bear the same number, not even
after a rollback.
"""

from __future__ import annotations

import pgtrigger


def append_only(name: str = "append_only") -> pgtrigger.Trigger:
    """Refuse every update and delete of a row."""
    return pgtrigger.Protect(name=name, operation=pgtrigger.Update | pgtrigger.Delete)


def bump_customer(*, also_new: bool = True) -> pgtrigger.Trigger:
    """Raise the customer's config version with every change of a row that has a customer_id.

    `also_new=False` leaves insertions out: for rows that are looked for when they are not cached.
    """
    change = pgtrigger.Update | pgtrigger.Delete
    return pgtrigger.Trigger(
        name="bump_config_version",
        when=pgtrigger.After,
        operation=pgtrigger.Insert | change if also_new else change,
        func=(
            "UPDATE accounts_customer SET config_version = nextval('core_config_version_seq')"
            " WHERE id IN (NEW.customer_id, OLD.customer_id); RETURN NULL;"
        ),
    )


def bump_global(*columns: str, name: str = "bump_config_version") -> pgtrigger.Trigger:
    """Raise the installation's config version with every change of a row that all customers share.

    `columns`: the only ones whose update counts; none = all.
    """
    update = pgtrigger.UpdateOf(*columns) if columns else pgtrigger.Update  # type: ignore[no-untyped-call]
    return pgtrigger.Trigger(
        name=name,
        when=pgtrigger.After,
        operation=pgtrigger.Insert | update | pgtrigger.Delete,
        func=(
            "INSERT INTO core_configversion (id, version) VALUES (1, nextval('core_config_version_seq'))"
            " ON CONFLICT (id) DO UPDATE SET version = EXCLUDED.version; RETURN NULL;"
        ),
    )


def frozen_columns(name: str, *columns: str, once: str) -> pgtrigger.Trigger:
    """Refuse a change of `columns` of rows for which the SQL condition `once` (on OLD) holds."""
    old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("OLD", "NEW"))
    return pgtrigger.Protect(
        name=name,
        operation=pgtrigger.Update,
        condition=pgtrigger.Condition(f"{once} AND ROW({old}) IS DISTINCT FROM ROW({new})"),
    )


def frozen_row(name: str, once: str) -> pgtrigger.Trigger:
    """Refuse to delete rows for which the SQL condition `once` (on OLD) holds."""
    return pgtrigger.Protect(name=name, operation=pgtrigger.Delete, condition=pgtrigger.Condition(once))
