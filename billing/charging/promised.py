"""What was authorized, of the captures that come at the same time: read by one statement."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction

from billing.charging.reading import BY_KEY
from billing.charging.requests import ChargeRequest, UnreadCapture
from billing.holds import HoldId
from billing.models import Authorization
from billing.store_authorizations import PROMISED_FIELDS, read_promised
from core.pipeline import Pipeline
from core.sql import commits_here, driver, execute

Read = ChargeRequest | Exception


def read_captures(captures: Collection[UnreadCapture]) -> list[Read]:
    """The request of each capture, or what is wrong with it, in their order."""
    holds = _promised({capture.hold for capture in captures}) if captures else {}
    return [_read(capture, holds.get(capture.hold)) for capture in captures]


def _read(capture: UnreadCapture, hold: Authorization | None) -> Read:
    try:
        return capture.read(hold)
    except Exception as error:  # its caller's to hear, whatever it is
        return error


def _promised(ids: Collection[HoldId]) -> dict[HoldId, Authorization]:
    with transaction.atomic():
        with Pipeline(driver()) as pipe:
            execute(pipe, BY_KEY)
            answer = read_promised(pipe, ids)
            if commits_here():
                pipe.commit()
        return {(row[0], row[1]): _authorization(row) for row in answer}


def _authorization(row: tuple[object, ...]) -> Authorization:
    """The row with `payload_text`; its other fields are not read."""
    found = Authorization.from_db("default", PROMISED_FIELDS, row[:-1])
    found.payload_text = row[-1]  # type: ignore[attr-defined]
    return found
