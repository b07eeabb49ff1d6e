"""The calls whose answer somebody waits for before a call of their own: charges, authorizations, captures.

What they ask of the charge path, by address and body: the same for the views and for the short way.
"""

from __future__ import annotations

import re
from typing import Any, Final

from django.db.models import TextField
from django.db.models.functions import Cast

from accounts.credentials import IntegrationKeyRecord
from accounts.scoping import Viewer, visible
from billing import authorizations
from billing.api.charges import check_header_key
from billing.charging import Asked, ChargeRequest, Mode, UnreadCapture
from billing.models import Authorization
from core import clock
from core.errors import NotFound
from core.ids import hot_row
from metering.events import parse_event

CHARGES: Final = "/v1/charges"
AUTHORIZATIONS: Final = "/v1/authorizations"
_CAPTURE: Final = re.compile(rf"{AUTHORIZATIONS}/([^/]+)/capture").fullmatch


def is_call(path: str) -> bool:
    """Whether a POST to this address is one of them."""
    return path in (CHARGES, AUTHORIZATIONS) or _CAPTURE(path) is not None


def asked(path: str, body: Any, header_key: str | None, credential: IntegrationKeyRecord) -> Asked:
    """What a POST of `body` to `path` asks for, without asking the database; raises what is wrong with it."""
    if path == CHARGES:
        check_header_key(header_key, body)
        return ChargeRequest(parse_event(body, clock.now()), Mode.ASK, "api", credential)
    if path == AUTHORIZATIONS:
        check_header_key(header_key, body)
        return authorizations.authorization_request(body, clock.now(), credential)
    found = _CAPTURE(path)
    assert found is not None
    return asked_capture(found[1], body, header_key, credential)


def asked_capture(
    authorization_id: str, body: Any, header_key: str | None, credential: IntegrationKeyRecord
) -> UnreadCapture:
    """The capture of an authorization; raises NotFound for what is no id of one."""

    def read(row: Authorization | None) -> ChargeRequest:
        if row is None:
            raise _missing(authorization_id)
        check_header_key(header_key, body, row.public_id)
        return authorizations.capture_request(body, row, clock.now(), credential)

    return UnreadCapture(hot_row("auth", authorization_id), read)


def find_authorization(viewer: Viewer, authorization_id: str) -> Authorization:
    """The authorization of that id, with `payload_text`; raises NotFound."""
    customer_id, uuid = hot_row("auth", authorization_id)
    rows = visible(Authorization, viewer).filter(
        customer_id=customer_id, id=uuid, kind=Authorization.Kind.AUTHORIZATION
    )
    row = rows.defer("payload").annotate(payload_text=Cast("payload", TextField())).first()
    if row is None:
        raise _missing(authorization_id)
    return row


def _missing(authorization_id: str) -> NotFound:
    return NotFound("not_found", f"There is no authorization {authorization_id!r}.")
