"""Every address, by app."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from billing.api.scrape import MetricsView
from core.api.health import healthz, readyz

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", MetricsView.as_view(), name="prometheus"),
    path("", include("core.pages.urls")),
    path("", include("core.styleguide.urls")),
    path("accounts/", include("allauth.account.urls")),
    path("", include("billing.urls")),
    path("", include("pricing.urls")),
    path("v1/", include("core.api.urls")),
    path("v1/", include("accounts.api.urls")),
    path("v1/", include("billing.api.urls")),
    path("v1/", include("metering.api.urls")),
    path("v1/", include("pricing.api.urls")),
]

handler400 = "core.api.handlers.bad_request"
handler403 = "core.api.handlers.permission_denied"
handler404 = "core.api.handlers.page_not_found"
handler500 = "core.api.handlers.server_error"
