"""The demo's own page: buttons that call the API and show what changed. Only in a demo."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.permissions import Right
from accounts.staff_pages import staff_page
from billing.demo.acts import ACTS, is_loaded
from billing.demo.gateway import Gateway, Unreachable
from billing.demo.notes import curl_line, read_secret
from billing.demo.outcomes import Act, Outcome
from core.htmx import wants_fragment


@staff_page()
def demo(request: HttpRequest) -> HttpResponseBase:
    """The buttons."""
    return render(request, "billing/demo/index.html", _page(request))


@require_POST
@staff_page(Right.MOVE_MONEY)
def play(request: HttpRequest, key: str) -> HttpResponseBase:
    """Press one button."""
    act = next((act for act in ACTS if act.key == key), None)
    secret = read_secret()
    if act is None or secret is None or not settings.TOLLGATE_DEMO:
        raise Http404
    shown: dict[str, Any] = {"act": act}
    try:
        shown |= described(act.play(Gateway(settings.DEMO_API_URL, secret)))
    except Unreachable as error:
        shown["problem"] = str(error)
    if wants_fragment(request):
        return render(request, "billing/demo/_outcome.html", shown)
    return render(request, "billing/demo/index.html", _page(request, act, shown))


def described(outcome: Outcome) -> dict[str, Any]:
    """An outcome with the addresses of what it touched."""
    links = [(text, reverse(name, args=arguments)) for text, name, arguments in outcome.links]
    return {"outcome": outcome, "links": links}


def _page(
    request: HttpRequest, played: Act | None = None, shown: dict[str, Any] | None = None
) -> dict[str, Any]:
    if not settings.TOLLGATE_DEMO:
        raise Http404
    secret = read_secret()
    return {
        "acts": [{"act": act, **(shown or {})} if act is played else {"act": act} for act in ACTS],
        "is_ready": secret is not None and is_loaded(),
        "curl": curl_line(secret).replace("{url}", request.build_absolute_uri("/").rstrip("/"))
        if secret
        else "",
    }
