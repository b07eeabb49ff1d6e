"""The endpoints of price changes, with bodies that they take."""

from __future__ import annotations

from typing import Any

VERBS = ("pause", "resume", "cancel", "make-whole")
INSTANT = "2030-01-01T00:00:00Z"


def rollout_body(version: str, subscription: str, customer: str) -> dict[str, Any]:
    """A price change with everything that may be said of one."""
    return {
        "name": "n",
        "plan_version": version,
        "when": "at_renewal",
        "effective_at": INSTANT,
        "notice_at": "2029-01-01T00:00:00Z",
        "cohort": {
            "plans": [],
            "from_versions": [version],
            "customers": [customer],
            "subscriptions": [subscription],
            "min_revenue": "0",
            "max_revenue": "10",
        },
    }


def rollout_bodies(rollout: str, subscription: str) -> dict[tuple[str, str], dict[str, Any]]:
    """(method, path) -> a body, of what may be done to a price change."""
    at = f"/v1/rollouts/{rollout}"
    return {
        ("POST", f"{at}/announce"): {"reason": "r"},
        **{("POST", f"{at}/{verb}"): {} for verb in VERBS},
        ("POST", f"{at}/roll-back"): {"when": "on_date", "effective_at": INSTANT, "reason": "r"},
        ("POST", f"{at}/acknowledge"): {"subscription": subscription, "limits": {"tokens": "5"}, "by": "b"},
        ("POST", f"{at}/hold-out"): {"subscriptions": [subscription], "until": INSTANT},
        ("POST", f"{at}/except"): {"subscriptions": [subscription], "reason": "r"},
    }
