"""At what price: plans, their versions, who is on them, and the counters of what was used."""

from pricing.models.ceilings import UsageCeiling
from pricing.models.changes import SubscriptionChange
from pricing.models.counters import Counter
from pricing.models.coupons import Coupon, CouponRedemption
from pricing.models.plans import Component, Plan, PlanVersion
from pricing.models.rollouts import Rollout, RolloutMember
from pricing.models.simulations import Simulation, SimulationRow
from pricing.models.subscriptions import BillingPeriod, Segment, Subscription

__all__ = [
    "BillingPeriod",
    "Component",
    "Counter",
    "Coupon",
    "CouponRedemption",
    "Plan",
    "PlanVersion",
    "Rollout",
    "RolloutMember",
    "Segment",
    "Simulation",
    "SimulationRow",
    "Subscription",
    "SubscriptionChange",
    "UsageCeiling",
]
