"""The operator's own keys: what its gateway and backend call Tollgate with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypedDict, Unpack

from django.db import transaction

from accounts.keys import check_expiry
from accounts.models import IntegrationKey
from accounts.models.keys import Scope
from accounts.secrets import INTEGRATION, new_secret
from core import clock
from core.errors import Conflict, InvalidRequest
from core.texts import clean_text

OVERLAP: Final = timedelta(hours=24)
OVERLAP_MAX: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class IssuedIntegrationKey:
    """A new key with its secret, which is told now and never again."""

    key: IntegrationKey
    secret: str


class IntegrationKeyChanges(TypedDict, total=False):
    """What may change about an integration key."""

    name: str
    scopes: list[str]
    expires_at: datetime | None


def issue_integration_key(
    *,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None = None,
    rotated_from: IntegrationKey | None = None,
) -> IssuedIntegrationKey:
    """A new key (`tg_...`) with these scopes. Raises InvalidRequest for unknown scopes or none."""
    secret, now = new_secret(INTEGRATION), clock.now()
    with transaction.atomic():
        key = IntegrationKey.objects.create(
            name=clean_text(name, "name"),
            prefix=secret.prefix,
            fingerprint=secret.fingerprint,
            scopes=check_scopes(scopes),
            rotated_from=rotated_from,
            created_at=now,
            expires_at=check_expiry(expires_at, now),
        )
    return IssuedIntegrationKey(key, secret.text)


def rotate_integration_key(key: IntegrationKey, *, overlap: timedelta = OVERLAP) -> IssuedIntegrationKey:
    """A successor with the same name and scopes; the old secret works for `overlap` (0 to 30 days) longer.

    Raises Conflict for a key that has ended or been rotated already.
    """
    if not timedelta(0) <= overlap <= OVERLAP_MAX:
        raise InvalidRequest("out_of_range", "The overlap may be 0 seconds to 30 days.", "overlap")
    with transaction.atomic():
        key = IntegrationKey.objects.select_for_update().get(pk=key.pk)
        now = clock.now()
        if not key.is_valid_at(now):
            raise Conflict("key_ended", "This key has been revoked or has expired.")
        if key.successors.exists():
            raise Conflict("already_rotated", "This key has a successor already; rotate that one.")
        issued = issue_integration_key(name=key.name, scopes=key.scopes, rotated_from=key)
        key.expires_at = min(now + overlap, key.expires_at or now + overlap)
        key.save(update_fields=["expires_at"])
        return issued


def change_integration_key(key: IntegrationKey, **changes: Unpack[IntegrationKeyChanges]) -> IntegrationKey:
    """Rename a key, or change its scopes or expiry, from its next request on."""
    with transaction.atomic():
        key = IntegrationKey.objects.select_for_update().get(pk=key.pk)
        if "name" in changes:
            key.name = clean_text(changes["name"], "name")
        if "scopes" in changes:
            key.scopes = check_scopes(changes["scopes"])
        if "expires_at" in changes:
            key.expires_at = changes["expires_at"]
        key.save(update_fields=["name", "scopes", "expires_at"])
        return key


def revoke_integration_key(key: IntegrationKey) -> IntegrationKey:
    """End the key now, for good; a second time changes nothing."""
    with transaction.atomic():
        key = IntegrationKey.objects.select_for_update().get(pk=key.pk)
        if key.revoked_at is None:
            key.revoked_at = clock.now()
            key.save(update_fields=["revoked_at"])
        return key


def check_scopes(scopes: Iterable[str]) -> list[str]:
    """`scopes`, each once, in their own order; raises InvalidRequest for unknown ones or none."""
    given = set(scopes)
    unknown = sorted(given - set(Scope.values))
    if unknown or not given:
        raise InvalidRequest(
            "invalid_scopes", f"Scopes are {', '.join(Scope.values)}; at least one.", "scopes"
        )
    return [scope for scope in Scope.values if scope in given]
