"""The API's addresses of who calls and who pays."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from accounts.api.billing_entities import BillingEntityResource
from accounts.api.currencies import CurrencyResource
from accounts.api.customers import CustomerResource
from accounts.api.keys import ApiKeyResource, IntegrationKeyResource
from accounts.api.organizations import OrganizationResource
from accounts.api.payer_assignments import PayerAssignmentResource
from accounts.api.test_clock import TestClockView
from accounts.api.workspaces import WorkspaceResource

router = SimpleRouter(trailing_slash=False)
router.register("customers", CustomerResource, "customer")
router.register("organizations", OrganizationResource, "organization")
router.register("workspaces", WorkspaceResource, "workspace")
router.register("billing-entities", BillingEntityResource, "billing_entity")
router.register("payer-assignments", PayerAssignmentResource, "payer_assignment")
router.register("api-keys", ApiKeyResource, "api_key")
router.register("integration-keys", IntegrationKeyResource, "integration_key")
router.register("currencies", CurrencyResource, "currency")

urlpatterns = [path("test-clock", TestClockView.as_view()), *router.urls]
