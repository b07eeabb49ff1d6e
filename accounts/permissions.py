"""What people may do: one table for the operator's staff by group, one for members of customers by role.

Pages ask `may` to show or hide, verbs behind pages ask `require`. (Keys of programs have scopes instead.)
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from django.contrib.auth.models import AnonymousUser

from accounts.models import Membership, User
from core.errors import PermissionDenied

ADMIN, FINANCE, OPS, READ_ONLY = STAFF_GROUPS = ("admin", "finance", "ops", "read_only")
"""The names of staff's groups, created by a migration."""


class Right(StrEnum):
    """Something that a person may be allowed to do."""

    VIEW = "view"
    MANAGE_CUSTOMERS = "manage_customers"
    MANAGE_API_KEYS = "manage_api_keys"
    MANAGE_METERS = "manage_meters"
    RESOLVE_QUARANTINE = "resolve_quarantine"
    MANAGE_PRICES = "manage_prices"
    MANAGE_COSTS = "manage_costs"
    MOVE_MONEY = "move_money"
    MANAGE_LIMITS = "manage_limits"
    ISSUE_DOCUMENTS = "issue_documents"
    MANAGE_INTEGRATIONS = "manage_integrations"
    MANAGE_USERS = "manage_users"
    RUN_JOBS = "run_jobs"
    VIEW_AUDIT = "view_audit"
    TOP_UP = "top_up"
    MANAGE_MEMBERS = "manage_members"


_EVERYBODY: Final = frozenset(STAFF_GROUPS)

OF_STAFF: Final[Mapping[Right, frozenset[str]]] = {
    Right.VIEW: _EVERYBODY,
    Right.VIEW_AUDIT: frozenset({ADMIN, FINANCE, OPS}),
    Right.MANAGE_CUSTOMERS: frozenset({ADMIN, FINANCE, OPS}),
    Right.MANAGE_API_KEYS: frozenset({ADMIN, OPS}),
    Right.MANAGE_METERS: frozenset({ADMIN, OPS}),
    Right.RESOLVE_QUARANTINE: frozenset({ADMIN, FINANCE, OPS}),
    Right.MANAGE_PRICES: frozenset({ADMIN, FINANCE}),
    Right.MANAGE_COSTS: frozenset({ADMIN, FINANCE}),
    Right.MOVE_MONEY: frozenset({ADMIN, FINANCE}),
    Right.TOP_UP: frozenset({ADMIN, FINANCE}),
    Right.ISSUE_DOCUMENTS: frozenset({ADMIN, FINANCE}),
    Right.MANAGE_LIMITS: frozenset({ADMIN, FINANCE, OPS}),
    Right.RUN_JOBS: frozenset({ADMIN, OPS}),
    Right.MANAGE_INTEGRATIONS: frozenset({ADMIN}),
    Right.MANAGE_MEMBERS: frozenset({ADMIN, OPS}),
    Right.MANAGE_USERS: frozenset({ADMIN}),
}
"""Right -> the groups of staff that have it."""

_Role = Membership.Role

OF_MEMBERS: Final[Mapping[Right, frozenset[str]]] = {
    Right.VIEW: frozenset({_Role.OWNER, _Role.BILLING, _Role.MEMBER}),
    Right.TOP_UP: frozenset({_Role.OWNER, _Role.BILLING}),
    Right.MANAGE_LIMITS: frozenset({_Role.OWNER, _Role.BILLING}),
    Right.MANAGE_API_KEYS: frozenset({_Role.OWNER}),
    Right.MANAGE_MEMBERS: frozenset({_Role.OWNER}),
}
"""Right -> the roles that have it, each in its own customer only; a right not named here is staff's alone."""


def may(user: User | AnonymousUser, right: Right, customer_id: int | None = None) -> bool:
    """Whether `user` has `right`: staff everywhere, a member in the customer `customer_id`."""
    if not isinstance(user, User) or not user.is_active:
        return False
    if user.is_staff:
        return user.is_superuser or bool(groups_of(user) & OF_STAFF[right])
    if customer_id is None:
        return False
    return roles_of(user).get(customer_id) in OF_MEMBERS.get(right, frozenset())


def require(user: User | AnonymousUser, right: Right, customer_id: int | None = None) -> None:
    """Raise PermissionDenied unless `may`."""
    if not may(user, right, customer_id):
        raise PermissionDenied(
            "missing_right", f"Your role does not let you {right.value.replace('_', ' ')}."
        )


def groups_of(user: User) -> frozenset[str]:
    """The names of the user's groups, read once per user object."""
    kept: frozenset[str] | None = user.__dict__.get("_group_names")
    if kept is None:
        kept = frozenset(user.groups.values_list("name", flat=True))
        user.__dict__["_group_names"] = kept
    return kept


def roles_of(user: User) -> Mapping[int, str]:
    """Customer id -> role of the user's memberships, read once per user object."""
    kept: Mapping[int, str] | None = user.__dict__.get("_roles")
    if kept is None:
        kept = dict(user.memberships.values_list("customer_id", "role"))
        user.__dict__["_roles"] = kept
    return kept
