"""The first of many validation errors, with the path of the value it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework.exceptions import ErrorDetail
from rest_framework.exceptions import ValidationError as ApiValidationError
from rest_framework.settings import api_settings

_WHOLE = {NON_FIELD_ERRORS, str(api_settings.NON_FIELD_ERRORS_KEY)}


def first_error(error: ApiValidationError | DjangoValidationError) -> tuple[str | None, str, str]:
    """(param, code, message) of the first error, for example `components[0].tiers[1].up_to`."""
    if isinstance(error, DjangoValidationError):
        return _first_of_django(error)
    param, detail = _descend(error.detail, "")
    code = detail.code if isinstance(detail, ErrorDetail) else "invalid"
    return param or None, code or "invalid", str(detail)


def _first_of_django(error: DjangoValidationError) -> tuple[str | None, str, str]:
    if not hasattr(error, "error_dict"):
        leaf = error.error_list[0] if error.error_list else error
        return (
            None,
            str(leaf.code or "invalid"),
            leaf.messages[0] if leaf.messages else "The value is not valid.",
        )
    field, leaves = next(iter(error.error_dict.items()))
    leaf = leaves[0]
    return None if field in _WHOLE else field, str(leaf.code or "invalid"), leaf.messages[0]


def _descend(detail: Any, path: str) -> tuple[str, Any]:
    """The first leaf of DRF's nested errors; lists of items have empty entries where nothing is wrong."""
    if isinstance(detail, Mapping):
        for key, inner in detail.items():
            if inner:
                return _descend(inner, _join(path, key))
    elif isinstance(detail, Sequence) and not isinstance(detail, str):
        for index, inner in enumerate(detail):
            if isinstance(inner, str):
                return path, inner
            if inner:
                return _descend(inner, f"{path}[{index}]")
    return path, detail or "The value is not valid."


def _join(path: str, key: Any) -> str:
    if key in _WHOLE:
        return path
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else str(key)
