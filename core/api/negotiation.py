"""Which parser reads a body: by its content type; one without a content type is taken for JSON."""

from __future__ import annotations

from collections.abc import Iterable

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request


class JSONNegotiation(DefaultContentNegotiation):
    """DRF's negotiation without `?format=`, which here would be an unknown parameter."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """The parser for the request's content type; None makes DRF answer 415."""
        if not request.content_type:
            return next(iter(parsers))
        parser: BaseParser | None = super().select_parser(request, parsers)
        return parser
