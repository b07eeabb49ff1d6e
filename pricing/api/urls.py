"""The API's addresses of pricing."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from pricing.api.plans import PlanResource, PlanVersionResource
from pricing.api.preview import PreviewView

router = SimpleRouter(trailing_slash=False)
router.register("plans", PlanResource, "plan")
router.register("plan-versions", PlanVersionResource, "plan_version")

urlpatterns = [path("pricing/preview", PreviewView.as_view(), name="pricing_preview"), *router.urls]
