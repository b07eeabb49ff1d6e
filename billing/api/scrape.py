"""`/metrics`: figures for Prometheus, for those who may read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpResponse
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from billing.telemetry import calls
from billing.vitals import Vitals
from core.api.renderers import JSONRenderer
from core.telemetry import CONTENT_TYPE, exposition


class AnyKindNegotiation(BaseContentNegotiation):
    """Whatever the scraper would like: it gets text, or an error as JSON."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> None:
        """There is nothing to parse."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """JSON, which only errors need."""
        renderer = next(iter(renderers))
        return renderer, str(renderer.media_type)


class MetricsView(APIView):
    """Prometheus's text format; asks for an integration key with the scope `read`."""

    schema = None
    renderer_classes = [JSONRenderer]
    content_negotiation_class = AnyKindNegotiation
    http_method_names = ["get", "head"]

    def get(self, request: Request) -> HttpResponse:
        """The figures of all web processes of this machine, and what the database says."""
        calls.flush()
        return HttpResponse(exposition([Vitals()]), content_type=CONTENT_TYPE)
