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


FULL_PLAN: dict[str, Any] = {
    "plan": "pro",
    "family": "api",
    "name": "Pro",
    "currency": "USD",
    "interval": "month",
    "anchor": "subscription",
    "base_fees": [
        {"key": "platform", "amount": "49.00", "prorate": True},
        {"key": "seats", "unit_amount": "10", "quantity": "3", "timing": "in_arrears"},
    ],
    "one_off_fees": [{"key": "setup", "amount": "500.00"}],
    "components": [
        PER_CALL | {"included": "5", "quantity_rounding": {"mode": "up", "to": "1"}, "minimum": "2"},
        {
            "key": "tok",
            "meter": "tokens",
            "model": "graduated",
            "tiers": [
                {"up_to": "1000", "unit_price": "0.01", "flat_fee": "1"},
                {"up_to": None, "unit_price": "0.005"},
            ],
            "group_by": ["model"],
        },
        {"key": "vol", "meter": "tokens", "model": "volume", "tiers": [{"up_to": None, "unit_price": "1"}]},
        {"key": "pack", "meter": "calls", "model": "package", "package_size": "100", "package_price": "5"},
        {
            "key": "pay",
            "meter": "calls",
            "model": "percentage",
            "rate": "0.029",
            "fixed_fee": "0.30",
            "free_transactions": 5,
            "max_per_transaction": "10",
        },
        {
            "key": "share",
            "meter": "tokens",
            "model": "graduated_percentage",
            "tiers": [{"up_to": None, "rate": "0.1"}],
            "discount_percent": "10",
            "maximum": "1000",
            "bill_zero_usage": True,
        },
        {
            "key": "img",
            "meter": "calls",
            "model": "matrix",
            "dimensions": ["size"],
            "cells": [
                {"match": {"size": 5}, "unit_price": "1"},
                {"match": {"size": None}, "unit_price": "2"},
            ],
            "default_unit_price": "3",
        },
        {"key": "llm", "meter": "calls", "model": "cost_plus", "markup": "0.3"},
    ],
    "credits": [{"key": "monthly", "amount": "5", "every": "month", "rollover": "1"}],
    "minimum_spend": "100",
    "entitlements": [
        {"feature": "sso", "type": "boolean", "value": False},
        {"feature": "spaces", "type": "limit", "limit": 5},
        {"feature": "images", "type": "metered", "meter": "calls", "limit": "5", "reset": "year"},
    ],
    "margin_floor": {"min_margin": "0.2", "min_volume": "50", "action": "deny"},
    "trial": {"days": 14},
    "payment_terms": {"net_days": 30},
    "proration": "day",
    "ramps": [
        {"after_months": 3, "overrides": {"components": {"calls": {"unit_price": "0.02", "included": None}}}},
        {"after_months": 6, "overrides": {"minimum_spend": "0", "base_fees": {"seats": None}}},
    ],
}
"""A plan with every model, modifier and term."""
