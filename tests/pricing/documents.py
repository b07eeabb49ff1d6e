"""Plan documents that several tests start from."""

from __future__ import annotations

from typing import Any

from pricing.catalog import Catalog, Document, read_catalog, read_documents

CALLS: dict[str, Any] = {"key": "calls", "event": "call", "aggregation": "count"}
TOKENS: dict[str, Any] = {"key": "tokens", "event": "call", "aggregation": "sum", "property": "tokens"}
PER_CALL: dict[str, Any] = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_price": "0.01"}


def plan_document(key: str = "pro", **fields: Any) -> dict[str, Any]:
    """A plan in USD that prices calls, with its meter beside it; `fields` change or add."""
    return {"plan": key, "currency": "USD", "components": [PER_CALL], "meters": [CALLS]} | fields


def catalog_of(*documents: dict[str, Any]) -> Catalog:
    """The catalog of JSON documents."""
    return read_catalog([Document(document) for document in documents])


def catalog_of_text(text: str, file: str = "f.yaml") -> Catalog:
    """The catalog of a YAML text."""
    return read_catalog(read_documents(text.encode(), file))
