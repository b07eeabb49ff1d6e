"""A customer's API keys: issued by us, or the operator's own, of which we only know the fingerprint."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypedDict, Unpack

from django.db import transaction

from accounts.models import ApiKey, Workspace
from accounts.secrets import API, new_secret
from core import clock
from core.database_errors import explain_constraint
from core.errors import Conflict, InvalidRequest
from core.texts import clean_text

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
_TAKEN: Final = ("already_exists", "A key with this fingerprint is registered already.", "fingerprint")

explain_constraint("accounts_apikey_fingerprint_key", Conflict, *_TAKEN)


@dataclass(frozen=True, slots=True)
class IssuedApiKey:
    """A new key with its secret, which is told now and never again; None for the operator's own."""

    key: ApiKey
    secret: str | None


class ApiKeyChanges(TypedDict, total=False):
    """What may change about an API key; its workspace may not."""

    name: str
    user: str | None
    expires_at: datetime | None


def issue_api_key(
    *, workspace: Workspace, name: str, user: str | None = None, expires_at: datetime | None = None
) -> IssuedApiKey:
    """A new key of ours (`tk_...`) for the workspace's calls. Raises InvalidRequest for a past expiry."""
    secret = new_secret(API)
    key = _create(workspace, ApiKey.Kind.ISSUED, name, user, expires_at, secret.fingerprint, secret.prefix)
    return IssuedApiKey(key, secret.text)


def register_fingerprint(
    *,
    workspace: Workspace,
    name: str,
    fingerprint: str,
    user: str | None = None,
    expires_at: datetime | None = None,
) -> ApiKey:
    """Make the operator's own key known by its SHA-256 in hex. Raises Conflict when it is known already."""
    fingerprint = clean_fingerprint(fingerprint, "fingerprint")
    return _create(workspace, ApiKey.Kind.REGISTERED, name, user, expires_at, fingerprint, "")


def change_api_key(key: ApiKey, **changes: Unpack[ApiKeyChanges]) -> ApiKey:
    """Rename a key, say who uses it, or set when it expires; returns the row as it is then."""
    with transaction.atomic():
        key = ApiKey.objects.select_for_update().get(pk=key.pk)
        if "name" in changes:
            key.name = clean_text(changes["name"], "name")
        if "user" in changes:
            key.user = _clean_user(changes["user"])
        if "expires_at" in changes:
            key.expires_at = changes["expires_at"]
        key.save(update_fields=["name", "user", "expires_at"])
        return key


def revoke_api_key(key: ApiKey) -> ApiKey:
    """End the key now, for good; a second time changes nothing."""
    with transaction.atomic():
        key = ApiKey.objects.select_for_update().get(pk=key.pk)
        if key.revoked_at is None:
            key.revoked_at = clock.now()
            key.save(update_fields=["revoked_at"])
        return key


def clean_fingerprint(fingerprint: object, param: str) -> str:
    """`fingerprint` in small letters; raises InvalidRequest unless it is a SHA-256 in 64 hex digits."""
    text = fingerprint.lower() if isinstance(fingerprint, str) else ""
    if not _FINGERPRINT.fullmatch(text):
        message = f"{param} must be the SHA-256 of the key in 64 hex digits."
        raise InvalidRequest("invalid_fingerprint", message, param)
    return text


def check_expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    """`expires_at` if it lies ahead; raises InvalidRequest otherwise."""
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest("out_of_range", "expires_at must lie ahead.", "expires_at")
    return expires_at


def _create(
    workspace: Workspace,
    kind: str,
    name: str,
    user: str | None,
    expires_at: datetime | None,
    fingerprint: str,
    prefix: str,
) -> ApiKey:
    now = clock.now()
    with transaction.atomic():
        if ApiKey.objects.filter(fingerprint=fingerprint).exists():
            raise Conflict(*_TAKEN)
        return ApiKey.objects.create(
            customer_id=workspace.customer_id,
            workspace=workspace,
            name=clean_text(name, "name"),
            user=_clean_user(user),
            kind=kind,
            prefix=prefix,
            fingerprint=fingerprint,
            created_at=now,
            expires_at=check_expiry(expires_at, now),
        )


def _clean_user(user: str | None) -> str | None:
    return None if user is None else clean_text(user, "user")
