"""The addresses of pages on prices, by noun."""

from __future__ import annotations

from django.urls import path

from pricing.views import plans, publishing, subscriptions, versions

urlpatterns = [
    path("plans", plans.plans, name="plans"),
    path("plans/<str:reference>", plans.plan, name="plan"),
    path("plan-versions/compare", versions.plan_diff, name="plan_diff"),
    path("plan-versions/<str:reference>", versions.version, name="plan_version"),
    path("plan-versions/<str:reference>/file", versions.version_file, name="version_file"),
    path("plan-versions/<str:reference>/publish", publishing.publish, name="version_publish"),
    path("subscriptions", subscriptions.subscriptions, name="subscriptions"),
]
