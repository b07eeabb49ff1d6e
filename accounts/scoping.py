"""The one tenant filter: what a viewer may see. Every query of the API and of pages for tenants' rows
goes through `visible`; an architecture test sees to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeVar

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from rest_framework.request import Request

from accounts.credentials import ApiKeyRecord, IntegrationKeyRecord
from accounts.models import BillingEntity, Customer, Organization, PayerAssignment, User, Workspace
from accounts.permissions import roles_of

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose eyes a query has. Without anything set it sees nothing."""

    sees_all: bool = False
    customer_ids: frozenset[int] = frozenset()
    workspace_id: int | None = None


OPERATOR: Final = Viewer(sees_all=True)
"""Staff, integration keys, commands and tasks."""


def viewer_of(request: HttpRequest | Request) -> Viewer:
    """Who looks: by the request's key in the API, by its user in pages."""
    credential = getattr(request, "auth", None)
    if isinstance(credential, IntegrationKeyRecord):
        return OPERATOR
    if isinstance(credential, ApiKeyRecord):
        return Viewer(False, frozenset({credential.customer_id}), credential.workspace_id)
    user = getattr(request, "user", None)
    return viewer_for(user) if isinstance(user, User) else Viewer()


def viewer_for(user: User) -> Viewer:
    """A person's view: staff see all, members their customers."""
    if not user.is_active:
        return Viewer()
    return OPERATOR if user.is_staff else Viewer(False, frozenset(roles_of(user)))


def visible(rows: type[M] | QuerySet[M], viewer: Viewer) -> QuerySet[M]:
    """The rows of `rows` that `viewer` may see; what belongs to no customer only the operator sees, unless
    the model says that such rows are for all (`COMMON_WITHOUT_CUSTOMER`). Of a model that is `ONLY_OPERATORS`
    nobody else sees rows that name a customer either.

    A viewer with a workspace (a customer's own key) sees that workspace, what hangs on it, and its payers.
    """
    queryset: QuerySet[M] = rows if isinstance(rows, QuerySet) else rows._default_manager.all()
    if viewer.sees_all:
        return queryset
    if not viewer.customer_ids or getattr(queryset.model, "ONLY_OPERATORS", False):
        return queryset.none()
    column = tenant_column(queryset.model)
    if column is None:
        return queryset.none()
    is_theirs = Q(**{f"{column}__in": viewer.customer_ids})
    if getattr(queryset.model, "COMMON_WITHOUT_CUSTOMER", False):
        return queryset.filter(is_theirs | Q(**{column: None}))
    queryset = queryset.filter(is_theirs)
    if viewer.workspace_id is None:
        return queryset
    return queryset.filter(_inside_workspace(queryset.model, viewer.workspace_id))


def tenant_column(model: type[Model]) -> str | None:
    """The column that says whose a row of `model` is; None for what all customers share."""
    if model is Customer:
        return "pk"
    names = {attname for field in model._meta.concrete_fields if (attname := field.attname)}
    return "customer_id" if "customer_id" in names else None


def _inside_workspace(model: type[Model], workspace_id: int) -> Q:
    if model is Customer:
        return Q()
    if model is Workspace:
        return Q(pk=workspace_id)
    if model is Organization:
        return Q(workspaces=workspace_id)
    names: set[Any] = {field.attname for field in model._meta.concrete_fields}
    if "workspace_id" in names:
        return Q(workspace_id=workspace_id)
    payers = PayerAssignment.objects.filter(workspace_id=workspace_id).values("billing_entity_id")
    if model is BillingEntity:
        return Q(pk__in=payers)
    return Q(billing_entity_id__in=payers) if "billing_entity_id" in names else Q(pk__in=[])
