"""The lines of an import file, each checked on its own.

A line names a customer and what belongs to it, by the operator's ids; what many lines name is one thing.
CSV has these fields as columns, JSONL as keys; empty and absent are the same.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from accounts.currencies import check_currency
from accounts.external_ids import clean_external_id
from accounts.keys import clean_fingerprint
from accounts.payers import check_bound, check_settlement, check_time_zone
from core.errors import InvalidRequest, TollgateError
from core.jsonio import check_json, decode_json
from core.numbers import parse_price
from core.texts import clean_text


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `currency` and the rest up to `credit_limit` are the billing entity's."""

    line: int
    customer: str
    customer_name: str | None = None
    organization: str | None = None
    organization_name: str | None = None
    parent_organization: str | None = None
    workspace: str | None = None
    workspace_name: str | None = None
    billing_entity: str | None = None
    billing_entity_name: str | None = None
    billing_entity_organization: str | None = None
    currency: str | None = None
    time_zone: str | None = None
    settlement: str | None = None
    overdraft: Decimal | None = None
    credit_limit: Decimal | None = None
    key_fingerprint: str | None = None
    key_name: str | None = None
    key_user: str | None = None


@dataclass(frozen=True, slots=True)
class LineError:
    """A line that was not taken, and why."""

    line: int
    message: str


def _external_id(prefix: str) -> Callable[[Any, str], str]:
    return lambda value, name: clean_external_id(prefix, value, name)


def _bound(value: Any, name: str) -> Decimal | None:
    return check_bound(parse_price(value, name), name)


def _of_text(check: Callable[[str], str]) -> Callable[[Any, str], str]:
    return lambda value, name: check(clean_text(value, name))


_READERS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "customer": _external_id("cus"),
    "organization": _external_id("org"),
    "parent_organization": _external_id("org"),
    "workspace": _external_id("ws"),
    "billing_entity": _external_id("be"),
    "billing_entity_organization": _external_id("org"),
    "currency": _of_text(check_currency),
    "time_zone": _of_text(check_time_zone),
    "settlement": _of_text(check_settlement),
    "overdraft": _bound,
    "credit_limit": _bound,
    "key_fingerprint": lambda value, name: clean_fingerprint(value, name),
}
COLUMNS: Final = tuple(field.name for field in fields(Row) if field.name != "line")
# What makes no sense without what it belongs to.
_NEEDS: Final = {
    "organization_name": "organization",
    "parent_organization": "organization",
    "workspace_name": "workspace",
    "key_fingerprint": "workspace",
    "key_name": "key_fingerprint",
    "key_user": "key_fingerprint",
    "billing_entity_name": "billing_entity",
    "billing_entity_organization": "billing_entity",
    "currency": "billing_entity",
    "time_zone": "billing_entity",
    "settlement": "billing_entity",
    "overdraft": "billing_entity",
    "credit_limit": "billing_entity",
}


def read_rows(path: Path) -> Iterator[Row | LineError]:
    """The rows of a CSV or JSONL file (by the end of its name), one at a time.

    Raises InvalidRequest for a file that cannot be read, or a CSV whose columns are not those of `COLUMNS`.
    """
    lines = _csv_lines if path.suffix.lower() == ".csv" else _json_lines
    with _readable(path):
        for line, values in lines(path):
            try:
                yield _row(line, values)
            except TollgateError as error:
                yield LineError(line, error.message)


def _row(line: int, values: Any) -> Row:
    if isinstance(values, TollgateError):
        raise values
    if not isinstance(values, dict):
        raise InvalidRequest("invalid_type", "A line must be a JSON object.")
    given = {name: value for name, value in values.items() if value is not None and value != ""}
    unknown = sorted(map(str, given.keys() - set(COLUMNS)))
    if unknown:
        raise InvalidRequest("unknown_field", f"There is no field {unknown[0]!r}.")
    if "customer" not in given:
        raise InvalidRequest("required", "customer is missing.")
    for name in given:
        if name in _NEEDS and _NEEDS[name] not in given:
            raise InvalidRequest("required", f"{name} is given without {_NEEDS[name]}.")
    return Row(line, **{name: _READERS.get(name, clean_text)(value, name) for name, value in given.items()})


def _json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            try:
                value = decode_json(raw)
                check_json(value)
                yield number, value
            except TollgateError as error:
                yield number, error


def _csv_lines(path: Path) -> Iterator[tuple[int, Any]]:
    # Bytes that are no UTF-8 come in as lone surrogates, which no text may hold: an error of their line only.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.DictReader(file, restkey="", strict=True)
        _check_columns(reader.fieldnames or ())
        while True:
            try:
                values: dict[str, Any] = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield reader.reader.line_num, InvalidRequest("invalid_csv", f"Not CSV: {error}.")
                continue
            if "" in values:
                yield reader.line_num, InvalidRequest("invalid_csv", "There are more values than columns.")
            else:
                yield reader.line_num, values


def _check_columns(names: Any) -> None:
    unknown = [name for name in names if name not in COLUMNS]
    if unknown:
        raise InvalidRequest(
            "unknown_column", f"There is no column {unknown[0]!r}; there are {', '.join(COLUMNS)}."
        )
    if "customer" not in names:
        raise InvalidRequest("missing_column", "The first line must name the columns; customer is missing.")
    if len(set(names)) < len(names):
        raise InvalidRequest("repeated_column", "A column stands twice.")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidRequest("unreadable_file", f"{path} cannot be read: {error.strerror}.") from error
