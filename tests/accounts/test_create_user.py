"""`manage.py create_user`"""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.audit import changes_of
from accounts.models import Membership, User
from accounts.permissions import Right, groups_of, may
from tests.accounts.conftest import Tenant

pytestmark = pytest.mark.django_db


def create(*arguments: str) -> tuple[str, str]:
    """What it writes to standard output, and what it says."""
    out, err = StringIO(), StringIO()
    call_command("create_user", *arguments, stdout=out, stderr=err)
    return out.getvalue().removesuffix("\n"), err.getvalue()


def signs_in(email: str, password: str) -> bool:
    answer = Client().post("/accounts/login/", {"login": email, "password": password})
    return answer.status_code == 302


def test_staff_signs_in_with_the_password_that_it_prints() -> None:
    password, says = create("Ada@Example.com", "--staff", "finance", "--name", "Ada")
    assert says.startswith("ada@example.com is staff of the group finance.")
    assert signs_in("ada@example.com", password)
    user = User.objects.get()
    assert may(user, Right.MOVE_MONEY)
    assert not may(user, Right.MANAGE_USERS)
    assert changes_of(user)[0].source == "command"


def test_a_member_of_two_customers_has_one_password(acme: Tenant, stranger: Tenant) -> None:
    password, _ = create("lena@example.com", "--customer", acme.customer.public_id, "--role", "billing")
    again, says = create("lena@example.com", "--customer", stranger.customer.public_id)
    assert (again, "keeps the password" in says) == ("", True)
    assert signs_in("lena@example.com", password)
    roles = Membership.objects.values_list("customer_id", "role")
    assert set(roles) == {(acme.customer.pk, "billing"), (stranger.customer.pk, "owner")}


def test_a_new_password_ends_the_old_one_and_changes_no_right() -> None:
    old, _ = create("ada@example.com", "--staff", "ops")
    new, _ = create("ada@example.com", "--new-password")
    assert new != old
    assert not signs_in("ada@example.com", old)
    assert signs_in("ada@example.com", new)
    assert groups_of(User.objects.get()) == {"ops"}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("ada@example.com",),
        ("ada", "--staff", "ops"),
        ("ada@example.com", "--staff", "king"),
        ("ada@example.com", "--customer", "nobody"),
        ("ada@example.com", "--staff", "ops", "--customer", "x"),
        ("ada@example.com", "--staff", "ops", "--role", "owner"),
        ("ada@example.com", "--new-password"),
    ],
)
def test_wrong_arguments_are_one_sentence_and_make_nobody(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as raised:
        create(*arguments)
    assert "\n" not in str(raised.value)
    assert not User.objects.exists()
