"""The style guide's addresses."""

from __future__ import annotations

from django.urls import path

from core.styleguide.views import styleguide, styleguide_confirm, styleguide_list

urlpatterns = [
    path("styleguide", styleguide, name="styleguide"),
    path("styleguide/list", styleguide_list, name="styleguide_list"),
    path("styleguide/confirm", styleguide_confirm, name="styleguide_confirm"),
]
