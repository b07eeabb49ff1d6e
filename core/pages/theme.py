"""The theme switch: a form post that works without script; by the cookie the server draws without a flash."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from core.pages.shell import THEME_COOKIE, THEMES

_YEAR = 365 * 24 * 3600


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Keep the theme chosen and go back to the page; a word that is no theme means auto."""
    chosen = request.POST.get("theme", "")
    response = HttpResponseRedirect(_way_back(request))
    response.set_cookie(
        THEME_COOKIE,
        chosen if chosen in THEMES else "auto",
        max_age=_YEAR,
        samesite="Lax",
        httponly=True,
        secure=request.is_secure(),
    )
    return response


def _way_back(request: HttpRequest) -> str:
    back = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure())
    return back if is_ours else "/"
