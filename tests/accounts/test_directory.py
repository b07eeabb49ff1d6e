"""The process's copy of who calls: found by every id, and never older than its version says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.directory import Directory
from accounts.models import ApiKey, BillingEntity, Customer, PayerAssignment, Workspace

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.fixture
def workspace() -> Workspace:
    customer = Customer.objects.create(name="Acme", created_at=NOW)
    workspace = Workspace.objects.create(customer=customer, name="W", external_id="ws_1", created_at=NOW)
    payer = BillingEntity.objects.create(
        customer=customer, name="P", external_id="be_1", currency="USD", created_at=NOW
    )
    PayerAssignment.objects.create(
        customer=customer, workspace=workspace, billing_entity=payer, created_at=NOW
    )
    return workspace


@pytest.fixture
def key(workspace: Workspace) -> ApiKey:
    return ApiKey.objects.create(
        customer=workspace.customer,
        workspace=workspace,
        name="K",
        kind="registered",
        fingerprint="ab" * 32,
        created_at=NOW,
    )


def test_an_external_id_that_begins_like_ours_is_found_after_a_change_too(workspace: Workspace) -> None:
    directory = Directory()
    assert directory.callers({"ws_1"}, set(), {"be_1"}).workspaces["ws_1"].id == workspace.pk
    Workspace.objects.filter(pk=workspace.pk).update(name="Renamed")
    directory.forget([workspace.customer_id])
    found = directory.callers({"ws_1"}, set(), {"be_1"})
    assert found.workspaces["ws_1"].id == workspace.pk
    assert found.payers["be_1"].payer.currency == "USD"


def test_a_key_revoked_while_it_is_read_does_not_pass_for_the_newer_version(
    key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Directory()
    load = Directory._load_configs

    def revoked_meanwhile(self: Directory, *args: Any) -> None:
        ApiKey.objects.filter(pk=key.pk).update(revoked_at=NOW)
        load(self, *args)

    monkeypatch.setattr(Directory, "_load_configs", revoked_meanwhile)
    entry = directory.callers(set(), {key.fingerprint}, set()).keys[key.fingerprint]
    version = Customer.objects.get(pk=key.customer_id).config_version
    assert entry.valid_until == NOW or entry.config.version != version
