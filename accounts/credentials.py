"""Who a presented secret belongs to. Kept per process, and true as of a config version.

Every change of an integration key's rights raises the installation's config version (a trigger), every
change of an API key its customer's. A request compares one number; the charge path compares it anyway, under
the payer's lock, so that what is remembered may let a call through to it, but never refuses one.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import DatabaseError, transaction
from django.db.models import Q

from accounts.models import ApiKey, IntegrationKey
from accounts.secrets import INTEGRATION, SECRET_MAX, fingerprint, is_well_formed
from core import clock
from core.api.permissions import includes
from core.errors import AuthenticationFailed
from core.models import ConfigVersion
from core.sql import open_transaction, still_holds

USED_EVERY: Final = 60.0
"""Seconds between two notes of a key's last use, per process."""
AT_HAND: Final = timedelta(seconds=1)
"""A key that ends sooner than that is asked for."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IntegrationKeyRecord:
    """An integration key as requests need it, read at `config_version` or later, in `read_in`."""

    id: int
    public_id: str
    scopes: frozenset[str]
    valid_until: datetime | None
    config_version: int
    read_in: object | None = field(default_factory=open_transaction, repr=False, compare=False)

    def passes(self, needed: str | None, instant: datetime) -> bool:
        """Whether it is valid at `instant` and has the scope `needed` (None: any)."""
        has_ended = self.valid_until is not None and self.valid_until <= instant
        return not has_ended and (needed is None or includes(self.scopes, needed))


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """A customer's API key: the workspace is all that it may ask about."""

    id: int
    public_id: str
    customer_id: int
    workspace_id: int
    user: str | None
    valid_until: datetime | None
    scopes: frozenset[str] = frozenset()


class IntegrationKeys:
    """The integration keys that this process has seen, each with the config version it was read at."""

    def __init__(self) -> None:
        self._records: dict[str, IntegrationKeyRecord] = {}
        self._noted: dict[int, float] = {}

    def find(self, secret: str, *, is_fresh: bool) -> IntegrationKeyRecord | None:
        """The key with this secret; `is_fresh` = compare the config version first (one tiny query)."""
        mark = fingerprint(secret[:SECRET_MAX])
        record = self._kept(mark)
        if record is None and not is_well_formed(secret, INTEGRATION):
            return None  # mistyped or invented: the database is not asked
        if record is None or (is_fresh and record.config_version != config_version()):
            record = self._load(mark)
        return record

    def at_hand(self, secret: str, needed: str) -> IntegrationKeyRecord | None:
        """The key, if `authenticate_key` (not fresh) would do without the database."""
        record = self._kept(fingerprint(secret[:SECRET_MAX]))
        if record is None or self._is_use_due(record) or not record.passes(needed, clock.now() + AT_HAND):
            return None
        return record

    def _kept(self, mark: str) -> IntegrationKeyRecord | None:
        record = self._records.get(mark)
        return None if record is None or not still_holds(record.read_in) else record

    def _is_use_due(self, record: IntegrationKeyRecord) -> bool:
        return time.monotonic() - self._noted.get(record.id, -USED_EVERY) >= USED_EVERY

    def forget(self) -> None:
        """Drop everything: the next request asks the database."""
        self._records = {}

    def _load(self, mark: str) -> IntegrationKeyRecord | None:
        version = config_version()  # first: what is read after it can only be newer
        row = IntegrationKey.objects.filter(fingerprint=mark).first()
        if row is None:
            self._records.pop(mark, None)
            return None
        ends = valid_until(row.expires_at, row.revoked_at)
        record = IntegrationKeyRecord(row.pk, row.public_id, frozenset(row.scopes), ends, version)
        self._records[mark] = record
        return record

    def note_use(self, record: IntegrationKeyRecord) -> None:
        """Write the key's last use, at most once a minute, waiting for nobody; a failure is only logged."""
        if not self._is_use_due(record):
            return
        self._noted[record.id] = time.monotonic()
        now = clock.now()
        stale = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - timedelta(seconds=USED_EVERY))
        free = IntegrationKey.objects.filter(stale, pk=record.id).select_for_update(skip_locked=True)
        try:
            with transaction.atomic():
                IntegrationKey.objects.filter(pk__in=free.values("pk")).update(last_used_at=now)
        except DatabaseError as error:
            log.warning("last_use_not_noted", key=record.public_id, error=type(error).__name__)


def authenticate_key(
    secret: str, *, is_fresh: bool = True, needed: str | None = None
) -> IntegrationKeyRecord:
    """The integration key with this secret, valid now; raises AuthenticationFailed.

    With `is_fresh=False` a key that lost its rights in the last moments may pass: only for callers that
    compare `config_version` themselves (the charge path). One that has ended, or was not given the scope
    `needed` for what comes next, is asked for all the same: it may have been changed.
    """
    record = integration_keys.find(secret, is_fresh=is_fresh)
    if record is not None and not is_fresh and not record.passes(needed, clock.now()):
        record = integration_keys.find(secret, is_fresh=True)
    if record is None:
        raise AuthenticationFailed("invalid_key", "This key is not one of ours.")
    _check_validity(record.valid_until)
    integration_keys.note_use(record)
    return record


def valid_keys(ids: Collection[int], now: datetime) -> dict[int, frozenset[str]]:
    """The scopes of those of these integration keys that are valid at `now`, by id; asks the database."""
    rows = IntegrationKey.objects.filter(pk__in=ids)
    return {row.pk: frozenset(row.scopes) for row in rows if row.is_valid_at(now)}


def authenticate_api_key(secret: str) -> ApiKeyRecord:
    """The customer's API key with this secret, valid now; raises AuthenticationFailed."""
    row = None
    if len(secret) <= SECRET_MAX:
        row = ApiKey.objects.filter(fingerprint=fingerprint(secret)).first()
    if row is None:
        raise AuthenticationFailed("invalid_key", "This key is not one of ours.")
    ends = valid_until(row.expires_at, row.revoked_at)
    _check_validity(ends)
    return ApiKeyRecord(row.pk, row.public_id, row.customer_id, row.workspace_id, row.user, ends)


def valid_until(*ends: datetime | None) -> datetime | None:
    """The earliest of the instants at which a key ends; None = it does not."""
    given: Iterable[datetime] = [end for end in ends if end is not None]
    return min(given, default=None)


def config_version() -> int:
    """The installation's config version."""
    return ConfigVersion.objects.values_list("version", flat=True).first() or 0


def _check_validity(ends: datetime | None) -> None:
    if ends is not None and ends <= clock.now():
        raise AuthenticationFailed("key_ended", "This key has been revoked or has expired.")


integration_keys: Final = IntegrationKeys()
