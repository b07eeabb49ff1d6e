"""From the gateway's headers to the event that is asked about, and the secrets that come with it.

Headers come as WSGI hands them over: `HTTP_` names, bytes as Latin-1. Whatever stands in them ends in an
event or in a TollgateError.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from accounts.secrets import SECRET_MAX
from billing.gateway.quantities import with_measured
from core.errors import AuthenticationFailed, InvalidRequest
from core.jsonio import parse_json
from core.numbers import parse_quantity
from metering.catalogue import MeterCatalogue
from metering.events import EventInput, parse_event

INTEGRATION_KEY: Final = "HTTP_X_TOLLGATE_KEY"
EVENT: Final = "HTTP_X_TOLLGATE_EVENT"
QUANTITY: Final = "HTTP_X_TOLLGATE_QUANTITY"
PROPERTIES: Final = "HTTP_X_TOLLGATE_PROPERTIES"
USER: Final = "HTTP_X_TOLLGATE_USER"
FAIL_MODE: Final = "HTTP_X_TOLLGATE_FAIL"
FAIL_OPEN: Final = "fail_open"
"""The reason, and the source of the events, of calls that passed because nobody could decide."""
FAIL_MODES: Final = {"open": True, "closed": False}

Headers = Mapping[str, Any]


def integration_secret(headers: Headers) -> str:
    """The gateway's own key; raises AuthenticationFailed when there is none."""
    secret = headers.get(INTEGRATION_KEY, "").strip()
    if not secret:
        raise AuthenticationFailed("not_authenticated", "Send an integration key in X-Tollgate-Key.")
    return str(secret)


def read_event(headers: Headers, key: str, received_at: datetime, meters: MeterCatalogue) -> EventInput:
    """The call as an event under `key`; raises AuthenticationFailed for the caller, else InvalidRequest."""
    raw: dict[str, Any] = {"idempotency_key": key, "api_key": caller_mark(headers)}
    raw["event"] = event = _text(headers, EVENT, "X-Tollgate-Event")
    if user := _text(headers, USER, "X-Tollgate-User"):
        raw["user"] = user
    if properties := _properties(headers, event or "", meters):
        raw["properties"] = properties
    return parse_event(raw, received_at)


def caller_mark(headers: Headers) -> str:
    """The fingerprint of the caller's key, from X-Api-Key or else Authorization."""
    secret = headers.get("HTTP_X_API_KEY", "").strip() or headers.get("HTTP_AUTHORIZATION", "")
    return mark_of(secret)


def mark_of(presented: str) -> str:
    """The fingerprint of a key as callers present it: bare, `Bearer KEY`, or as the user of `Basic`.

    SHA-256 of its bytes, as `accounts.secrets.fingerprint` has it, and always that: an id of ours, or a
    fingerprint itself, opens nothing. Raises AuthenticationFailed.
    """
    scheme, _, rest = presented.strip().partition(" ")
    secret = rest.strip() or scheme
    if rest and scheme.lower() == "basic":
        secret = _basic_user(secret)
    if not secret or len(secret) > SECRET_MAX:
        raise AuthenticationFailed("missing_key", "Send an API key in Authorization or X-Api-Key.")
    return sha256(secret.encode("latin-1", "replace")).hexdigest()


def fails_open(headers: Headers, default: bool) -> bool:
    """Whether this call is to pass when we cannot decide."""
    return FAIL_MODES.get(str(headers.get(FAIL_MODE, "")).strip().lower(), default)


def _basic_user(encoded: str) -> str:
    """`curl -u KEY:` sends the key as a user without a password."""
    try:
        return base64.b64decode(encoded, validate=True).decode("latin-1").partition(":")[0]
    except (binascii.Error, ValueError):
        return ""


def _properties(headers: Headers, event: str, meters: MeterCatalogue) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    if given := _text(headers, PROPERTIES, "X-Tollgate-Properties"):
        try:
            properties = parse_json(given.encode())
        except InvalidRequest as error:
            raise InvalidRequest(error.code, error.message, "X-Tollgate-Properties") from error
        if not isinstance(properties, dict):
            raise InvalidRequest(
                "invalid_type", "X-Tollgate-Properties must be a JSON object.", "X-Tollgate-Properties"
            )
    if quantity := headers.get(QUANTITY, "").strip():
        number = parse_quantity(quantity, "X-Tollgate-Quantity")
        if number < 0:
            raise InvalidRequest(
                "negative_quantity", "X-Tollgate-Quantity may not be negative.", "X-Tollgate-Quantity"
            )
        said = set(properties)
        properties["quantity"] = int(number) if number == number.to_integral_value() else number
        return with_measured(event, properties, said, meters)
    return properties


def _text(headers: Headers, name: str, header: str) -> str | None:
    value = str(headers.get(name, "")).strip()
    try:
        return _decoded(value) or None
    except UnicodeError as error:
        raise InvalidRequest("invalid_utf8", f"{header} is not valid UTF-8.", header) from error


def _decoded(value: str) -> str:
    """The text that was sent: WSGI gives its bytes as Latin-1."""
    return value if value.isascii() else value.encode("latin-1").decode()
