"""Takes rows of an import file in sets: a fixed number of statements for a thousand lines.

What exists stays; names and places that differ are changed; what may not change (a currency, who pays) or
belongs to another customer is the line's error, and such a line leaves nothing behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from django.db import transaction
from django.db.models import Model

from accounts.followers import moves
from accounts.importing.relations import check_relations
from accounts.importing.rows import LineError, Row
from accounts.importing.state import Known, read_known
from accounts.models import ApiKey, BillingEntity, Customer, Organization, PayerAssignment, Workspace
from core import clock
from core.errors import TollgateError

M = TypeVar("M", bound=Model)

NOUNS: Final = {
    Customer: ("customers", ["name"]),
    Organization: ("organizations", ["name", "parent"]),
    BillingEntity: (
        "billing entities",
        ["name", "organization", "settlement", "overdraft", "credit_limit"],
    ),
    Workspace: ("workspaces", ["name", "organization"]),
    PayerAssignment: ("payer assignments", []),
    ApiKey: ("keys", ["name", "user"]),
}
"""What an import makes, in the order in which it is written, and the fields that it may change."""
PLACED: Final = (Organization, BillingEntity, Workspace)
"""What has a place in its customer's tree, which is written with every other change of it."""


@dataclass
class Report:
    """What an import did, or would do."""

    lines: int = 0
    created: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    errors: list[LineError] = field(default_factory=list)


def import_rows(rows: Sequence[Row], report: Report) -> None:
    """Take one batch in one transaction and count it into `report`."""
    with transaction.atomic():
        batch = _Batch(read_known(rows))
        for row in rows:
            try:
                check_relations(row, batch.known)
            except TollgateError as error:
                report.errors.append(LineError(row.line, error.message))
            else:
                batch.take(row)
        with moves.around(batch.customers_of_placed()):
            batch.write(report)


class _Batch:
    """The rows that a batch makes and changes, in memory until `write`."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.now = clock.now()
        self.new: dict[type[Model], list[Any]] = {model: [] for model in NOUNS}
        self.changed: dict[type[Model], dict[Any, Any]] = {model: {} for model in NOUNS}

    def take(self, row: Row) -> None:
        """Make or change all that the line names. `check_relations` has passed."""
        customer = self._named(
            Customer, self.known.customers, row.customer, {"name": row.customer_name}, fixed={}
        )
        organization = self._organization(row, customer)
        entity = self._billing_entity(row, customer)
        if row.workspace is None:
            return
        workspace = self._named(
            Workspace,
            self.known.workspaces,
            row.workspace,
            {"name": row.workspace_name, "organization": organization},
            fixed={"customer": customer},
        )
        if entity is not None and row.workspace not in self.known.payers:
            self.known.payers[row.workspace] = row.billing_entity or ""
            self._add(PayerAssignment(customer=customer, workspace=workspace, billing_entity=entity))
        if row.key_fingerprint is not None:
            self._key(row, row.key_fingerprint, workspace)

    def customers_of_placed(self) -> set[int]:
        """Whose organizations, payers or workspaces `write` will change."""
        return {row.customer_id for model in PLACED for row in self.changed[model].values()}

    def write(self, report: Report) -> None:
        """Write everything, what is referred to before what refers."""
        for model, (noun, columns) in NOUNS.items():
            changed = list(self.changed[model].values())
            placed = self._create(model)
            report.created[noun] += len(self.new[model])
            report.changed[noun] += len(changed)
            if changed or placed:
                model._default_manager.bulk_update([*changed, *placed], columns)

    def _create(self, model: type[Model]) -> list[Any]:
        """Write the new rows of `model`; gives those whose parent is still to write: it may be new too."""
        rows = self.new[model]
        parents = [(row, row.parent) for row in rows if getattr(row, "parent", None) is not None]
        for row, _ in parents:
            row.parent = None
        model._default_manager.bulk_create(rows)
        for row, parent in parents:
            row.parent = parent
        return [row for row, _ in parents]

    def _organization(self, row: Row, customer: Customer) -> Organization | None:
        if row.organization is None:
            return None
        organizations, fixed = self.known.organizations, {"customer": customer}
        parent = None
        if row.parent_organization is not None:
            parent = self._named(Organization, organizations, row.parent_organization, {}, fixed=fixed)
            self.known.parents[row.organization] = row.parent_organization
        changes = {"name": row.organization_name, "parent": parent}
        return self._named(Organization, organizations, row.organization, changes, fixed=fixed)

    def _billing_entity(self, row: Row, customer: Customer) -> BillingEntity | None:
        if row.billing_entity is None:
            return None
        organization = None
        if row.billing_entity_organization is not None:
            organization = self._named(
                Organization,
                self.known.organizations,
                row.billing_entity_organization,
                {},
                fixed={"customer": customer},
            )
        return self._named(
            BillingEntity,
            self.known.billing_entities,
            row.billing_entity,
            {
                "name": row.billing_entity_name,
                "organization": organization,
                "settlement": row.settlement,
                "overdraft": row.overdraft,
                "credit_limit": row.credit_limit,
            },
            fixed={"customer": customer, "currency": row.currency, "time_zone": row.time_zone or "UTC"},
        )

    def _key(self, row: Row, fingerprint: str, workspace: Workspace) -> None:
        found = self.known.keys.get(fingerprint)
        if found is not None:
            self._change(found, {"name": row.key_name, "user": row.key_user})
            return
        key = ApiKey(
            customer=workspace.customer,
            workspace=workspace,
            name=row.key_name or row.key_user or "API key",
            user=row.key_user,
            kind=ApiKey.Kind.REGISTERED,
            fingerprint=fingerprint,
        )
        self.known.keys[fingerprint] = key
        self._add(key)

    def _named(
        self,
        model: type[M],
        table: dict[str, M],
        external_id: str,
        changes: dict[str, Any],
        fixed: dict[str, Any],
    ) -> M:
        """The row with this external id, changed as given, or a new one called by its id until named."""
        row = table.get(external_id)
        if row is None:
            given = {name: value for name, value in changes.items() if value is not None}
            row = model(**({"external_id": external_id, "name": external_id} | fixed | given))
            table[external_id] = row
            self._add(row)
        else:
            self._change(row, changes)
        return row

    def _add(self, row: Any) -> None:
        row.created_at = self.now
        self.new[type(row)].append(row)

    def _change(self, row: Any, changes: dict[str, Any]) -> None:
        for name, value in changes.items():
            if value is not None and getattr(row, name) != value:
                setattr(row, name, value)
                if row.pk is not None:
                    self.changed[type(row)][row.pk] = row
