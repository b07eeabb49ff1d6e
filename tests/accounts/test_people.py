"""People: who may sign in, and what the tables of rights give them."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.apps import apps
from django.contrib.auth.models import AnonymousUser, Group
from django.db import connection

from accounts.models import Membership, User
from accounts.permissions import OF_MEMBERS, OF_STAFF, STAFF_GROUPS, Right, may, require
from accounts.users import add_member, add_to_staff, change_role, create_user, remove_member
from core.errors import Conflict, InvalidRequest, PermissionDenied
from tests.accounts.conftest import Tenant

pytestmark = pytest.mark.django_db


def staff(group: str) -> User:
    return add_to_staff(create_user(email=f"{group}@example.com"), group)


def test_the_groups_of_staff_are_made_by_a_migration_once() -> None:
    migration = import_module("accounts.migrations.0004_staff_groups")
    for _ in range(2):
        migration.create_groups(apps, connection.schema_editor())
    assert sorted(Group.objects.values_list("name", flat=True)) == sorted(STAFF_GROUPS)


@pytest.mark.parametrize(
    ("group", "may_do", "may_not_do"),
    [
        ("admin", set(Right), set()),
        (
            "finance",
            {Right.VIEW, Right.MOVE_MONEY, Right.MANAGE_PRICES},
            {Right.MANAGE_USERS, Right.MANAGE_METERS},
        ),
        (
            "ops",
            {Right.VIEW, Right.RESOLVE_QUARANTINE, Right.MANAGE_API_KEYS},
            {Right.MOVE_MONEY, Right.MANAGE_USERS},
        ),
        ("read_only", {Right.VIEW}, set(Right) - {Right.VIEW}),
    ],
)
def test_staff_may_what_their_group_may(group: str, may_do: set[Right], may_not_do: set[Right]) -> None:
    user = staff(group)
    assert all(may(user, right) for right in may_do)
    assert not any(may(user, right) for right in may_not_do)


def test_every_right_is_in_the_table_of_staff() -> None:
    assert set(OF_STAFF) == set(Right)
    assert all(groups <= set(STAFF_GROUPS) for groups in OF_STAFF.values())
    assert all(roles <= set(Membership.Role.values) for roles in OF_MEMBERS.values())


def test_a_member_may_what_their_role_may_in_their_customer_only(acme: Tenant, stranger: Tenant) -> None:
    owner, billing, member = (create_user(email=f"{role}@example.com") for role in ("o", "b", "m"))
    for user, role in ((owner, "owner"), (billing, "billing"), (member, "member")):
        add_member(user, acme.customer, role)
    here, there = acme.customer.pk, stranger.customer.pk
    assert [may(user, Right.VIEW, here) for user in (owner, billing, member)] == [True] * 3
    assert [may(user, Right.TOP_UP, here) for user in (owner, billing, member)] == [True, True, False]
    assert [may(user, Right.MANAGE_API_KEYS, here) for user in (owner, billing, member)] == [
        True,
        False,
        False,
    ]
    for user in (owner, billing, member):
        assert not may(user, Right.VIEW, there)
        assert not may(user, Right.VIEW)
        assert not may(user, Right.MANAGE_PRICES, here)


def test_a_superuser_may_all_and_staff_without_a_group_nothing() -> None:
    root = User.objects.create_superuser("root@example.com", "a long password")
    assert all(may(root, right) for right in Right)
    bare = create_user(email="bare@example.com")
    bare.is_staff = True
    assert not any(may(bare, right) for right in Right)


def test_who_may_not_sign_in_may_nothing(acme: Tenant) -> None:
    user = staff("admin")
    user.is_active = False
    assert not may(user, Right.VIEW)
    assert not may(AnonymousUser(), Right.VIEW, acme.customer.pk)
    with pytest.raises(PermissionDenied):
        require(user, Right.VIEW)


def test_a_change_of_role_counts_at_once(acme: Tenant) -> None:
    user = create_user(email="ana@example.com")
    assert not may(user, Right.VIEW, acme.customer.pk)
    add_member(user, acme.customer, "member")
    assert may(user, Right.VIEW, acme.customer.pk)
    add_to_staff(user, "ops")
    assert may(user, Right.MANAGE_METERS)
    add_to_staff(user, "finance")
    assert not may(user, Right.MANAGE_METERS)


def test_an_address_is_one_person_whatever_its_capitals() -> None:
    user = create_user(email="  Ana@Example.COM ", password="correct horse battery", name="Ana")
    assert user.email == "ana@example.com"
    assert user.check_password("correct horse battery")
    with pytest.raises(Conflict):
        create_user(email="ANA@example.com")


@pytest.mark.parametrize(
    "email", ["", "ana", "@", "a b@example.com", "ana@", "a" * 300 + "@example.com", "a\x00@b.de", None]
)
def test_an_address_must_be_one(email: object) -> None:
    with pytest.raises(InvalidRequest) as raised:
        create_user(email=email)  # type: ignore[arg-type]
    assert raised.value.param == "email"


@pytest.mark.parametrize("password", ["", "short", "password123", "ana@example.com"])
def test_a_weak_password_is_refused(password: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        create_user(email="ana@example.com", password=password)
    assert raised.value.param == "password"


def test_without_a_password_nobody_signs_in() -> None:
    assert not create_user(email="ana@example.com").has_usable_password()


def test_a_person_is_a_member_once_and_in_a_role_that_there_is(acme: Tenant) -> None:
    user = create_user(email="ana@example.com")
    add_member(user, acme.customer, "owner")
    with pytest.raises(Conflict):
        add_member(user, acme.customer, "member")
    for role in ("king", "", "OWNER"):
        with pytest.raises(InvalidRequest):
            add_member(user, acme.customer, role)
    with pytest.raises(InvalidRequest):
        add_to_staff(user, "kings")


def test_a_customer_keeps_an_owner(acme: Tenant) -> None:
    first = add_member(create_user(email="a@example.com"), acme.customer, "owner")
    with pytest.raises(Conflict):
        change_role(first, "member")
    with pytest.raises(Conflict):
        remove_member(first)
    second = add_member(create_user(email="b@example.com"), acme.customer, "owner")
    change_role(first, "billing")
    remove_member(first)
    assert list(Membership.objects.values_list("pk", flat=True)) == [second.pk]
