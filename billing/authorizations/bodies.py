"""From the bodies of authorizations and captures to requests of the charge path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from accounts.credentials import IntegrationKeyRecord
from accounts.directory import directory
from billing.charging import CaptureTerms, ChargeRequest, HoldTerms, Mode, Over
from billing.models import Authorization
from core.errors import InvalidRequest, Unprocessable
from core.ids import public_id
from core.jsonio import decode_json
from core.numbers import parse_price, plain
from metering.event_values import check_text, normalise_api_key
from metering.events import REFERENCE_LENGTH_MAX, parse_event

EXPIRES_IN: Final = 600
EXPIRES_IN_MAX: Final = 24 * 60 * 60
NO_EVENT: Final = "amount"
"""Stands in for the event of an authorization that names an amount only, while the rest is parsed."""
CALLER: Final = ("workspace", "api_key", "billing_entity")
EXPECTED: Final = ("event", "user", "trace")
USAGE: Final = ("properties", "costs")


def authorization_request(
    body: Any, now: datetime, credential: IntegrationKeyRecord | None = None
) -> ChargeRequest:
    """An event with expected properties, or with an `amount` (then `event` may be left out); `expires_in`.

    Raises InvalidRequest whose `param` is the offending field.
    """
    if not isinstance(body, dict):
        raise InvalidRequest("invalid_type", "An authorization must be an object.")
    raw = {name: value for name, value in body.items() if value is not None}
    amount, expires_in = raw.pop("amount", None), raw.pop("expires_in", None)
    held = None if amount is None else _amount(amount)
    terms = HoldTerms(timedelta(seconds=seconds_of(expires_in)), held)
    names_event = held is None or "event" in raw
    event = parse_event(raw if names_event else raw | {"event": NO_EVENT}, now)
    payload = dict(event.payload)
    if not names_event:
        event.event = ""
        del payload["event"]
    if held is not None:
        payload["amount"] = plain(held)
    if expires_in is not None:
        payload["expires_in"] = expires_in
    return ChargeRequest(replace(event, payload=payload), Mode.HOLD, "api", credential, hold=terms)


def _amount(value: Any) -> Decimal:
    amount = parse_price(value, "amount")
    if amount <= 0:
        raise InvalidRequest("invalid_amount", "The amount must be more than 0.", "amount")
    return amount


def seconds_of(value: Any) -> int:
    """`expires_in` in seconds; raises InvalidRequest unless it is a whole number from 1 to 86,400."""
    if value is None:
        return EXPIRES_IN
    if type(value) is not int or not 1 <= value <= EXPIRES_IN_MAX:
        says = f"expires_in must be a whole number of seconds from 1 to {EXPIRES_IN_MAX}."
        raise InvalidRequest("invalid_expires_in", says, "expires_in")
    return value


def capture_request(
    body: Any,
    row: Authorization,
    now: datetime,
    credential: IntegrationKeyRecord | None = None,
    *,
    mode: Mode = Mode.ASK,
    source: str = "api",
) -> ChargeRequest:
    """The real usage of an authorized call; a body without properties captures what was expected.

    `row` comes with `payload_text`. The key is the body's, else the authorization's id (which its own key
    stands for too). Without `occurred_at` the call happened when it was authorized, or now if that is over.
    Raises InvalidRequest, and Unprocessable for a body that names another caller or event.
    """
    if not isinstance(body, dict):
        raise InvalidRequest("invalid_type", "A capture must be an object.")
    raw = {name: value for name, value in body.items() if value is not None}
    over = _over(raw.pop("over", None))
    authorized: dict[str, Any] = decode_json(row.payload_text.encode())  # type: ignore[attr-defined]
    _check_same(raw, row)
    event = parse_event(_event(raw, row, authorized), now)
    if "occurred_at" not in raw and row.status_at(now) == Authorization.Status.AUTHORIZED:
        event.occurred_at = row.occurred_at
    payload = {name: value for name, value in raw.items() if name not in (*CALLER, "idempotency_key")}
    terms = CaptureTerms(row.customer_id, row.id, row.workspace_id, row.api_key_id, over)
    return ChargeRequest(replace(event, payload=payload), mode, source, credential, authorization=terms)


def _over(value: Any) -> Over:
    try:
        return Over.REJECT if value is None else Over(value)
    except ValueError as error:
        allowed = ", ".join(over.value for over in Over)
        raise InvalidRequest("invalid_choice", f"over must be one of {allowed}.", "over") from error


def _check_same(raw: Mapping[str, Any], row: Authorization) -> None:
    """A capture may say again who calls and what for, by any name that each has, but not otherwise."""
    if "event" in raw and row.event and raw["event"] != row.event:
        raise Unprocessable("mismatch", f"The authorization is for the event {row.event!r}.", "event")
    named = {name: _reference(name, raw[name]) for name in CALLER if name in raw}
    if not named:
        return
    told = _told(named)
    for name in named:
        if told.get(name) != (row.customer_id, getattr(row, f"{name}_id")):
            raise Unprocessable("mismatch", f"The authorization names another {name}.", name)


def _reference(name: str, value: Any) -> str:
    return normalise_api_key(value) if name == "api_key" else check_text(value, name, REFERENCE_LENGTH_MAX)


def _told(named: Mapping[str, str]) -> dict[str, tuple[int, int]]:
    """(customer, id) of those callers that exist."""
    workspaces, keys, payers = ({named[name]} if name in named else set() for name in CALLER)
    found, told = directory.callers(workspaces, keys, payers), {}
    for workspace in found.workspaces.values():
        told["workspace"] = (workspace.config.customer_id, workspace.id)
    for key in found.keys.values():
        told["api_key"] = (key.config.customer_id, key.id)
    for entry in found.payers.values():
        told["billing_entity"] = (entry.config.customer_id, entry.payer.id)
    return told


def _event(raw: Mapping[str, Any], row: Authorization, authorized: Mapping[str, Any]) -> dict[str, Any]:
    """The event that is captured, charged to the payer held."""
    expected = EXPECTED if "properties" in raw else EXPECTED + USAGE
    event = {name: authorized[name] for name in expected if name in authorized}
    event |= {name: value for name, value in raw.items() if name not in CALLER}
    if raw.get("idempotency_key") in (None, row.idempotency_key):
        event["idempotency_key"] = row.public_id
    return event | {"billing_entity": public_id("be", row.billing_entity_id)}
