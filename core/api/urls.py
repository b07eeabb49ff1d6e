"""The addresses of the API's description."""

from __future__ import annotations

from django.urls import path

from core.api.docs import DocsView, SchemaView, error_docs

urlpatterns = [
    path("schema", SchemaView.as_view(), name="schema"),
    path("docs", DocsView.as_view(), name="docs"),
    path("docs/errors", error_docs, name="error_docs"),
]
