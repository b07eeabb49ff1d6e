"""Every address, by app."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from core.api.health import healthz, readyz

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz),
    path("readyz", readyz),
    path("accounts/", include("allauth.account.urls")),
]
