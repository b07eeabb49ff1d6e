"""Errors carry what the API says of them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.client.scripted import DENIAL
from tollgate_client import (
    ApiError,
    AuthorizationExpired,
    Balance,
    Conflict,
    Denied,
    RateLimited,
    ServerError,
    TollgateError,
    Unavailable,
    Unreachable,
)
from tollgate_client.errors import error_of


def test_a_denial_says_who_refused_and_what_would_help() -> None:
    denied = error_of(402, DENIAL)
    assert isinstance(denied, Denied)
    assert (denied.reason, denied.level, denied.level_id) == ("insufficient_funds", "billing_entity", "be_1")
    assert (denied.limit, denied.used) == (Decimal(0), Decimal("1.5"))
    assert denied.resets_at == datetime(2026, 12, 1, tzinfo=UTC)
    assert denied.retryable
    assert denied.top_up_url is None
    assert denied.balance == Balance(Decimal("0.01"), Decimal("0.01"), Decimal(0))


def test_an_error_names_the_field_and_the_request() -> None:
    error = error_of(
        422,
        {"error": {"type": "invalid_request", "code": "mismatch", "message": "No.", "param": "workspace"}},
    )
    assert (error.status, error.type, error.code, error.param) == (
        422,
        "invalid_request",
        "mismatch",
        "workspace",
    )
    assert str(error) == "No. (422 mismatch, param workspace)"


def test_an_expired_authorization_is_a_conflict_of_its_own() -> None:
    error = error_of(409, {"error": {"code": "authorization_expired", "message": "Too late."}})
    assert isinstance(error, AuthorizationExpired)
    assert isinstance(error, Conflict)


@pytest.mark.parametrize("body", [None, [], "text", {}, {"error": None}, {"error": "text"}, {"denial": None}])
@pytest.mark.parametrize("status", [302, 400, 402, 404, 418, 429, 500, 599])
def test_any_body_with_any_status_is_an_error(status: int, body: Any) -> None:
    error = error_of(status, body)
    assert error.status == status
    assert error.code
    assert str(status) in str(error)


def test_no_verdict_is_told_apart_from_a_verdict() -> None:
    assert issubclass(ServerError, Unavailable)
    assert issubclass(RateLimited, Unavailable)
    assert issubclass(Unreachable, Unavailable)
    assert not issubclass(Denied, Unavailable)
    assert not issubclass(Unreachable, ApiError)
    assert issubclass(ApiError, TollgateError)
