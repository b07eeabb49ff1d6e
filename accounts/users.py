"""People: the operator's staff by group, members of customers by role."""

from __future__ import annotations

import secrets
from typing import Final

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction

from accounts.models import Customer, Membership, User
from accounts.permissions import STAFF_GROUPS
from core import clock
from core.database_errors import explain_constraint
from core.errors import Conflict, InvalidRequest

EMAIL_MAX: Final = 254
_MEMBER: Final = ("already_exists", "This person is a member already.", "user")
_EMAIL: Final = ("already_exists", "There is a user with this address already.", "email")

explain_constraint("one_membership", Conflict, *_MEMBER)
explain_constraint("accounts_user_email_key", Conflict, *_EMAIL)


def create_user(*, email: str, password: str | None = None, name: str = "") -> User:
    """A person who may sign in, without any right yet; without a password only a reset lets them in.

    Raises InvalidRequest for a bad address or a weak password, Conflict for an address that is taken.
    """
    email = _clean_email(email)
    user = User(email=email, first_name=name[:150])
    _check_password(password, user)
    with transaction.atomic():
        if User.objects.filter(email=email).exists():
            raise Conflict(*_EMAIL)
        return User.objects.create_user(email, password, first_name=name[:150])


def renew_password(user: User) -> str:
    """Give the user a new password that nobody could guess; the old one ends. It is told this once."""
    password = "-".join(secrets.token_hex(3) for _ in range(4))
    user.set_password(password)
    user.save(update_fields=["password"])
    return password


def add_to_staff(user: User, group: str) -> User:
    """Make `user` staff of one group (`admin`, `finance`, `ops`, `read_only`), instead of any other."""
    if group not in STAFF_GROUPS:
        raise InvalidRequest("invalid_choice", f"group must be one of {', '.join(STAFF_GROUPS)}.", "group")
    with transaction.atomic():
        user.is_staff = True
        user.save(update_fields=["is_staff"])
        user.groups.set([Group.objects.get_or_create(name=group)[0]])
        _forget_rights(user)
        return user


def add_member(user: User, customer: Customer, role: str) -> Membership:
    """Make `user` a member of the customer. Raises Conflict for one who is a member already."""
    role = _check_role(role)
    with transaction.atomic():
        if Membership.objects.filter(user=user, customer=customer).exists():
            raise Conflict(*_MEMBER)
        membership = Membership.objects.create(
            user=user, customer=customer, role=role, created_at=clock.now()
        )
        _forget_rights(user)
        return membership


def change_role(membership: Membership, role: str) -> Membership:
    """Give a member another role. Raises Conflict when the customer would be left without an owner."""
    role = _check_role(role)
    with transaction.atomic():
        _keep_an_owner(membership, role)
        membership.role = role
        membership.save(update_fields=["role"])
        return membership


def remove_member(membership: Membership) -> None:
    """End a membership. Raises Conflict when the customer would be left without an owner."""
    with transaction.atomic():
        _keep_an_owner(membership, None)
        membership.delete()


def _keep_an_owner(membership: Membership, role: str | None) -> None:
    """Locks the customer, so that two owners cannot leave at once."""
    Customer.objects.select_for_update().get(pk=membership.customer_id)
    owners = Membership.objects.filter(customer_id=membership.customer_id, role=Membership.Role.OWNER)
    if role != Membership.Role.OWNER and not owners.exclude(pk=membership.pk).exists() and owners.exists():
        raise Conflict("last_owner", "A customer keeps at least one owner.", "role")


def _check_role(role: str) -> str:
    if role not in Membership.Role.values:
        raise InvalidRequest(
            "invalid_choice", f"role must be one of {', '.join(Membership.Role.values)}.", "role"
        )
    return role


def _clean_email(email: str) -> str:
    email = email.strip().lower() if isinstance(email, str) else ""
    try:
        validate_email(email)
    except ValidationError as error:
        raise InvalidRequest("invalid_email", "This is not an e-mail address.", "email") from error
    if len(email) > EMAIL_MAX:
        raise InvalidRequest("too_long", f"An address has at most {EMAIL_MAX} characters.", "email")
    return email


def _check_password(password: str | None, user: User) -> None:
    if password is None:
        return
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidRequest("weak_password", error.messages[0], "password") from error


def _forget_rights(user: User) -> None:
    user.__dict__.pop("_roles", None)
    user.__dict__.pop("_group_names", None)
