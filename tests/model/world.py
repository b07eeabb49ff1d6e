"""What the state machine plays in: meters and prices made once, and for every run a customer of its own, made
by the public API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from core import clock
from tests.api_client import Api
from tests.model.parties import Coupon, Payer, Version, Versions
from tests.model.prices import METERS, Component
from tests.model.system import System
from tests.model.wallet import Wallet

START = datetime(2026, 1, 1, tzinfo=UTC)
TIERS = [{"up_to": "10", "unit_price": "0.5"}, {"up_to": None, "unit_price": "0.2", "flat_fee": "1"}]
STEPS = [{"up_to": "3", "unit_price": "2", "flat_fee": "0.5"}, {"up_to": None, "unit_price": "1"}]
COMPONENTS: dict[str, list[Component]] = {
    "first": [
        {"key": "graduated", "meter": "tokens", "model": "graduated", "tiers": TIERS, "included": "2"},
        {"key": "peak", "meter": "peak", "model": "per_unit", "unit_price": "0.1"},
        {"key": "people", "meter": "people", "model": "per_unit", "unit_price": "0.7", "minimum": "3"},
        {"key": "images", "meter": "images", "model": "volume", "tiers": STEPS, "maximum": "9"},
    ],
    "second": [
        {"key": "graduated", "meter": "tokens", "model": "per_unit", "unit_price": "0.3", "minimum": "4"},
        {"key": "packs", "meter": "tokens", "model": "package", "package_size": "4", "package_price": "0.9"}
        | {"discount_percent": "10"},
        {"key": "images", "meter": "images", "model": "graduated", "tiers": STEPS, "minimum": "2"},
    ],
}
VERSIONS = {
    "first": Version(COMPONENTS["first"], quota=Decimal(9)),
    "second": Version(COMPONENTS["second"]),
}
COUPONS = {
    "fifth": Coupon(Decimal(20), None),
    "third": Coupon(Decimal("33.33"), None, frozenset({"graduated", "people"}), periods=2),
    "all": Coupon(Decimal(100), None, frozenset({"images"}), periods=1),
    "gift": Coupon(None, Decimal("2.5"), periods=2),
    "tokens": Coupon(None, Decimal(4), frozenset({"packs", "graduated", "peak"})),
}
QUOTA = {"feature": "pictures", "type": "metered", "meter": "images", "limit": "9", "reset": "month"}
ZONES = st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York"])
CURRENCIES = ("USD", "JPY", "KWD")
_numbers = count(1)


@dataclass
class Prices:
    """The ids of published versions, by name and currency."""

    versions: dict[tuple[str, str], str] = field(default_factory=dict)


def make_prices(api: Api) -> Prices:
    """The meters, and the same two versions in every currency; the first one has a quota of images.

    All of it is made at START: a meter counts what was recorded since it was frozen.
    """
    clock.use(lambda: START)
    for key, (event, aggregation, name) in METERS.items():
        body: dict[str, Any] = {"key": key, "name": key, "event": event, "aggregation": aggregation}
        api.make("/v1/meters", **body, **({"property": name} if name else {}))
    prices = Prices()
    for currency in CURRENCIES:
        for name, components in COMPONENTS.items():
            document = {"plan": f"{name}-{currency.lower()}", "name": name, "currency": currency}
            terms = {"interval": "month", "components": components}
            entitled = {"entitlements": [QUOTA]} if name == "first" else {}
            version = api.make("/v1/plan-versions", **document, **terms, **entitled)["id"]
            assert api.post(f"/v1/plan-versions/{version}/publish", {}).status_code == 200
            prices.versions[name, currency] = version
        for key, coupon in COUPONS.items():
            worth: Component = {"percent": str(coupon.percent)}
            if coupon.amount is not None:
                worth = {"amount": str(coupon.amount), "currency": currency}
            worth |= {} if coupon.periods is None else {"periods": coupon.periods}
            api.make(
                "/v1/coupons", key=f"{key}-{currency.lower()}", components=sorted(coupon.components), **worth
            )
    return prices


@dataclass
class World:
    """A customer as the API knows it (`ids`, by the model's names) and as the model does, and since when."""

    api: Api
    prices: Prices
    since: datetime
    system: System = field(default_factory=System)
    ids: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    number: int = field(default_factory=lambda: next(_numbers))

    def build(self, payers: Sequence[dict[str, Any]]) -> None:
        """Two divisions of one group, a workspace and a key in each, and the payers."""
        self.ids["customer"] = self.api.make("/v1/customers", name=f"Customer {self.number}")["id"]
        self._organization("group", None)
        for name in ("north", "south"):
            self._organization(name, "group")
        for at, terms in enumerate(payers):
            self._payer(f"payer-{at}", "north" if at % 2 == 0 else "south", **terms)
        for at, name in enumerate(("north", "south")):
            self._workspace(f"{name}-calls", name, f"payer-{at}")

    def _organization(self, name: str, parent: str | None) -> None:
        body = {"customer": self.ids["customer"], "external_id": f"{name}-{self.number}"}
        above = {} if parent is None else {"parent": self.ids[parent]}
        self.ids[name] = self.api.make("/v1/organizations", **body, **above)["id"]

    def _payer(self, name: str, division: str, **terms: Any) -> None:
        version = terms.pop("version")
        body = {"customer": self.ids["customer"], "name": name, "organization": self.ids[division]}
        self.ids[name] = self.api.make("/v1/billing-entities", **body, **terms)["id"]
        subscription = {"billing_entity": self.ids[name], "starts_at": self.since.isoformat()}
        pinned = self.prices.versions[version, terms["currency"]]
        made = self.api.make("/v1/subscriptions", **subscription, plan_version=pinned)
        self.ids[f"{name}/subscription"] = made["id"]
        wallet = Wallet(terms["settlement"], _bound(terms, "overdraft"), _bound(terms, "credit_limit"))
        versions: Versions = [(self.since, VERSIONS[version])]
        zone = ZoneInfo(terms["time_zone"])
        payer = Payer(name, terms["currency"], wallet, versions, f"{division} group", zone)
        self.system.payers[name] = payer

    def _workspace(self, name: str, division: str, payer: str) -> None:
        body = {"customer": self.ids["customer"], "name": name, "organization": self.ids[division]}
        space = self.api.make("/v1/workspaces", **body, external_id=f"{name}-{self.number}")
        self.ids[name] = space["id"]
        first = {"workspace": space["id"], "billing_entity": self.ids[payer], "starts_at": None}
        self.api.make("/v1/payer-assignments", **first)
        key = self.api.make("/v1/api-keys", workspace=space["id"], name="key")
        self.ids[f"{name}/key"], self.secrets[f"{name}/key"] = key["id"], key["secret"]
        self.system.workspaces[name] = f"{division} group"
        self.system.assignments[name] = {datetime.min.replace(tzinfo=UTC): self.system.payers[payer]}

    def patch(self, path: str, **fields: Any) -> Any:
        """PATCH."""
        headers = {"Authorization": f"Bearer {self.api.secret}"}
        text = json.dumps(fields)
        return self.api.client.patch(path, text, content_type="application/json", headers=headers)


def _bound(terms: dict[str, Any], name: str) -> Decimal | None:
    return None if terms.get(name) is None else Decimal(terms[name])
