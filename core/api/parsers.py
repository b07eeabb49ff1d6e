"""Strict JSON bodies. Numbers stay exact: integers are `int`, literals with a point are `Decimal`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import IO, Any, Final

import msgspec
from django.http import HttpRequest
from rest_framework.parsers import BaseParser

from core.api.bodies import read_body
from core.errors import InvalidRequest
from core.jsonio import DEPTH_MAX, EXPONENT_MAX, check_json, decode_json


def json_body(request: HttpRequest, *, is_checked: bool = True) -> Any:
    """The JSON value in a request's body, checked as a whole or to be checked item by item.

    Raises InvalidRequest or TooLarge.
    """
    raw = read_body(request)
    if not raw:
        raise InvalidRequest("empty_body", "The request has no body; a JSON value was expected.")
    return checked_json(raw) if is_checked else parse_leniently(raw)


def checked_json(raw: bytes) -> Any:
    """The JSON value in `raw`, checked as a whole; raises InvalidRequest."""
    value = parse_leniently(raw)
    if not _is_plainly_fine(raw):
        check_json(value)
    return value


def _is_plainly_fine(raw: bytes) -> bool:
    """Whether nothing that `check_json` refuses can be in valid JSON: NUL and halves of surrogate pairs are
    only ever escaped there, NaN and Infinity have capitals, and what nests opens a bracket for it."""
    brackets = raw.count(b"{") + raw.count(b"[")
    return b"\\u" not in raw and b"N" not in raw and b"I" not in raw and brackets <= DEPTH_MAX


def parse_leniently(raw: bytes) -> Any:
    """The JSON value in `raw`; InvalidRequest when it is no JSON at all.

    What no store can hold (NaN, NUL characters, deep nesting) passes: for batches, where each item is
    judged on its own with `core.jsonio.check_json`.
    """
    try:
        return _DECODER.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # The exact parser reads the few things that the fast one does not, or says what is wrong where.
        return decode_json(raw)


class JSONParser(BaseParser):
    """`application/json`, checked as a whole."""

    media_type = "application/json"
    is_checked = True

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The body's JSON value; raises InvalidRequest or TooLarge."""
        return json_body((parser_context or {})["request"]._request, is_checked=self.is_checked)


class LenientJSONParser(JSONParser):
    """`application/json` whose items the view checks one by one."""

    is_checked = False


class CloudEventParser(LenientJSONParser):
    """One CloudEvent."""

    media_type = "application/cloudevents+json"


class CloudEventBatchParser(LenientJSONParser):
    """A list of CloudEvents."""

    media_type = "application/cloudevents-batch+json"


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        # The exponent itself is too long for Decimal: the nearest bound is as far out of every range.
        sign = int(text.startswith("-"))
        return Decimal((sign, (1,), -EXPONENT_MAX if "-" in text[1:] else EXPONENT_MAX))


_DECODER: Final = msgspec.json.Decoder(float_hook=_exact)
