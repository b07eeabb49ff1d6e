"""JSON answers: a Decimal is a string in plain notation, an instant is ISO 8601 in UTC with a Z."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from django.utils.functional import Promise
from rest_framework.renderers import BaseRenderer

from core.instants import instant_text
from core.numbers import plain


def render_json(value: Any) -> bytes:
    """`value` as JSON. Instants and amounts anywhere inside it take the API's notation."""
    return _ENCODER.encode(_notated(value))


def render_notated(value: Any) -> bytes:
    """The same for a value that is in the API's notation already, and of JSON's own kinds."""
    return _ENCODER.encode(value)


class JSONRenderer(BaseRenderer):
    """What every endpoint answers with."""

    media_type = "application/json"
    format = "json"
    charset = None  # JSON is UTF-8 by definition
    render_style = "binary"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """The body; empty for no content."""
        if data is None:
            return b""
        return data if isinstance(data, bytes) else render_json(data)


def _notated(value: Any) -> Any:
    """Decimals and instants in the API's notation; msgspec's own would keep exponents and offsets."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, dict):
        return {str(key): _notated(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_notated(item) for item in value]
    return value


def _foreign(value: Any) -> Any:
    """What msgspec does not know: Django's lazy texts, str and int subclasses."""
    if isinstance(value, Promise):
        return str(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"{type(value).__name__} cannot be answered as JSON")


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_foreign)
