"""The `Idempotency-Key` header: the first answer again, never the work again.

The key is kept in the transaction of the work, so there is no moment at which one exists without the other,
and an error, which rolls the work back, uses no key up. A second request with the same key waits for the
first one's commit at the unique index.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, Final

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.response import Response

from core import clock
from core.api.renderers import render_json
from core.errors import Conflict, InvalidRequest
from core.models import IdempotentRequest
from core.numbers import plain
from core.payloads import differing_fields

KEY_MAX: Final = 255
NOTATION_MAX: Final = 100


def idempotency_key(request: HttpRequest) -> str | None:
    """The header's key, or None; raises InvalidRequest unless it is 1 to 255 printable ASCII characters."""
    key: str | None = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not 1 <= len(key) <= KEY_MAX or not (key.isascii() and key.isprintable()):
        raise InvalidRequest(
            "invalid_idempotency_key",
            f"Idempotency-Key must be 1 to {KEY_MAX} printable ASCII characters.",
            "Idempotency-Key",
        )
    return key


def answer_once(
    *,
    operation: str,
    key: str | None,
    payload: Mapping[str, Any],
    work: Callable[[], tuple[int, Any]],
    secrets: Collection[str] = (),
) -> HttpResponseBase:
    """Do `work` (giving status and body) in one transaction, or replay its first answer.

    `operation` is the key's namespace, such as `credit_grants.create`. `secrets` are the top-level fields of
    the body that are never stored: null in a replay. Raises Conflict `idempotency_key_reused` for another
    payload under the same key, naming the fields that differ.
    """
    with transaction.atomic():
        if key is None:
            status, body = work()
            return Response(body, status=status)
        stored = _storable(payload)
        kept, is_first = _claim(operation, key, stored)
        if not is_first:
            return _replay(kept, stored)
        status, body = work()
        text = render_json(body if not secrets else dict(body) | dict.fromkeys(secrets))
        IdempotentRequest.objects.filter(operation=operation, key=key).update(
            status=status, response=text.decode()
        )
        return Response(body, status=status)


def _claim(operation: str, key: str, payload: Any) -> tuple[IdempotentRequest, bool]:
    """The key's row, and whether this transaction made it (after waiting for another that was about to)."""
    mine = IdempotentRequest(operation=operation, key=key, payload=payload, created_at=clock.now())
    IdempotentRequest.objects.bulk_create([mine], ignore_conflicts=True)
    kept = IdempotentRequest.objects.select_for_update().get(operation=operation, key=key)
    return kept, kept.status is None


def _replay(kept: IdempotentRequest, payload: Any) -> HttpResponse:
    differing = differing_fields(kept.payload, payload)
    if differing:
        raise Conflict(
            "idempotency_key_reused",
            f"This Idempotency-Key was used for another request; these differ: {', '.join(differing)}.",
            differing[0],
        )
    return HttpResponse(
        kept.response,
        status=kept.status,
        content_type="application/json",
        headers={"Idempotent-Replayed": "true"},
    )


def _storable(value: Any) -> Any:
    """`value` as the database keeps it: every number as text in one notation, so that 1 and 1.0 are one."""
    if isinstance(value, Mapping):
        return {key: _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return _number_text(Decimal(value))
    return value


def by_value(payload: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """`payload` with the numbers that stand in `fields` as text ("10.00") in one notation ("10")."""
    return {key: _one_notation(value) if key in fields else value for key, value in payload.items()}


def _one_notation(value: Any) -> Any:
    try:
        return _number_text(Decimal(value)) if isinstance(value, str) else value
    except ArithmeticError:
        return value


def _number_text(value: Decimal) -> str:
    """Plain notation, but never a text of millions of zeros."""
    _, _, exponent = value.as_tuple()
    is_short = isinstance(exponent, int) and exponent > -NOTATION_MAX and value.adjusted() < NOTATION_MAX
    return plain(value) if is_short else str(value)
