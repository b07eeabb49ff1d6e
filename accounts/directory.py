"""The process's copy of who calls and who pays, read set-based and kept until the customer changes.

Every entry hangs on the `CustomerConfig` it was read with. A charge compares that config's version
with the database under the payer's lock and forgets the customer on a mismatch, so a stale copy
never decides anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any, Final, TypeVar

from django.db.models import F, Q, QuerySet

from accounts.models import ApiKey, BillingEntity, PayerAssignment, Workspace
from accounts.models.payers import state_at
from core.errors import NotFound
from core.ids import row_id
from core.sql import open_transaction, still_holds

ENTRIES_MAX: Final = 200_000
"""Past this many cached references the copy starts anew: memory stays bounded."""
NO_VERSION: Final = 0
"""No customer is ever at it."""


@dataclass(slots=True, frozen=True)
class Payer:
    """A billing entity as the charge path needs it."""

    customer_id: int
    id: int
    public_id: str
    currency: str
    time_zone: str
    settlement: str
    status: str
    overdraft: Any
    credit_limit: Any
    suspends_at: datetime | None = None
    low_balance: tuple[Any, ...] = ()

    def state_at(self, instant: datetime) -> str:
        """Its state then, exact even when no worker has written it down."""
        return state_at(self.status, self.suspends_at, instant)


@dataclass(slots=True)
class CustomerConfig:
    """What is cached of one customer, all read at or after `version`, in the transaction `read_in`."""

    customer_id: int
    version: int
    payers: dict[int, Payer] = field(default_factory=dict)
    read_in: object | None = field(default_factory=open_transaction, repr=False, compare=False)


@dataclass(slots=True, frozen=True)
class WorkspaceEntry:
    """A workspace and the intervals `(starts_at, ends_at, payer id)` of its payers."""

    config: CustomerConfig
    id: int
    public_id: str
    assignments: tuple[tuple[datetime | None, datetime | None, int], ...]

    def payer_at(self, instant: datetime) -> Payer | None:
        """The one who pays for calls at `instant`."""
        for starts_at, ends_at, payer_id in self.assignments:
            if (starts_at is None or starts_at <= instant) and (ends_at is None or instant < ends_at):
                return self.config.payers[payer_id]
        return None


@dataclass(slots=True, frozen=True)
class KeyEntry:
    """An API key: its workspace, and the instant from which it is no longer valid."""

    config: CustomerConfig
    id: int
    workspace: WorkspaceEntry
    valid_until: datetime | None


@dataclass(slots=True, frozen=True)
class PayerEntry:
    """A payer named directly."""

    config: CustomerConfig
    payer: Payer


E = TypeVar("E", WorkspaceEntry, KeyEntry, PayerEntry)


@dataclass(slots=True, frozen=True)
class Callers:
    """What a batch of calls refers to; a reference that is not in here does not exist."""

    workspaces: dict[str, WorkspaceEntry]
    keys: dict[str, KeyEntry]
    payers: dict[str, PayerEntry]


class Directory:
    """References (public id, external id, key fingerprint) -> entries. One per process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._configs: dict[int, CustomerConfig] = {}
        self._workspaces: dict[str, WorkspaceEntry] = {}
        self._keys: dict[str, KeyEntry] = {}
        self._payers: dict[str, PayerEntry] = {}

    def callers(self, workspaces: set[str], keys: set[str], payers: set[str]) -> Callers:
        """Resolve these references; what is not cached is read in at most five statements.

        A reading may find the customer changed: then what was cached of it is old, and all is read again.
        """
        found = self._cached(workspaces, keys, payers)
        missing = (
            workspaces - found.workspaces.keys(),
            keys - found.keys.keys(),
            payers - found.payers.keys(),
        )
        if not any(missing):
            return found
        with self._lock:
            self._load(*missing)
            read = self._cached(workspaces, keys, payers)
            if not _has_all(read, found):
                self._load(workspaces, keys, payers)
                read = self._cached(workspaces, keys, payers)
            return read

    def forget(self, customer_ids: Iterable[int]) -> None:
        """Drop what is cached of these customers."""
        with self._lock:
            for customer_id in customer_ids:
                self._configs.pop(customer_id, None)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._clear()

    def _cached(self, workspaces: set[str], keys: set[str], payers: set[str]) -> Callers:
        return Callers(
            self._current(self._workspaces, workspaces),
            self._current(self._keys, keys),
            self._current(self._payers, payers),
        )

    def _current(self, cache: dict[str, E], refs: set[str]) -> dict[str, E]:
        found = {}
        for ref in refs:
            entry = cache.get(ref)
            if entry is not None and self._is_current(entry.config):
                found[ref] = entry
        return found

    def _is_current(self, config: CustomerConfig) -> bool:
        return self._configs.get(config.customer_id) is config and still_holds(config.read_in)

    def _clear(self) -> None:
        for cache in (self._configs, self._workspaces, self._keys, self._payers):
            cache.clear()

    def _load(self, workspaces: set[str], keys: set[str], payers: set[str]) -> None:
        if len(self._workspaces) + len(self._keys) + len(self._payers) > ENTRIES_MAX:
            self._clear()
        key_rows = _rows(ApiKey, "key", keys, "fingerprint") if keys else []
        payer_rows = _rows(BillingEntity, "be", payers, "external_id") if payers else []
        key_workspaces = [row.workspace_id for row in key_rows]
        workspace_rows = _workspace_rows(workspaces, key_workspaces) if workspaces or key_rows else []
        self._load_configs([*workspace_rows, *payer_rows, *key_rows])
        by_id = self._add_workspaces(workspace_rows)
        for row in key_rows:
            ends = [end for end in (row.revoked_at, row.expires_at) if end is not None]
            workspace = by_id[row.workspace_id]
            key = KeyEntry(workspace.config, row.pk, workspace, min(ends) if ends else None)
            _add(self._keys, key, row.public_id, row.fingerprint)
        for row in payer_rows:
            config = self._configs[row.customer_id]
            _add(self._payers, PayerEntry(config, config.payers[row.pk]), row.public_id, row.external_id)

    def _load_configs(self, rows: Iterable[Any]) -> None:
        """The configs of the rows' customers, at the version that each row was read with.

        What is read from here on can only be newer than that, and then the check finds out. Rows of one
        customer that disagree were read while it changed: no version is true of them.
        """
        versions: dict[int, int] = {}
        for row in rows:
            if versions.setdefault(row.customer_id, row.seen_version) != row.seen_version:
                versions[row.customer_id] = NO_VERSION
        cached = self._configs
        stale = [
            pk
            for pk, version in versions.items()
            if version == NO_VERSION
            or pk not in cached
            or cached[pk].version != version
            or not still_holds(cached[pk].read_in)
        ]
        configs = {pk: CustomerConfig(pk, versions[pk]) for pk in stale}
        for entity in BillingEntity.objects.filter(customer_id__in=stale) if stale else ():
            configs[entity.customer_id].payers[entity.pk] = _payer(entity)
        cached.update(configs)

    def _add_workspaces(self, rows: Sequence[Workspace]) -> dict[int, WorkspaceEntry]:
        assignments: dict[int, list[tuple[datetime | None, datetime | None, int]]] = {}
        if rows:
            for span in PayerAssignment.objects.filter(workspace_id__in=[row.pk for row in rows]):
                interval = (span.starts_at, span.ends_at, span.billing_entity_id)
                assignments.setdefault(span.workspace_id, []).append(interval)
        entries = {}
        for row in rows:
            config = self._configs[row.customer_id]
            # A payer made after the config was read is not in it; the version check will find out.
            spans = tuple(span for span in assignments.get(row.pk, []) if span[2] in config.payers)
            entries[row.pk] = WorkspaceEntry(config, row.pk, row.public_id, spans)
            _add(self._workspaces, entries[row.pk], row.public_id, row.external_id)
        return entries


