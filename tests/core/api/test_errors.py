"""Every exception has the one envelope; nothing that a caller sends ends in a 500."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from django.core import exceptions as django_errors
from django.db import DataError, IntegrityError, OperationalError, connection, transaction
from django.http import Http404
from django.test import Client, RequestFactory
from rest_framework import exceptions as drf_errors
from rest_framework import serializers
from rest_framework.request import Request

from core.api import errors, handlers
from core.database_errors import explain_database_error
from core.errors import Conflict, InvalidRequest, PaymentRequired, TollgateError
from core.models import ConfigVersion, IdempotentRequest
from core.sql import driver, execute


def answer(exception: Exception) -> tuple[int, dict[str, Any]]:
    request = RequestFactory().get("/v1/x")
    request.id = "r-1"  # type: ignore[attr-defined]
    response = errors.handle_exception(exception, {"request": Request(request)})
    error = response.data["error"]
    assert set(error) == {"type", "code", "message", "param", "doc_url", "request_id"}
    assert error["request_id"] == "r-1"
    assert error["doc_url"] == f"http://testserver/v1/docs/errors#{error['type']}"
    assert error["message"]
    return response.status_code, error


@pytest.mark.parametrize(
    ("exception", "status", "kind", "code"),
    [
        (InvalidRequest("bad", "Bad."), 400, "invalid_request", "bad"),
        (PaymentRequired("insufficient_funds", "No."), 402, "payment_required", "insufficient_funds"),
        (Conflict("gone", "No."), 409, "conflict", "gone"),
        (Http404("secret detail"), 404, "not_found", "not_found"),
        (django_errors.PermissionDenied("secret"), 403, "permission", "permission_denied"),
        (django_errors.RequestDataTooBig(), 413, "too_large", "body_too_large"),
        (django_errors.TooManyFieldsSent(), 413, "too_large", "too_many_parameters"),
        (django_errors.DisallowedHost(), 400, "invalid_request", "invalid_host"),
        (django_errors.SuspiciousOperation(), 400, "invalid_request", "invalid_request"),
        (django_errors.BadRequest(), 400, "invalid_request", "invalid_request"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "no"), 400, "invalid_request", "invalid_utf8"),
        (drf_errors.NotAuthenticated(), 401, "authentication", "not_authenticated"),
        (drf_errors.AuthenticationFailed(), 401, "authentication", "invalid_key"),
        (drf_errors.PermissionDenied(), 403, "permission", "permission_denied"),
        (drf_errors.NotFound(), 404, "not_found", "not_found"),
        (drf_errors.MethodNotAllowed("PUT"), 405, "invalid_request", "method_not_allowed"),
        (drf_errors.NotAcceptable(), 406, "invalid_request", "not_acceptable"),
        (drf_errors.UnsupportedMediaType("x/y"), 415, "invalid_request", "unsupported_media_type"),
        (drf_errors.Throttled(3), 429, "rate_limited", "rate_limited"),
        (drf_errors.ParseError(), 400, "invalid_request", "invalid_request"),
        (RuntimeError("secret detail"), 500, "internal", "internal"),
    ],
)
def test_an_exception_has_its_type_and_status(
    exception: Exception, status: int, kind: str, code: str
) -> None:
    given, error = answer(exception)
    assert (given, error["type"], error["code"]) == (status, kind, code)
    assert "secret" not in error["message"]


class Tier(serializers.Serializer[Any]):
    up_to = serializers.IntegerField()


class Component(serializers.Serializer[Any]):
    tiers = Tier(many=True)
    tags = serializers.ListField(child=serializers.IntegerField(), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if len(attrs["tiers"]) > 2:
            raise serializers.ValidationError("Too many.", "too_many")
        return attrs


class Plan(serializers.Serializer[Any]):
    components = Component(many=True)


@pytest.mark.parametrize(
    ("payload", "param"),
    [
        ({"components": [{"tiers": [{"up_to": 1}, {"up_to": "x"}]}]}, "components[0].tiers[1].up_to"),
        ({"components": [{"tiers": [{"up_to": 1}]}, {}]}, "components[1].tiers"),
        ({"components": [{"tiers": 5}]}, "components[0].tiers"),
        ({"components": [5]}, "components[0]"),
        ({"components": [{"tiers": [{"up_to": 1}], "tags": [1, "x"]}]}, "components[0].tags[1]"),
        ({"components": [{"tiers": [{"up_to": 1}] * 3}]}, "components[0]"),
        ({}, "components"),
        ([], None),
    ],
)
def test_the_path_of_the_first_wrong_value_is_named(payload: object, param: str | None) -> None:
    serializer = Plan(data=payload)
    with pytest.raises(drf_errors.ValidationError) as raised:
        serializer.is_valid(raise_exception=True)
    status, error = answer(raised.value)
    assert (status, error["param"]) == (400, param)


def test_djangos_validation_errors_have_a_param_too() -> None:
    single = django_errors.ValidationError("Wrong.", "wrong")
    assert answer(single)[1]["code"] == "wrong"
    fields = django_errors.ValidationError({"name": [single]})
    assert answer(fields)[1]["param"] == "name"
    whole = django_errors.ValidationError({django_errors.NON_FIELD_ERRORS: [single]})
    assert answer(whole)[1]["param"] is None


# What the database refuses.


@pytest.mark.django_db
def test_a_duplicate_is_a_conflict() -> None:
    ConfigVersion.objects.get_or_create(id=1, defaults={"version": 1})  # a flush may have taken it
    with pytest.raises(IntegrityError) as raised, transaction.atomic():
        ConfigVersion.objects.create(id=1, version=9)
    status, error = answer(raised.value)
    assert (status, error["type"], error["code"]) == (409, "conflict", "already_exists")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("values", "status", "code"),
    [
        ({"operation": "x" * 65}, 400, "too_long"),
        ({"operation": "a\x00b"}, 400, "invalid_text"),
        ({"created_at": None}, 400, "required"),
        ({"status": 40_000}, 400, "number_out_of_range"),
    ],
)
def test_a_value_that_does_not_fit_is_an_invalid_request(
    values: dict[str, Any], status: int, code: str
) -> None:
    row = {"operation": "x", "key": "k", "payload": {}, "created_at": "2026-01-01T00:00:00Z"} | values
    with pytest.raises((DataError, IntegrityError, ValueError)) as raised, transaction.atomic():
        IdempotentRequest.objects.create(**row)
    assert answer(raised.value)[0] == status
    assert answer(raised.value)[1]["code"] == code


@pytest.mark.django_db
def test_a_failed_check_is_an_invalid_request() -> None:
    with pytest.raises(IntegrityError) as raised, transaction.atomic():
        ConfigVersion.objects.create(id=2)
    assert answer(raised.value)[1]["code"] == "invalid_value"


@pytest.mark.django_db
def test_our_own_mistakes_in_sql_stay_ours() -> None:
    with pytest.raises(Exception, match="nowhere") as raised, transaction.atomic():
        connection.cursor().execute("SELECT * FROM nowhere")
    status, error = answer(raised.value)
    assert (status, error["type"]) == (500, "internal")
    assert "nowhere" not in error["message"]


def test_a_database_that_is_away_is_a_503_to_be_tried_again() -> None:
    status, error = answer(OperationalError("connection refused"))
    assert (status, error["type"], error["code"]) == (503, "internal", "unavailable")
    assert explain_database_error(IntegrityError("?")) is None


# Where no view answers.


@pytest.mark.parametrize(
    "path", ["/v1/", "/v1/nothing", "/v1/customers/a/b/c", "/v1/%00", "/v1/customers/", "/v1/schema/x"]
)
def test_an_address_that_is_not_there_is_a_json_404_below_v1(path: str) -> None:
    response = Client(raise_request_exception=False).get(path)
    assert response.status_code == 404
    assert response["Content-Type"] == "application/json"
    assert response.json()["error"]["type"] == "not_found"


def test_djangos_own_handlers_speak_json_below_v1() -> None:
    request = RequestFactory().get("/v1/x")
    given = [
        handlers.bad_request(request, Exception()),
        handlers.permission_denied(request, Exception()),
        handlers.page_not_found(request, Exception()),
        handlers.server_error(request),
    ]
    assert [response.status_code for response in given] == [400, 403, 404, 500]
    assert [json.loads(response.content)["error"]["type"] for response in given] == [
        "invalid_request",
        "permission",
        "not_found",
        "internal",
    ]


def test_a_page_that_is_not_there_is_no_json() -> None:
    response = Client(raise_request_exception=False).get("/nothing")
    assert response.status_code == 404
    assert "json" not in response["Content-Type"]


def test_a_foreign_host_is_told_so_without_an_address_of_ours() -> None:
    request = RequestFactory().get("/v1/x", headers={"Host": "evil.example"})
    body = errors.error_body(TollgateError("internal", "x"), request)
    assert body["error"]["doc_url"] == "/v1/docs/errors#internal"


@pytest.mark.django_db
def test_an_error_of_the_drivers_own_cursor_is_told_like_djangos() -> None:
    with pytest.raises(psycopg.Error) as caught, transaction.atomic():
        execute(driver(), "SELECT (10::numeric ^ 70)::numeric(60, 18)")
    assert answer(caught.value)[0] == 400
    assert answer(psycopg.errors.DeadlockDetected("deadlock detected"))[1]["code"] == "busy"
    assert answer(psycopg.errors.AdminShutdown("terminating connection"))[0] == 503
    assert answer(psycopg.OperationalError("the connection is closed"))[0] == 503
