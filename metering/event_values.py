"""The values of an event as callers send them: what each field may hold, and the error when it does not.

Tens of thousands of events a second pass through here, so the happy path of each check is one or two calls
into C; the exact rule is looked at only when that quick answer is no.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NoReturn

import msgspec

from accounts.secrets import SECRET_MAX, fingerprint
from core import ids
from core.currencies import ISO_DECIMALS
from core.errors import InvalidRequest, NotFound
from core.numbers import (
    INTEGER_DIGITS_MAX,
    PRICE_DECIMALS_MAX,
    QUANTITY_DECIMALS_MAX,
    ZERO,
    fits,
    parse_price,
)

PROPERTIES_MAX: Final = 256
PROPERTIES_BYTES_MAX: Final = 65_536
DEPTH_MAX: Final = 16
COSTS_MAX: Final = 100
VENDOR_LENGTH_MAX: Final = 100
WRITTEN_EXPONENT_MAX: Final = 60
_INT_LIMIT: Final = 10**INTEGER_DIGITS_MAX
_ENCODE: Final = msgspec.json.Encoder(decimal_format="number").encode
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]").search
_FINGERPRINT: Final = re.compile("[0-9a-fA-F]{64}").fullmatch
_PLAIN_AMOUNT: Final = re.compile(r"(?=.*[1-9])[0-9]{1,20}(?:\.[0-9]{1,18})?").fullmatch
_COST_FIELDS: Final = frozenset({"vendor", "amount", "currency"})


@dataclass(slots=True)
class CostPart:
    """What one upstream vendor takes for an event: `amount` (at least 0) in `currency` (ISO 4217)."""

    vendor: str
    amount: Decimal
    currency: str


def shown(name: object) -> str:
    """A caller's field name, fit to stand in an error: short, and in characters that any encoding carries."""
    return str(name)[:80].encode("utf-8", "backslashreplace").decode()


def check_text(value: object, param: str, length_max: int) -> str:
    """`value` if it is a text of 1 to `length_max` characters without control characters.

    Raises InvalidRequest `invalid_type`, `invalid_length` or `invalid_text`, naming `param`.
    """
    if not isinstance(value, str):
        raise InvalidRequest("invalid_type", f"{param} must be a text.", param)
    if not 0 < len(value) <= length_max:
        raise InvalidRequest("invalid_length", f"{param} must have 1 to {length_max} characters.", param)
    if not value.isprintable() and _UNPRINTABLE(value):
        raise InvalidRequest("invalid_text", f"{param} may not contain control characters.", param)
    return value


def normalise_api_key(value: object) -> str:
    """What may be kept of an event's `api_key`: an id or a fingerprint as it is, of a secret its SHA-256.

    64 hexadecimal digits are a fingerprint, `key_...` is our id if it can be one; all else is a secret.
    Raises InvalidRequest without ever repeating the secret.
    """
    text = check_text(value, "api_key", SECRET_MAX)
    if _FINGERPRINT(text):
        return text.lower()
    if text.startswith("key_"):
        try:
            ids.row_id("key", text)
        except NotFound:
            pass  # an operator's own secrets may begin like our ids
        else:
            return text
    return fingerprint(text)


def check_properties(value: object) -> str:
    """`value` as JSON if it is an object of JSON values: 256 names, 64 KB, 16 levels deep, numbers in range.

    Raises InvalidRequest `invalid_type`, `too_many_properties`, `properties_too_large`, `too_deep`,
    `invalid_text` or `number_out_of_range`, naming the property.
    """
    if not isinstance(value, dict):
        raise InvalidRequest("invalid_type", "properties must be an object.", "properties")
    if len(value) > PROPERTIES_MAX:
        raise InvalidRequest(
            "too_many_properties", f"An event may have {PROPERTIES_MAX} properties.", "properties"
        )
    for name, item in value.items():
        kind = type(item)
        if kind is str or (kind is int and -_INT_LIMIT < item < _INT_LIMIT):
            continue
        _check_value(item, f"properties.{shown(name)}", 1)
    try:
        encoded = _ENCODE(value)
    except UnicodeEncodeError:
        _refuse_text("half of a surrogate pair")
    except (TypeError, ValueError) as error:
        raise InvalidRequest("invalid_type", "properties must hold JSON values.", "properties") from error
    if len(encoded) > PROPERTIES_BYTES_MAX:
        raise InvalidRequest(
            "properties_too_large", f"properties may take {PROPERTIES_BYTES_MAX} bytes as JSON.", "properties"
        )
    # An escaped backslash before u0000 looks the same, so only a hit is looked at closely.
    if b"\\u0000" in encoded and _has_nul(value):
        _refuse_text("the NUL character")
    return encoded.decode()


