"""The API's description: `/v1/schema`, and pages to read it."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.schema import ERROR_TYPES

POLICY: Final = (
    "default-src 'self'; style-src 'self'; script-src 'self'; img-src 'self' data:; object-src 'none';"
    " base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
ERROR_SENTENCES: Final = dict(
    zip(
        ERROR_TYPES,
        (
            "The request is malformed or does not fit what is stored; `param` says where. (400, 405, 422)",
            "No valid key came with the request. (401)",
            "The key is valid and lacks the right. (403)",
            "The request is right and the money is not there. `denial` says what was missing. (402)",
            "There is no such object, or none that this key may see. (404)",
            "The request contradicts something that has happened already. (409)",
            "The body or the batch is too large. (413)",
            "Too many requests at once; wait for as long as Retry-After says. (429)",
            "The fault is ours. Send the same request again, with the same key. (500, 503)",
        ),
        strict=True,
    )
)


class SchemaView(SpectacularAPIView):
    """OpenAPI 3.1; open to everybody, for it says nothing about anybody."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []


class DocsView(SpectacularSwaggerSplitView):
    """The description as pages to try it from."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []
    template_name = "core/api_docs.html"

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The page, or with `?script` its script."""
        response: Response = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        response["Content-Security-Policy"] = POLICY
        return response


def error_docs(request: HttpRequest) -> HttpResponse:
    """What the types of errors mean: where `doc_url` leads."""
    response = render(request, "core/api_errors.html", {"errors": ERROR_SENTENCES.items()})
    response["Content-Security-Policy"] = POLICY
    return response
