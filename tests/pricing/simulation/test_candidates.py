"""What a version compiles to: from where its components read, and what may share usage."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from core.errors import InvalidRequest
from metering.models import Meter
from pricing.catalog import CatalogError
from pricing.plans import apply_plan
from pricing.simulation import Candidate, compile_content, compile_versions
from tests.billing.world import make_meter, make_version
from tests.pricing.simulation.world import MODELS, components, make_meters

pytestmark = pytest.mark.django_db
READS_EVENTS = {"each", "percentage", "cost_plus", "grouped_by_plan", "people"}


def content(*parts: dict[str, Any], **terms: Any) -> dict[str, Any]:
    return {"plan": "p", "currency": "USD", "components": list(parts), **terms}


def price(meter: str = "tokens", **fields: Any) -> dict[str, Any]:
    return {"key": "c", "meter": meter, "model": "per_unit", "unit_price": "1"} | fields


def signatures(*candidates: Candidate) -> list[tuple[str, str]]:
    return [component.signature for candidate in candidates for component in candidate.components]


@pytest.mark.parametrize("name", MODELS)
def test_buckets_are_read_where_they_say_it_all(name: str) -> None:
    make_meters()
    (component,) = compile_content(content(*components(name))).components
    assert component.reads_buckets is (name not in READS_EVENTS)


@pytest.mark.parametrize(
    "fields",
    [
        {"fixed_fee": "0.1"},
        {"free_transactions": "3"},
        {"free_amount": "3"},
        {"min_per_transaction": "0.1"},
        {"max_per_transaction": "9"},
    ],
)
def test_a_percentage_with_more_than_a_rate_reads_events(fields: dict[str, Any]) -> None:
    make_meters()
    part = {"key": "c", "meter": "tokens", "model": "percentage", "rate": "0.1"}
    (plain,) = compile_content(content(part)).components
    (extra,) = compile_content(content(part | fields)).components
    assert (plain.reads_buckets, extra.reads_buckets) == (True, False)


@pytest.mark.parametrize("aggregation", ["unique", "min", "avg", "latest", "weighted_sum"])
def test_other_aggregations_read_events(aggregation: str) -> None:
    make_meter("m", aggregation=aggregation, property_path="tokens")
    (component,) = compile_content(content(price("m"))).components
    assert not component.reads_buckets
    assert component.is_live is (aggregation == "unique")


def test_a_meter_that_is_in_the_file_alone_reads_events() -> None:
    meters = [{"key": "mine", "event": "e", "aggregation": "count"}]
    (component,) = compile_content(content(price("mine"), meters=meters)).components
    assert (component.meter.id, component.reads_buckets) == (None, False)
    assert not Meter.objects.filter(key="mine").exists()


def test_a_meter_that_the_file_defines_as_it_is_stored_is_the_stored_one() -> None:
    make_meter("tokens")
    same = {"key": "tokens", "event": "completion", "aggregation": "sum", "property": "tokens"}
    (stored,) = compile_content(content(price(), meters=[same])).components
    (other,) = compile_content(content(price(), meters=[same | {"group_by": ["region"]}])).components
    assert stored.meter.id is not None
    assert other.meter.id is None


def test_what_is_applied_later_does_not_keep_usage_apart() -> None:
    make_meters()
    plain = compile_content(content(price()))
    dressed = compile_content(
        content(price(key="d", minimum="1", maximum="9", discount_percent="5", bill_zero_usage=True))
    )
    dearer = compile_content(content(price(unit_price="2")))
    other = compile_content(content(price("calls")))
    assert len(set(signatures(plain, dressed))) == 1
    assert len(set(signatures(plain, dearer, other))) == 3


def test_a_version_and_its_content_are_the_same() -> None:
    make_meters()
    version = make_version(components("graduated", "peak"))
    (stored,) = compile_versions([version])
    again = compile_content(version.content)
    assert stored.label == version.public_id
    assert (stored.version_id, again.version_id) == (version.pk, None)
    assert stored.content_hash == again.content_hash
    assert stored.terms == again.terms
    assert stored.meters == {"tokens", "peak"}


def test_contents_that_count_differently_are_not_the_same() -> None:
    make_meters()
    meters = [{"key": "tokens", "event": "completion", "aggregation": "count"}]
    assert (
        compile_content(content(price())).content_hash
        != compile_content(content(price(), meters=meters)).content_hash
    )


def test_drafts_and_published_versions_compile_alike() -> None:
    make_meters()
    draft = apply_plan(content(*components("volume"), plan="drafted"))
    (candidate,) = compile_versions([draft])
    assert [component.key for component in candidate.components] == ["volume"]


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"meters": []},
        content(price(), currency="usd"),
        content({"key": "c"}),
        content(price(unit_price="x")),
        content(price(), price()),
    ],
)
def test_what_is_no_plan_is_refused(document: dict[str, Any]) -> None:
    make_meters()
    with pytest.raises((CatalogError, InvalidRequest)):
        compile_content(document)


def test_an_unknown_meter_is_named() -> None:
    with pytest.raises(InvalidRequest) as error:
        compile_content(content(price("nowhere")), "contents")
    assert (error.value.code, error.value.param) == ("unknown_meter", "contents")
    assert "'nowhere'" in error.value.message


def test_since_when_a_meter_counts_is_when_it_was_frozen() -> None:
    make_meter("loose")
    make_meter("frozen", frozen_at=datetime(2026, 1, 5, tzinfo=UTC))
    loose, frozen = compile_content(content(price("loose"), price("frozen", key="d"))).components
    assert loose.meter.counted_since is None
    assert frozen.meter.counted_since == datetime(2026, 1, 5, tzinfo=UTC)