def check_costs(value: object) -> tuple[CostPart, ...]:
    """The cost parts of an event; an empty list says that it is known to cost nothing.

    Raises InvalidRequest naming the part and its field, for example `costs[0].amount`.
    """
    if not isinstance(value, list):
        raise InvalidRequest("invalid_type", "costs must be a list.", "costs")
    if len(value) > COSTS_MAX:
        raise InvalidRequest("too_many_costs", f"An event may have {COSTS_MAX} costs.", "costs")
    return tuple(
        [_plain_cost(part) or _check_cost(part, f"costs[{index}]") for index, part in enumerate(value)]
    )


def _plain_cost(part: object) -> CostPart | None:
    """A part that is fine at first sight."""
    if type(part) is not dict or part.keys() != _COST_FIELDS:
        return None
    vendor, amount, currency = part["vendor"], part["amount"], part["currency"]
    if type(vendor) is not str or not 0 < len(vendor) <= VENDOR_LENGTH_MAX or not vendor.isprintable():
        return None
    if type(amount) is not str or not _PLAIN_AMOUNT(amount) or type(currency) is not str:
        return None
    return CostPart(vendor, Decimal(amount), currency) if currency in ISO_DECIMALS else None


def _check_cost(part: object, param: str) -> CostPart:
    if not isinstance(part, dict):
        raise InvalidRequest("invalid_type", f"{param} must be an object.", param)
    if part.keys() != _COST_FIELDS:
        for name in part.keys() - _COST_FIELDS:
            raise InvalidRequest(
                "unknown_field", f"A cost has no field {shown(name)}.", f"{param}.{shown(name)}"
            )
        missing = min(_COST_FIELDS - part.keys())
        raise InvalidRequest("missing_field", f"{param}.{missing} is missing.", f"{param}.{missing}")
    currency = part["currency"]
    if not isinstance(currency, str) or currency not in ISO_DECIMALS:
        raise InvalidRequest(
            "unknown_currency",
            f"{param}.currency must be an ISO 4217 code in capitals, such as USD.",
            f"{param}.currency",
        )
    vendor = check_text(part["vendor"], f"{param}.vendor", VENDOR_LENGTH_MAX)
    return CostPart(vendor, _check_amount(part["amount"], f"{param}.amount"), currency)


def _check_amount(value: object, param: str) -> Decimal:
    """An amount of at least 0: a decimal text, or a JSON number."""
    if type(value) is int and -_INT_LIMIT < value < _INT_LIMIT:
        amount = Decimal(value)
    elif isinstance(value, Decimal) or type(value) is int:
        amount = Decimal(value)
        _check_number(amount, param, PRICE_DECIMALS_MAX)
    else:
        amount = parse_price(value, param)
    if amount < 0:
        raise InvalidRequest("negative_amount", f"{param} may not be negative.", param)
    return amount or ZERO  # -0 is 0


def _check_value(value: Any, param: str, depth: int) -> None:
    """Numbers within range, and nothing that JSON does not know, all the way down."""
    if value is None or isinstance(value, (str, bool)):
        return
    if isinstance(value, int):
        if not -_INT_LIMIT < value < _INT_LIMIT:
            _refuse_number(param, QUANTITY_DECIMALS_MAX)
    elif isinstance(value, Decimal):
        _check_number(value, param, QUANTITY_DECIMALS_MAX)
    elif isinstance(value, (dict, list)):
        if depth >= DEPTH_MAX:
            raise InvalidRequest(
                "too_deep", f"properties may be nested {DEPTH_MAX} levels deep.", param[:200]
            )
        if isinstance(value, dict):
            for name, item in value.items():
                _check_value(item, f"{param}.{shown(name)}", depth + 1)
        else:
            for index, item in enumerate(value):
                _check_value(item, f"{param}[{index}]", depth + 1)
    else:
        raise InvalidRequest("invalid_type", f"{param} must be a JSON value.", param)


def _check_number(value: Decimal, param: str, decimals_max: int) -> None:
    if not value.is_finite():
        raise InvalidRequest("invalid_json", "NaN and Infinity are not JSON numbers.", param[:200])
    exponent = value.as_tuple().exponent
    # By value 0E-99999 is in range, but PostgreSQL reads no number that is written so.
    if not fits(value, decimals_max) or (isinstance(exponent, int) and abs(exponent) > WRITTEN_EXPONENT_MAX):
        _refuse_number(param, decimals_max)


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, Mapping):
        return any(_has_nul(name) or _has_nul(item) for name, item in value.items())
    return isinstance(value, list) and any(map(_has_nul, value))


def _refuse_text(what: str) -> NoReturn:
    raise InvalidRequest("invalid_text", f"A text may not contain {what}.", "properties")


def _refuse_number(param: str, decimals_max: int) -> NoReturn:
    raise InvalidRequest(
        "number_out_of_range",
        f"{param[:200]} may have at most {INTEGER_DIGITS_MAX} digits before the point"
        f" and {decimals_max} after it.",
        param[:200],
    )
