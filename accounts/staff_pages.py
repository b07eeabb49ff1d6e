"""Who may open a page of staff. What the operator's own people see, nobody else may know to exist."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase

from accounts.models import User
from accounts.permissions import Right, may
from core import errors

View = Callable[..., HttpResponseBase]


def staff_page(right: Right = Right.VIEW) -> Callable[[View], View]:
    """Let only staff with `right` in: others sign in first, a member finds no such page (404).

    Staff without the right get 403. What a verb or a report reports as not found or not allowed becomes
    the page of that status.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            user = request.user
            if not user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not isinstance(user, User) or not user.is_staff:
                raise Http404
            if not may(user, right):
                raise PermissionDenied
            try:
                return view(request, *args, **kwargs)
            except errors.NotFound as error:
                raise Http404(error.message) from error
            except errors.PermissionDenied as error:
                raise PermissionDenied(error.message) from error

        return guarded

    return decorate
