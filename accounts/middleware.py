"""Notes who is signed in with every change that a page makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from accounts.models import User
from core.audit import Source, audited

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class AuditMiddleware:
    """Stands behind the authentication middleware; requests that only read cost nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        if request.method in _READING:
            return self.get_response(request)
        user = request.user
        actor = user.email if isinstance(user, User) else None
        with audited(Source.UI, actor, getattr(request, "id", None)):
            return self.get_response(request)