def _has_all(read: Callers, found: Callers) -> bool:
    """Whether all that was found before is among what was read."""
    return (
        found.workspaces.keys() <= read.workspaces.keys()
        and found.keys.keys() <= read.keys.keys()
        and found.payers.keys() <= read.payers.keys()
    )


def _add(cache: dict[str, E], entry: E, public_id: str, other: str | None) -> None:
    cache[public_id] = entry
    if other is not None:  # never one that reads as an id of ours: see accounts.external_ids
        cache[other] = entry


def _rows(model: Any, prefix: str, references: set[str], other: str) -> list[Any]:
    pks = [pk for reference in references if (pk := _row_id(prefix, reference)) is not None]
    return list(_with_version(model).filter(Q(pk__in=pks) | Q(**{f"{other}__in": references})))


def _workspace_rows(references: set[str], pks: list[int]) -> list[Workspace]:
    pks = pks + [pk for reference in references if (pk := _row_id("ws", reference)) is not None]
    return list(_with_version(Workspace).filter(Q(pk__in=pks) | Q(external_id__in=references)))


def _with_version(model: Any) -> QuerySet[Any]:
    """The rows with the version of their customer in the same instant: one statement, one snapshot."""
    return model._default_manager.annotate(seen_version=F("customer__config_version"))  # type: ignore[no-any-return]


def _row_id(prefix: str, reference: str) -> int | None:
    try:
        return row_id(prefix, reference)
    except NotFound:
        return None


def _payer(entity: BillingEntity) -> Payer:
    return Payer(
        customer_id=entity.customer_id,
        id=entity.pk,
        public_id=entity.public_id,
        currency=entity.currency,
        time_zone=entity.time_zone,
        settlement=entity.settlement,
        status=entity.status,
        overdraft=entity.overdraft,
        credit_limit=entity.credit_limit,
        suspends_at=entity.suspends_at,
        low_balance=tuple(entity.low_balance),
    )


directory: Final = Directory()
