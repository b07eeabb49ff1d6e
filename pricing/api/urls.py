"""The API's addresses of pricing."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from pricing.api.coupons import CouponResource
from pricing.api.plans import PlanResource
from pricing.api.preview import PreviewView
from pricing.api.versions import PlanVersionResource

router = SimpleRouter(trailing_slash=False)
router.register("plans", PlanResource, "plan")
router.register("plan-versions", PlanVersionResource, "plan_version")
router.register("coupons", CouponResource, "coupon")

urlpatterns = [path("pricing/preview", PreviewView.as_view(), name="pricing_preview"), *router.urls]
