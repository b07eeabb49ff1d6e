"""The API's addresses of what is owed."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from billing.api.backfills import BackfillResource
from billing.api.balance import BalanceView, WalletResource
from billing.api.charge_costs import ChargeCostResource
from billing.api.charge_reads import ChargeView, RecomputeView
from billing.api.charges import ChargesView
from billing.api.closing_lines import ClosingLineResource
from billing.api.denials import DenialResource
from billing.api.events import EventsView
from billing.api.margin_floors import MarginAlertResource, MarginFloorResource, MarginRuleResource
from billing.api.margins import CostsView, MarginsView
from billing.api.metrics import CompareMetricsView
from billing.api.operations import AdjustmentResource, GrantResource, TopUpResource
from billing.api.releases import ReleaseResource
from billing.api.reversals import ReversalResource
from billing.api.rollout_members import RolloutMemberResource, UsageCeilingResource
from billing.api.rollouts import RolloutResource
from billing.api.simulations import SimulationResource, SimulationRowResource
from billing.api.subscriptions import SubscriptionResource
from billing.api.upcoming import UpcomingView
from billing.api.vendor_bills import VendorBillResource, VendorBillShareResource

router = SimpleRouter(trailing_slash=False)
router.register("wallets", WalletResource, basename="wallet")
router.register("top-ups", TopUpResource)
router.register("credit-grants", GrantResource)
router.register("adjustments", AdjustmentResource)
router.register("denials", DenialResource)
router.register("closing-lines", ClosingLineResource, "closing-line")
router.register("reversals", ReversalResource, "reversal")
router.register("subscriptions", SubscriptionResource, "subscription")
router.register("rollouts", RolloutResource)
router.register("usage-ceilings", UsageCeilingResource, "usage_ceiling")
router.register("simulations", SimulationResource)
router.register("margin-floors", MarginFloorResource, "margin_floor")
router.register("margin-rules", MarginRuleResource)
router.register("margin-alerts", MarginAlertResource)
router.register("vendor-bills", VendorBillResource)

urlpatterns = [
    path("charges", ChargesView.as_view(), name="api_charges"),
    path("charges/<str:charge_id>", ChargeView.as_view(), name="charge_explained"),
    path(
        "charges/<str:charge_id>/costs",
        ChargeCostResource.as_view({"get": "list", "post": "create"}),
        name="charge_costs",
    ),
    path("charges/<str:charge_id>/recompute", RecomputeView.as_view(), name="charge_recomputed"),
    path("events", EventsView.as_view(), name="api_events"),
    path("quarantine/<id>/release", ReleaseResource.as_view({"post": "release"}), name="release"),
    path("rollouts/<id>/members", RolloutMemberResource.as_view({"get": "list"}), name="rollout_members"),
    path("backfills", BackfillResource.as_view({"post": "create"}), name="backfills"),
    path("billing-entities/<str:reference>/upcoming", UpcomingView.as_view(), name="upcoming"),
    path("costs", CostsView.as_view(), name="costs"),
    path("meters/compare", CompareMetricsView.as_view(), name="meters_compare"),
    path("margins", MarginsView.as_view(), name="margins"),
    path(
        "simulations/<simulation_id>/rows",
        SimulationRowResource.as_view({"get": "list"}),
        name="simulation_rows",
    ),
    path(
        "vendor-bills/<id>/shares",
        VendorBillShareResource.as_view({"get": "list"}),
        name="vendor_bill_shares",
    ),
    path("balance", BalanceView.as_view(), name="balance"),
    *router.urls,
]
