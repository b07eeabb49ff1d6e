"""Which properties stay: those on which money depends, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from billing.erasures.keeping import Keeper
from metering.models import CostRate
from tests.billing.world import START, make_meter, make_version

pytestmark = pytest.mark.django_db
TIERS = [{"up_to": None, "unit_price": "1"}]


def rate(**fields: Any) -> CostRate:
    own = {"vendor": "v", "event": "completion", "unit_cost": 1, "currency": "USD", "starts_at": START}
    return CostRate.objects.create(**own | {"created_at": START} | fields)


def kept(event: str = "completion", *names: str) -> list[str]:
    keeper = Keeper()
    return [name for name in names if keeper.reason(event, name) is not None]


def test_without_meters_only_what_vendors_prices_read_stays() -> None:
    names = ("model", "provider", "input_tokens", "cached_tokens", "email", "tokens")
    assert kept("completion", *names) == ["model", "provider", "input_tokens", "cached_tokens"]


def test_what_a_meter_measures_filters_or_groups_by_stays_with_the_reason() -> None:
    make_meter(
        group_by=["region"],
        filter=[{"property": "tier", "op": "eq", "value": "x"}, {"property": "ok", "op": "exists"}],
    )
    names = ("tokens", "region", "tier", "ok", "email")
    assert kept("completion", *names) == ["tokens", "region", "tier", "ok"]
    assert Keeper().reason("completion", "tier") == "the meter tokens reads it"


def test_a_meter_that_hears_another_event_keeps_nothing_of_this_one() -> None:
    make_meter("pages", event="scan")
    assert kept("completion", "pages") == []
    assert kept("scan", "pages") == ["pages"]


def test_a_meter_of_people_keeps_who_they_are() -> None:
    make_meter("people", aggregation="unique", property_path="person")
    assert kept("completion", "person", "people") == ["person"]


def test_a_count_measures_no_property() -> None:
    make_meter("calls", aggregation="count")
    assert kept("completion", "calls") == []


def test_of_a_dotted_path_the_whole_property_stays_under_either_name() -> None:
    make_meter("used", property_path="usage.tokens.total")
    assert kept("completion", "usage", "usage.tokens.total", "tokens", "usage.tokens") == [
        "usage",
        "usage.tokens.total",
    ]


def test_what_a_price_depends_on_stays_with_the_reason() -> None:
    make_meter(group_by=["region", "size"])
    matrix = {
        "key": "m",
        "meter": "tokens",
        "model": "matrix",
        "dimensions": ["size"],
        "cells": [{"match": {"size": "xl"}, "unit_price": "2"}],
        "default_unit_price": "1",
    }
    grouped = {"key": "g", "meter": "tokens", "model": "graduated", "tiers": TIERS, "group_by": ["region"]}
    make_version([matrix, grouped])
    assert kept("completion", "size", "region", "cells") == ["size", "region"]


def test_what_a_cost_rate_reads_stays_also_when_its_time_is_over() -> None:
    rate(property_path="seconds", ends_at=START.replace(year=2027))
    rate(filter=[{"property": "gpu.kind", "op": "eq", "value": "a"}])
    assert kept("completion", "seconds", "gpu", "gpu.kind", "kind") == ["seconds", "gpu", "gpu.kind"]
    assert Keeper().reason("completion", "seconds") == "a cost rate of v reads it"
    assert kept("other", "seconds", "gpu") == []


def test_a_meter_that_was_archived_goes_on_keeping_what_it_counted() -> None:
    make_meter(archived_at=START)
    assert kept("completion", "tokens") == ["tokens"]
