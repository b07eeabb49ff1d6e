"""What a credential may do, by method: reading asks for `read`, writing for `admin`, `admin` has all."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Protocol, cast

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from core.errors import AuthenticationFailed, MissingScope

if TYPE_CHECKING:
    from rest_framework.views import APIView  # rest_framework.views imports this module

READ = "read"
ADMIN = "admin"


class Credential(Protocol):
    """What an authentication class puts into `request.auth`."""

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes it was given."""
        ...


class HasScope(BasePermission):
    """The credential has the scope that the view names for the method.

    A view may set `scopes = {"POST": "charges:write"}`; a method it does not name asks for `read` when it is
    safe and for `admin` otherwise. Raises AuthenticationFailed or MissingScope with the scope's name.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Whether the request may go on."""
        if request.method == "OPTIONS":
            return True
        credential = cast("Credential | None", request.auth)
        if credential is None:
            raise AuthenticationFailed("not_authenticated", "Send `Authorization: Bearer tg_...`.")
        method = "GET" if request.method == "HEAD" else request.method
        default = READ if method in SAFE_METHODS else ADMIN
        check_scope(credential, getattr(view, "scopes", {}).get(method, default))
        return True


def check_scope(credential: Credential, needed: str) -> None:
    """Raise MissingScope unless the credential has the scope."""
    if not includes(credential.scopes, needed):
        raise missing_scope(needed)


def includes(scopes: Collection[str], needed: str) -> bool:
    """Whether a credential with these scopes may do what needs that one."""
    return needed in scopes or ADMIN in scopes


def missing_scope(needed: str) -> MissingScope:
    """What a credential without it is told."""
    return MissingScope("missing_scope", f"This key lacks the scope {needed}.")
