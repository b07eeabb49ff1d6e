"""The process's cache of integration keys, and the note of a key's last use."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.credentials import authenticate_key, integration_keys, valid_keys
from accounts.integration_keys import issue_integration_key, revoke_integration_key
from accounts.models import IntegrationKey
from accounts.secrets import fingerprint
from core.errors import AuthenticationFailed
from tests.accounts.conftest import Clock

pytestmark = pytest.mark.django_db


def queries(secret: str, *, is_fresh: bool) -> int:
    with CaptureQueriesContext(connection) as captured:
        authenticate_key(secret, is_fresh=is_fresh)
    return len(captured)


def test_a_known_key_costs_one_tiny_query_and_none_on_the_charge_path() -> None:
    secret = issue_integration_key(name="x", scopes=["charges:write"]).secret
    authenticate_key(secret)
    assert queries(secret, is_fresh=True) == 1
    assert queries(secret, is_fresh=False) == 0


def test_the_charge_path_alone_fills_the_cache() -> None:
    secret = issue_integration_key(name="x", scopes=["charges:write"]).secret
    authenticate_key(secret, is_fresh=False)
    assert queries(secret, is_fresh=False) == 0


def test_a_record_says_what_the_key_may_do_and_until_when(at: Clock) -> None:
    end = at.instant.replace(hour=13)
    issued = issue_integration_key(name="x", scopes=["read", "admin"], expires_at=end)
    record = authenticate_key(issued.secret)
    assert record.public_id == issued.key.public_id
    assert record.scopes == {"read", "admin"}
    assert record.valid_until == end


def test_a_change_anywhere_is_seen_by_the_next_fresh_request() -> None:
    issued = issue_integration_key(name="x", scopes=["read"])
    assert authenticate_key(issued.secret).scopes == {"read"}
    # Another process: the row changes, this process's cache is told nothing.
    IntegrationKey.objects.filter(pk=issued.key.pk).update(scopes=["admin"])
    assert authenticate_key(issued.secret, is_fresh=False).scopes == {"read"}
    assert authenticate_key(issued.secret).scopes == {"admin"}


def test_the_charge_path_refuses_a_revoked_key_once_it_asks_again(at: Clock) -> None:
    issued = issue_integration_key(name="x", scopes=["charges:write"])
    record = authenticate_key(issued.secret)
    revoke_integration_key(issued.key)
    assert valid_keys([record.id], at.instant) == {}
    integration_keys.forget()
    with pytest.raises(AuthenticationFailed):
        authenticate_key(issued.secret, is_fresh=False)


def test_expiry_needs_no_change_to_be_seen(at: Clock) -> None:
    issued = issue_integration_key(name="x", scopes=["read"], expires_at=at.instant.replace(hour=13))
    authenticate_key(issued.secret)
    at.forward(hours=1)
    with pytest.raises(AuthenticationFailed):
        authenticate_key(issued.secret, is_fresh=False)


def test_the_last_use_is_noted_once_a_minute_and_disturbs_no_cache(at: Clock) -> None:
    issued = issue_integration_key(name="x", scopes=["read"])
    first = authenticate_key(issued.secret)
    issued.key.refresh_from_db()
    assert issued.key.last_used_at == at.instant
    noted = at.instant
    at.forward(seconds=30)
    assert authenticate_key(issued.secret).config_version == first.config_version
    issued.key.refresh_from_db()
    assert issued.key.last_used_at == noted


def test_a_secret_of_another_installation_is_not_ours() -> None:
    secret = issue_integration_key(name="x", scopes=["read"])
    IntegrationKey.objects.filter(pk=secret.key.pk).delete()
    with pytest.raises(AuthenticationFailed):
        authenticate_key(secret.secret)


def test_what_a_slow_thread_read_before_a_change_never_passes_for_fresh() -> None:
    issued = issue_integration_key(name="Gateway", scopes=["read"])
    old = authenticate_key(issued.secret)
    revoke_integration_key(issued.key)
    with pytest.raises(AuthenticationFailed):
        authenticate_key(issued.secret)
    integration_keys._records[fingerprint(issued.secret)] = old  # its late write
    with pytest.raises(AuthenticationFailed):
        authenticate_key(issued.secret)
