"""What a payer's versions grant, as the client reads it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

from tests.client.scripted import Script, answer
from tollgate_client import Entitlement

NOTHING = {"value": None, "limit": None, "meter": None, "reset": None, "used": None, "remaining": None}
ANSWER = {
    "billing_entity": "be_1",
    "as_of": "2026-03-15T12:00:00Z",
    "entitlements": [
        {**NOTHING, "feature": "sso", "type": "boolean", "value": True, "resets_at": None},
        {**NOTHING, "feature": "seats", "type": "limit", "limit": "25", "resets_at": None},
        {
            **NOTHING,
            "feature": "tokens_a_month",
            "type": "metered",
            "meter": "tokens",
            "reset": "month",
            "limit": "1000000",
            "used": "250000.5",
            "held": "0.5",
            "remaining": "749999",
            "resets_at": "2026-04-01T00:00:00Z",
        },
    ],
}
QUOTA = Entitlement(
    feature="tokens_a_month",
    type="metered",
    value=None,
    limit=Decimal(1_000_000),
    meter="tokens",
    reset="month",
    used=Decimal("250000.5"),
    held=Decimal("0.5"),
    remaining=Decimal(749_999),
    resets_at=datetime(2026, 4, 1, tzinfo=UTC),
)


def server() -> Script:
    return Script(otherwise=lambda _: answer(200, ANSWER))


def test_entitlements_come_by_feature() -> None:
    script = server()
    with script.client() as client:
        found = client.entitlements("w1")
        client.entitlements(billing_entity="be_1")
        client.entitlements()
    assert list(found) == ["sso", "seats", "tokens_a_month"]
    assert found["sso"].value is True
    assert found["seats"].limit == Decimal(25)
    assert found["tokens_a_month"] == QUOTA
    assert [str(request.url.query, "ascii") for request in script.requests] == [
        "workspace=w1",
        "billing_entity=be_1",
        "",
    ]


def test_asyncio_reads_the_same() -> None:
    async def run() -> dict[str, Entitlement]:
        async with server().async_client() as client:
            return await client.entitlements("w1")

    assert asyncio.run(run())["tokens_a_month"] == QUOTA
