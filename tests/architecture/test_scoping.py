"""Endpoints and pages ask for tenants' rows through `accounts.scoping.visible` only."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import apps
from django.urls import get_resolver
from rest_framework.generics import GenericAPIView

from accounts.scoping import tenant_column
from tests.architecture.sources import Source, app_sources

FILTER = "visible"
_MANAGERS = {"objects", "_default_manager", "_base_manager"}


def test_endpoints_and_pages_query_tenants_through_the_filter() -> None:
    tenants = tenant_names()
    found = [at for source in app_sources() if is_door(source.path) for at in unfiltered(source, tenants)]
    assert not found, "write visible(Model, viewer_of(request)) instead"


def test_no_resource_answers_tenants_rows_as_they_are() -> None:
    def is_open(view: Any) -> bool:
        model = getattr(getattr(view, "queryset", None), "model", None)
        is_tenants = model is not None and tenant_column(model) is not None
        return is_tenants and view.get_queryset is GenericAPIView.get_queryset

    views = list(view_classes(get_resolver().url_patterns))
    assert len(views) > 20
    assert not [view.__name__ for view in views if is_open(view)]


def test_the_check_knows_the_tenants() -> None:
    names = tenant_names()
    assert {"Customer", "Workspace", "BillingEntity", "UsageEvent", "Charge", "Subscription"} <= names
    assert not {"Meter", "Plan", "IntegrationKey", "Currency", "User"} & names


def test_the_check_sees_a_query_past_the_filter() -> None:
    bad = (
        "Charge.objects.all()",
        "get_object_or_404(Charge, pk=1)",
        "Charge._default_manager.get(pk=1)",
        "models.Charge.objects.get(pk=1)",
        "queryset = Charge.objects",
        "Charge.objects.filter(pk__in=visible(Charge, viewer))",
        "class R:\n    def get_queryset(self): return Charge.objects.all()",
    )
    good = (
        "visible(Charge, viewer)",
        "visible(Charge.objects.using('x').filter(a=1), viewer)",
        "visible(Charge, viewer).filter(workspace__in=visible(Workspace, viewer))",
        "class R:\n    queryset = Charge.objects.all()",
        "Charge.Status.OPEN",
        "Meter.objects.all()",
    )
    names = {"Charge", "Workspace"}
    assert all(unfiltered(_source(text), names) for text in bad)
    assert not any(unfiltered(_source(text), names) for text in good)


def is_door(path: str) -> bool:
    """Whether the file answers requests."""
    return "/api/" in path or "/views/" in path or path.endswith("/views.py")


def view_classes(patterns: Iterable[Any]) -> Iterator[Any]:
    """The classes of the views behind all addresses."""
    for pattern in patterns:
        if hasattr(pattern, "url_patterns"):
            yield from view_classes(pattern.url_patterns)
        elif (view := getattr(pattern.callback, "cls", None)) is not None:
            yield view


def tenant_names() -> set[str]:
    """The names of the models whose rows belong to customers."""
    return {model.__name__ for model in apps.get_models() if tenant_column(model) is not None}


def unfiltered(source: Source, tenants: set[str]) -> list[str]:
    """Where `source` gets at rows of `tenants` outside of a call of the filter."""
    allowed = {
        id(inner)
        for node in ast.walk(source.tree)
        for part in (_filtered(node), _overridden(node))
        if part is not None
        for inner in ast.walk(part)
    }
    return [
        source.at(node) for node in ast.walk(source.tree) if id(node) not in allowed and _gets(node, tenants)
    ]


def _filtered(node: ast.AST) -> ast.AST | None:
    """What a call of the filter is about."""
    is_filter = isinstance(node, ast.Call) and _name(node.func) == FILTER
    return node.args[0] if isinstance(node, ast.Call) and is_filter and node.args else None


def _overridden(node: ast.AST) -> ast.AST | None:
    """The `queryset = ...` of a resource; that it is not answered as it is, another test sees to."""
    if not isinstance(node, ast.ClassDef):
        return None
    assigned = (each for each in node.body if isinstance(each, ast.Assign))
    return next((each for each in assigned if _name(each.targets[0]) == "queryset"), None)


def _gets(node: ast.AST, tenants: set[str]) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in _MANAGERS and _name(node.value) in tenants
    if isinstance(node, ast.Call) and _name(node.func) in {"get_object_or_404", "get_list_or_404"}:
        return bool(node.args) and _name(node.args[0]) in tenants
    return False


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _source(text: str) -> Source:
    return Source("billing/views.py", text, ast.parse(text))
