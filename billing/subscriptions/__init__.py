"""The verbs that start, change, pause and end subscriptions, and move the money that goes with it."""

from billing.subscriptions.canceling import cancel_subscription, withdraw_change
from billing.subscriptions.changing import change_subscription, pause_subscription, resume_subscription
from billing.subscriptions.due import apply_subscription_changes
from billing.subscriptions.starting import start_subscription

__all__ = [
    "apply_subscription_changes",
    "cancel_subscription",
    "change_subscription",
    "pause_subscription",
    "resume_subscription",
    "start_subscription",
    "withdraw_change",
]
