"""A period is closed, then usage comes: each policy, each way to pay, and what is taken back of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db
IN_MARCH = "2026-03-20T00:00:00Z"


def account(life: LifeStory, payer: str, kind: str) -> Decimal:
    return life.account(payer, kind)


@pytest.mark.parametrize("policy", ["delta_line", "note", "absorb"])
@pytest.mark.parametrize("is_invoiced", [False, True])
@pytest.mark.parametrize("is_reported", [False, True])
def test_late_usage_and_its_reversal(
    life: LifeStory, policy: str, is_invoiced: bool, is_reported: bool
) -> None:
    life.meter("tok", late_policy=policy)
    settlement: dict[str, Any] = {"settlement": "invoice_only", "overdraft": None} if is_invoiced else {}
    payer = life.payer(top_up="1000", **settlement)
    life.start(payer, life.plan(per_unit("tok", "2", minimum="31")))
    life.at(3, 10)
    life.charge(payer, tok=10)
    life.at(4, 3)
    life.run_due()
    side = "receivable" if is_invoiced else "wallet"

    def owed() -> Decimal:
        return account(life, payer, side).copy_negate() if is_invoiced else 1000 - account(life, payer, side)

    assert owed() == 31
    key = "late"
    body: dict[str, Any] = {"idempotency_key": key, "event": "call", "workspace": f"w-{payer}"}
    body |= {"occurred_at": IN_MARCH, "properties": {"tok": 20}}
    if is_reported:
        assert life.api.post("/v1/events", {"events": [body]}).json()["accepted"] == 1
    else:
        assert life.api.post("/v1/charges", body).status_code == 201
    # 30 units at 2 are 60; 31 were paid.
    absorbed = Decimal(29) if policy == "absorb" else Decimal(0)
    assert owed() == 60 - absorbed
    assert account(life, payer, "revenue") == 60
    assert account(life, payer, "leakage") == absorbed.copy_negate()
    (charge,) = life.api.get("/v1/charges", billing_entity=payer, limit="1").json()["data"]
    assert (charge["idempotency_key"], charge["amount"]) == (key, "29")
    back = life.api.make("/v1/reversals", event=key, reason="sent by mistake")
    assert back["amount"] == "-29"
    assert (owed(), account(life, payer, "leakage"), account(life, payer, "revenue")) == (31, 0, 31)


@pytest.mark.parametrize("policy", ["delta_line", "note", "absorb"])
def test_a_commitment_that_late_usage_reaches_gives_back_what_it_asked_for(
    life: LifeStory, policy: str
) -> None:
    life.meter("tok", late_policy=policy)
    payer = life.payer(top_up="1000")
    life.start(payer, life.plan(per_unit("tok", "1"), minimum_spend="100"))
    life.at(3, 10)
    life.charge(payer, tok=30)
    life.at(4, 3)
    life.run_due()
    assert life.settled(payer) == 900
    life.report(payer, {"tok": 50}, occurred_at=IN_MARCH)
    # 80 of usage and 20 to the commitment; what is absorbed does not count towards it.
    assert life.settled(payer) == 900
    life.report(payer, {"tok": 70}, occurred_at=IN_MARCH)
    assert life.settled(payer) == (900 if policy == "absorb" else 850)


def test_usage_in_the_time_of_grace_is_as_if_it_had_come_in_time(life: LifeStory) -> None:
    life.meter("tok", late_policy="absorb")
    payer = life.payer(top_up="1000")
    life.start(payer, life.plan(per_unit("tok", "1", minimum="31")))
    life.at(4, 1, 23)
    life.run_due()
    assert life.charge(payer, occurred_at=IN_MARCH, tok=20) == "20"
    life.at(4, 2)
    life.run_due()
    assert life.settled(payer) == 1000 - 31
