"""The API's addresses of what is owed."""

from __future__ import annotations

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from billing.api.authorizations import (
    AuthorizationsView,
    AuthorizationView,
    CaptureView,
    ExtendView,
    VoidView,
)
from billing.api.backfills import BackfillResource
from billing.api.balance import BalanceView, WalletResource
from billing.api.charge_costs import ChargeCostResource
from billing.api.charge_reads import ChargeView, RecomputeView
from billing.api.charges import ChargesView
from billing.api.closing_lines import ClosingLineResource
from billing.api.denials import DenialResource
from billing.api.entitlements import EntitlementsView
from billing.api.events import EventsView
from billing.api.gateway import GatewayPathView, GatewayView
from billing.api.leases import LeaseReportView, LeaseReturnView, LeasesView, LeaseView
from billing.api.limits import AlertResource, SpendLimitResource
from billing.api.margin_floors import MarginAlertResource, MarginFloorResource, MarginRuleResource
from billing.api.margins import CostsView, MarginsView
from billing.api.metrics import CompareMetricsView
from billing.api.operations import AdjustmentResource, GrantResource, TopUpResource
from billing.api.outside import GatewayCountResource, PaymentStatementResource, ProviderPaymentResource
from billing.api.proofs import ErasureResource, SealResource
from billing.api.reconciliation import DiscrepancyResource, ReconciliationRunResource
from billing.api.releases import ReleaseResource
from billing.api.repairs import RepairResource, RepairsOfResource
from billing.api.reversals import ReversalResource
from billing.api.rollout_members import RolloutMemberResource, UsageCeilingResource
from billing.api.rollouts import RolloutResource
from billing.api.simulations import SimulationResource, SimulationRowResource
from billing.api.subscriptions import SubscriptionResource
from billing.api.upcoming import UpcomingView
from billing.api.usage import UsageThatCountsView
from billing.api.vendor_bills import VendorBillResource, VendorBillShareResource

router = SimpleRouter(trailing_slash=False)
router.register("wallets", WalletResource, basename="wallet")
router.register("top-ups", TopUpResource, "top_up")
router.register("credit-grants", GrantResource, "credit_grant")
router.register("adjustments", AdjustmentResource, "adjustment")
router.register("denials", DenialResource, "denial")
router.register("closing-lines", ClosingLineResource, "closing-line")
router.register("reversals", ReversalResource, "reversal")
router.register("subscriptions", SubscriptionResource, "subscription")
router.register("rollouts", RolloutResource)
router.register("usage-ceilings", UsageCeilingResource, "usage_ceiling")
router.register("simulations", SimulationResource)
router.register("margin-floors", MarginFloorResource, "margin_floor")
router.register("margin-rules", MarginRuleResource)
router.register("margin-alerts", MarginAlertResource, "margin_alert")
router.register("vendor-bills", VendorBillResource)
router.register("gateway-counts", GatewayCountResource, "gateway_count")
router.register("payment-statements", PaymentStatementResource, "payment_statement")
router.register("provider-payments", ProviderPaymentResource, "provider_payment")
router.register("spend-limits", SpendLimitResource, "spend_limit")
router.register("seals", SealResource, "seal")
router.register("erasures", ErasureResource, "erasure")
router.register("alerts", AlertResource, "alert")
router.register("reconciliation-runs", ReconciliationRunResource, "reconciliation_run")
router.register("discrepancies", DiscrepancyResource, "discrepancy")

urlpatterns = [
    path("charges", ChargesView.as_view(), name="api_charges"),
    path("charges/<str:charge_id>", ChargeView.as_view(), name="charge_explained"),
    path(
        "charges/<str:charge_id>/costs",
        ChargeCostResource.as_view({"get": "list", "post": "create"}),
        name="charge_costs",
    ),
    path("charges/<str:charge_id>/recompute", RecomputeView.as_view(), name="charge_recomputed"),
    path("authorizations", AuthorizationsView.as_view(), name="authorizations"),
    path("authorizations/<str:authorization_id>", AuthorizationView.as_view(), name="authorization"),
    path("authorizations/<str:authorization_id>/capture", CaptureView.as_view(), name="capture"),
    path("authorizations/<str:authorization_id>/void", VoidView.as_view(), name="void"),
    path("authorizations/<str:authorization_id>/extend", ExtendView.as_view(), name="extend"),
    path(
        "discrepancies/<id>/repair",
        RepairResource.as_view({"get": "offers", "post": "repair"}),
        name="discrepancy_repair",
    ),
    path(
        "discrepancies/<id>/repairs", RepairsOfResource.as_view({"get": "list"}), name="discrepancy_repairs"
    ),
    path("entitlements", EntitlementsView.as_view(), name="entitlements"),
    path("leases", LeasesView.as_view(), name="leases"),
    path("leases/<str:lease_id>", LeaseView.as_view(), name="lease"),
    path("leases/<str:lease_id>/report", LeaseReportView.as_view(), name="lease_report"),
    path("leases/<str:lease_id>/return", LeaseReturnView.as_view(), name="lease_return"),
    path("events", EventsView.as_view(), name="api_events"),
    path("quarantine/<id>/release", ReleaseResource.as_view({"post": "release"}), name="release"),
    path("rollouts/<id>/members", RolloutMemberResource.as_view({"get": "list"}), name="rollout_members"),
    path("backfills", BackfillResource.as_view({"post": "create"}), name="backfills"),
    path("billing-entities/<str:reference>/upcoming", UpcomingView.as_view(), name="upcoming"),
    path("costs", CostsView.as_view(), name="costs"),
    path("gateway/authorize", GatewayView.as_view(), name="gateway"),
    re_path("^gateway/authorize/.*$", GatewayPathView.as_view(), name="gateway_path"),
    path("meters/compare", CompareMetricsView.as_view(), name="meters_compare"),
    path("margins", MarginsView.as_view(), name="api_margins"),
    path(
        "simulations/<simulation_id>/rows",
        SimulationRowResource.as_view({"get": "list"}),
        name="simulation_rows",
    ),
    path("usage", UsageThatCountsView.as_view(), name="usage"),
    path(
        "vendor-bills/<id>/shares",
        VendorBillShareResource.as_view({"get": "list"}),
        name="vendor_bill_shares",
    ),
    path("balance", BalanceView.as_view(), name="balance"),
    *router.urls,
]
