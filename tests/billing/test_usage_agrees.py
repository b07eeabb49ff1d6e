"""What buckets say and what events say is the same, for every aggregation and clock."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.charging import Mode
from core.instants import instant_text
from tests.api_client import Api
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
AGGREGATIONS = ("count", "sum", "min", "max", "avg", "unique")
ZONES = ("UTC", "Europe/Berlin", "Asia/Kolkata", "America/Havana", "Pacific/Chatham")
_march = standing_at(NOW)


def ask(api: Api, tenant: Tenant, **params: str) -> dict[str, Any]:
    window = {"from": "2026-03-02", "to": "2026-03-31", "group_by": "model"}
    answer = api.get("/v1/usage", workspace=str(tenant.workspace.external_id), **(window | params))
    assert answer.status_code == 200, answer.content
    return {(one["meter"], one["group"]["model"]): one for one in answer.json()["data"]}  # type: ignore[misc]


@pytest.mark.parametrize("zone", ZONES)
def test_buckets_and_events_agree(zone: str) -> None:
    for aggregation in AGGREGATIONS:
        path = None if aggregation == "count" else "tokens"
        make_meter(aggregation, aggregation=aggregation, property_path=path, group_by=["model"])
    component = {"key": "u", "meter": "unique", "model": "per_unit", "unit_price": "1"}
    tenant = make_tenant(make_version([component]), time_zone=zone)
    dice = random.Random(zone)
    for number in range(60):
        moment = NOW - timedelta(minutes=dice.randrange(-60, 34 * 24 * 60))
        tokens = dice.choice([1, 2, 3, "4.5", Decimal("0.25"), -1, "none", None])
        properties = {"tokens": tokens, "model": dice.choice(["m", "n", None])}
        charge(
            tenant,
            f"k{number}",
            Mode.REPORT,
            user="maria",
            properties=properties,
            occurred_at=instant_text(moment),
        )
    api = Api("read")
    for granularity in ("hour", "day", "week", "month"):
        buckets = ask(api, tenant, granularity=granularity)
        events = ask(api, tenant, granularity=granularity, user="maria")
        assert buckets.keys() == events.keys()
        for key, one in buckets.items():
            # A unique value counts once in its period, in the hour that was recorded first.
            if key[0] != "unique":
                assert one == events[key]
    month = {"from": "2026-03-01", "to": "2026-04-01"}
    seen, told = ask(api, tenant, **month), ask(api, tenant, **month, user="maria")
    for key in seen:
        if key[0] == "unique":
            assert Decimal(seen[key]["total"]) == Decimal(told[key]["total"])
