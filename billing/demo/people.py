"""Who may sign in to the demo, and the key that calls it. The secrets are new in every installation."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from accounts.integration_keys import issue_integration_key
from accounts.models import Customer, Membership
from accounts.permissions import ADMIN, FINANCE, OPS, READ_ONLY
from accounts.users import add_member, add_to_staff, create_user

_STAFF: Final = (
    ("staff", ADMIN, "ada@nimbus.example", "Ada Okafor"),
    ("finance", FINANCE, "felix@nimbus.example", "Felix Baumann"),
    ("ops", OPS, "oona@nimbus.example", "Oona Lindqvist"),
    ("read only", READ_ONLY, "rey@nimbus.example", "Rey Castillo"),
)
_MEMBERS: Final = (
    ("customer", Membership.Role.OWNER, "lena@lumenlabs.example", "Lena Fischer"),
    ("member", Membership.Role.MEMBER, "milo@lumenlabs.example", "Milo Grant"),
)


@dataclass(frozen=True, slots=True)
class Login:
    """How somebody signs in. `title`: what the demo calls them."""

    title: str
    email: str
    password: str


def invite_people(customer: Customer) -> list[Login]:
    """One login for each group of staff, an owner and a member of `customer`, all with one new password."""
    password = f"demo-{secrets.token_hex(4)}"
    logins = []
    for title, group, email, name in _STAFF:
        add_to_staff(create_user(email=email, password=password, name=name), group)
        logins.append(Login(title, email, password))
    for title, role, email, name in _MEMBERS:
        add_member(create_user(email=email, password=password, name=name), customer, role)
        logins.append(Login(title, email, password))
    return logins


def issue_gateway_key() -> str:
    """The secret of the integration key that the demo's traffic and its curl line use."""
    scopes = ("events:write", "charges:write", "read", "admin")
    return issue_integration_key(name="Nimbus gateway (demo)", scopes=scopes).secret
