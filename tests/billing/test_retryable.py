"""`retryable` is what a refusal promises: whether the very same request may go through later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from billing.models import Denial
from core import clock
from core.instants import instant_text
from tests.billing.authorizing import NOW, PER_TOKEN, Desk, desks
from tests.billing.world import make_meter, make_version

pytestmark = pytest.mark.django_db
desk_type = pytest.fixture(desks)
PATHS = ("/v1/charges", "/v1/authorizations")


def top_up(desk: Desk, amount: str = "10") -> None:
    desk.api.make("/v1/top-ups", billing_entity=desk.tenant.payer.public_id, amount=amount)


def dated(desk: Desk, tokens: int = 300, **ago: float) -> dict[str, Any]:
    return desk.event(tokens, occurred_at=instant_text(desk.now - timedelta(**ago)))


def denial_of(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 402, answer.content
    denial: dict[str, Any] = answer.json()["denial"]
    return denial


@pytest.mark.parametrize("path", PATHS)
def test_no_later_credit_pays_for_what_happened_before_so_it_is_not_worth_another_try(
    desk_type: type[Desk], path: str, settings: Any
) -> None:
    settings.TOP_UP_URL = "https://pay.example/{billing_entity}"
    desk = desk_type("1")
    body = dated(desk, seconds=1)
    first = desk.api.post(path, body)
    assert (denial_of(first)["retryable"], denial_of(first)["top_up_url"]) == (False, None)
    top_up(desk)
    again = desk.api.post(path, body)
    assert (denial_of(again)["reason"], denial_of(again)["retryable"]) == ("insufficient_funds", False)
    assert again.json()["balance"]["available"] == "11"
    assert "occurred_at" in again.json()["error"]["message"]
    assert set(Denial.objects.values_list("retryable", flat=True)) == {False}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("ahead", [None, 0, 60])
def test_a_call_of_now_or_of_later_is_paid_by_the_next_top_up(
    desk_type: type[Desk], path: str, ahead: int | None, settings: Any
) -> None:
    settings.TOP_UP_URL = "https://pay.example/{billing_entity}"
    desk = desk_type("1")
    body = desk.event(300) if ahead is None else dated(desk, seconds=-ahead)
    refused = denial_of(desk.api.post(path, body))
    assert refused["retryable"] is True
    assert refused["top_up_url"] == f"https://pay.example/{desk.tenant.payer.public_id}"
    top_up(desk)
    assert desk.api.post(path, body).status_code == 201


@pytest.mark.parametrize("path", PATHS)
def test_what_holds_give_back_may_pay_for_what_happened_before(desk_type: type[Desk], path: str) -> None:
    desk = desk_type("4")
    desk.later(hours=1)
    hold = desk.hold(200)
    body = dated(desk, seconds=1)
    assert denial_of(desk.api.post(path, body))["retryable"] is True
    assert denial_of(desk.api.post(path, dated(desk, 401, seconds=1)))["retryable"] is False
    desk.void(hold)
    assert desk.api.post(path, body).status_code == 201


def test_credit_that_is_paid_back_pays_for_anything(desk_type: type[Desk]) -> None:
    desk = desk_type(None, settlement="wallet_then_invoice", credit_limit=1, overdraft=None)
    assert denial_of(desk.api.post("/v1/charges", dated(desk, seconds=1)))["retryable"] is True


def test_a_window_that_is_over_does_not_reset_for_a_call_that_is_dated_into_it(desk_type: type[Desk]) -> None:
    desk = desk_type("100")
    limit = {"workspace": desk.tenant.workspace.external_id, "amount": "5", "window": "day"}
    desk.api.make("/v1/spend-limits", **limit)
    assert desk.charge(400).status_code == 201
    assert denial_of(desk.charge(200))["retryable"] is True
    desk.later(days=1)
    late = denial_of(desk.api.post("/v1/charges", dated(desk, 200, days=1)))
    assert (late["reason"], late["resets_at"]) == ("spend_limit", "2026-01-16T00:00:00Z")
    assert late["retryable"] is False
    assert desk.charge(200).status_code == 201


def test_a_quota_that_is_over_does_not_come_back_to_a_call_that_is_dated_into_it(
    desk_type: type[Desk],
) -> None:
    clock.use(lambda: NOW)
    make_meter()
    quota = {"feature": "tokens", "type": "metered", "meter": "tokens", "limit": "5", "reset": "month"}
    desk = desk_type("100", version=make_version([PER_TOKEN], entitlements=[quota]))
    assert desk.charge(4).status_code == 201
    assert denial_of(desk.charge(2))["retryable"] is True
    desk.later(days=31)
    late = denial_of(desk.api.post("/v1/charges", dated(desk, 2, days=31)))
    assert (late["reason"], late["retryable"]) == ("entitlement", False)
    assert desk.charge(2).status_code == 201
