"""The process's copy of who calls: found by every id, and never older than its version says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries

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


def test_what_there_is_not_is_asked_for_again_and_found_when_it_is_made(workspace: Workspace) -> None:
    directory = Directory()
    assert directory.callers({"later"}, set(), set()).workspaces == {}
    made = Workspace.objects.create(
        customer=workspace.customer, name="Later", external_id="later", created_at=NOW
    )
    assert directory.callers({"later"}, set(), set()).workspaces["later"].id == made.pk


def test_a_batch_still_knows_its_cached_callers_when_their_customer_has_changed(
    workspace: Workspace, key: ApiKey
) -> None:
    directory = Directory()
    directory.callers({"ws_1"}, set(), {"be_1"})
    Workspace.objects.filter(pk=workspace.pk).update(name="Renamed")  # raises the customer's version
    Workspace.objects.create(customer=workspace.customer, name="New", external_id="new", created_at=NOW)
    found = directory.callers({"ws_1", "new"}, {key.fingerprint}, {"be_1"})
    assert found.workspaces.keys() == {"ws_1", "new"}
    assert (found.keys.keys(), found.payers.keys()) == ({key.fingerprint}, {"be_1"})
    assert len({id(entry.config) for entry in found.workspaces.values()}) == 1


def test_a_caller_that_another_thread_has_forgotten_meanwhile_is_read_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Directory()
    directory.callers({"ws_1"}, set(), set())
    load = Directory._load

    def forgotten_meanwhile(self: Directory, *missing: set[str]) -> None:
        self._configs.pop(workspace.customer_id, None)
        load(self, *missing)

    monkeypatch.setattr(Directory, "_load", forgotten_meanwhile)
    assert directory.callers({"ws_1", "nobody"}, set(), set()).workspaces.keys() == {"ws_1"}


def test_an_external_id_that_moved_names_the_new_workspace(workspace: Workspace) -> None:
    directory = Directory()
    directory.callers({"ws_1"}, set(), set())
    heir = Workspace.objects.create(customer=workspace.customer, name="Heir", created_at=NOW)
    Workspace.objects.filter(pk=workspace.pk).update(external_id="old")
    Workspace.objects.filter(pk=heir.pk).update(external_id="ws_1")
    directory.forget([workspace.customer_id])
    found = directory.callers({"ws_1", "old"}, set(), set()).workspaces
    assert (found["ws_1"].id, found["old"].id) == (heir.pk, workspace.pk)


def test_an_external_id_that_moved_to_another_customer_names_its_workspace(workspace: Workspace) -> None:
    directory = Directory()
    directory.callers({"ws_1"}, set(), set())
    customer = Customer.objects.create(name="Other", created_at=NOW)
    Workspace.objects.filter(pk=workspace.pk).update(external_id=None)
    heir = Workspace.objects.create(customer=customer, name="Heir", external_id="ws_1", created_at=NOW)
    directory.forget([workspace.customer_id])
    entry = directory.callers({"ws_1"}, set(), set()).workspaces["ws_1"]
    assert (entry.id, entry.config.customer_id) == (heir.pk, customer.pk)


def test_an_external_id_that_was_taken_away_names_nobody(workspace: Workspace) -> None:
    directory = Directory()
    directory.callers({"ws_1"}, set(), {"be_1"})
    Workspace.objects.filter(pk=workspace.pk).update(external_id=None)
    BillingEntity.objects.filter(customer=workspace.customer).update(external_id=None)
    directory.forget([workspace.customer_id])
    found = directory.callers({"ws_1"}, set(), {"be_1"})
    assert (found.workspaces, found.payers) == ({}, {})


def test_an_entry_read_inside_a_transaction_that_was_undone_never_passes_for_true(
    workspace: Workspace,
) -> None:
    directory = Directory()
    with transaction.atomic():
        BillingEntity.objects.filter(customer=workspace.customer).update(status="suspended")
        inside = directory.callers({"ws_1"}, set(), set()).workspaces["ws_1"]
        transaction.set_rollback(True)
    assert {payer.status for payer in inside.config.payers.values()} == {"suspended"}
    version = Customer.objects.get(pk=workspace.customer_id).config_version
    assert inside.config.version != version
    BillingEntity.objects.filter(customer=workspace.customer).update(name="Renamed")
    assert Customer.objects.get(pk=workspace.customer_id).config_version != inside.config.version


def test_forgetting_one_customer_keeps_the_others(
    workspace: Workspace, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    directory = Directory()
    other = Customer.objects.create(name="Other", created_at=NOW)
    Workspace.objects.create(customer=other, name="W", external_id="theirs", created_at=NOW)
    directory.callers({"ws_1", "theirs"}, set(), set())
    directory.forget([workspace.customer_id])
    with django_assert_num_queries(0):
        assert "theirs" in directory.callers({"theirs"}, set(), set()).workspaces
    with django_assert_num_queries(3):  # the workspace, its customer's payers, its assignments
        assert "ws_1" in directory.callers({"ws_1"}, set(), set()).workspaces


def test_the_copy_starts_anew_when_it_has_grown_too_large(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("accounts.directory.ENTRIES_MAX", 3)
    directory = Directory()
    names = [f"w{number}" for number in range(6)]
    for name in names:
        Workspace.objects.create(customer=workspace.customer, name=name, external_id=name, created_at=NOW)
    for name in [*names, *names]:
        assert name in directory.callers({name}, set(), set()).workspaces
    assert len(directory._workspaces) <= 3 + 2


def test_what_was_cached_is_still_found_beside_what_a_change_of_its_customer_brought(
    workspace: Workspace, key: ApiKey
) -> None:
    directory = Directory()
    directory.callers({"ws_1"}, {"ab" * 32}, {"be_1"})
    made = Workspace.objects.create(
        customer=workspace.customer, name="New", external_id="new", created_at=NOW
    )
    found = directory.callers({"ws_1", "new"}, {"ab" * 32}, {"be_1"})
    assert {name: entry.id for name, entry in found.workspaces.items()} == {
        "ws_1": workspace.pk,
        "new": made.pk,
    }
    assert found.keys["ab" * 32].id == key.pk
    configs = [*(entry.config for entry in found.workspaces.values()), found.payers["be_1"].config]
    assert len(set(map(id, configs))) == 1, "all of it at one version"


def test_what_was_cached_is_still_found_when_the_copy_starts_anew(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Directory()
    directory.callers({"ws_1"}, set(), set())
    Workspace.objects.create(customer=workspace.customer, name="New", external_id="new", created_at=NOW)
    monkeypatch.setattr("accounts.directory.ENTRIES_MAX", 0)
    assert directory.callers({"ws_1", "new"}, set(), set()).workspaces.keys() == {"ws_1", "new"}
