"""The navigation of the pages. An entry shows as soon as its address has that name."""

from __future__ import annotations

from config.environment import env
from core.pages.shell import Group, Item

TOLLGATE_ENVIRONMENT: str = env.str("TOLLGATE_ENVIRONMENT", "sandbox")
"""What a banner on every page calls this installation; `production` shows none."""

TOLLGATE_DEMO: bool = env.bool("TOLLGATE_DEMO", False)
"""Whether the demo's pages and the style guide are shown."""

STAFF_NAVIGATION = (
    Group("Overview", (Item("Home", "home", "house", "h"), Item("Demo", "demo", "flask-conical", "d"))),
    Group(
        "Customers",
        (
            Item("Customers", "customers", "building-2", "c"),
            Item("Workspaces", "workspaces", "layout-grid"),
            Item("API keys", "api_keys", "key-round"),
        ),
    ),
    Group(
        "Usage",
        (
            Item("Events", "events", "activity", "e"),
            Item("Traces", "traces", "waypoints", "t"),
            Item("Meters", "meters", "gauge"),
            Item("Quarantine", "quarantine", "shield-alert", "q"),
            Item("Gateway", "gateway_page", "door-open"),
            Item("Unmatched", "unmatched", "circle-question-mark", "u"),
        ),
    ),
    Group(
        "Pricing",
        (
            Item("Plans", "plans", "tags", "p"),
            Item("Subscriptions", "subscriptions", "repeat", "s"),
            Item("Price changes", "price_changes", "calendar-clock", "r"),
            Item("Simulations", "simulations", "flask-round", "i"),
            Item("Compare metrics", "compare_metrics", "chart-scatter"),
        ),
    ),
    Group(
        "Money",
        (
            Item("Usage charges", "charges", "receipt-text", "m"),
            Item("Holds", "holds", "hourglass"),
            Item("Limits", "limits", "circle-gauge"),
            Item("Denials", "denials", "ban"),
            Item("Wallets", "wallets", "wallet", "w"),
            Item("Overspend", "overspends", "trending-down"),
            Item("Margins", "margins", "percent"),
            Item("Vendor bills", "vendor_bills", "receipt"),
            Item("Margin alerts", "margin_alerts", "bell"),
        ),
    ),
    Group(
        "Proof",
        (
            Item("Reconciliation", "reconciliation", "scale", "o"),
            Item("Gateway counts", "gateway_counts", "server"),
            Item("Provider payments", "provider_payments", "credit-card"),
            Item("Seals", "seals", "stamp"),
            Item("Erasures", "erasures", "eraser"),
        ),
    ),
    Group(
        "System",
        (
            Item("Jobs", "jobs", "timer", "j"),
            Item("Integration keys", "integration_keys", "plug"),
            Item("Users", "users", "users"),
            Item("Audit trail", "audit", "scroll-text", "a"),
            Item("Style guide", "styleguide", "swatch-book"),
        ),
    ),
)

MEMBER_NAVIGATION = (
    Group(
        "Account",
        (
            Item("Overview", "home", "house", "h"),
            Item("Usage", "member_usage", "activity", "u"),
            Item("Price changes", "member_price_change", "calendar-clock", "r"),
            Item("Limits", "member_limits", "circle-gauge", "l"),
            Item("Refused calls", "member_denials", "ban", "f"),
        ),
    ),
)
