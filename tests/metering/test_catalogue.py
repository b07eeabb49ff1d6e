from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from core.models import ConfigVersion
from metering.catalogue import freeze_meters, load_meter_catalogue, meter_catalogue
from metering.models import Meter

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_meter(key: str, **fields: Any) -> Meter:
    values = {
        "name": key,
        "event": "call",
        "aggregation": "sum",
        "property_path": "tokens",
        "created_at": NOW,
    }
    return Meter.objects.create(key=key, **(values | fields))


def version() -> int:
    return ConfigVersion.objects.values_list("version", flat=True).first() or 0


def test_meters_are_found_by_the_name_of_the_event_oldest_first() -> None:
    a_meter("b"), a_meter("a"), a_meter("other", event="image")
    found = load_meter_catalogue()
    assert [meter.key for meter in found.meters_for("call")] == ["b", "a"]
    assert [meter.key for meter in found.meters_for("image")] == ["other"]
    assert found.meters_for("imgae") == ()


def test_a_meter_is_ready_to_be_asked() -> None:
    row = a_meter(
        "eu_tokens",
        filter=[{"property": "region", "op": "eq", "value": "eu"}],
        group_by=["model"],
        unit="tokens",
        late_policy="absorb",
    )
    (meter,) = load_meter_catalogue().meters_for("call")
    assert (meter.id, meter.aggregation, meter.unit, meter.late_policy) == (row.pk, "sum", "tokens", "absorb")
    assert not meter.frozen
    assert meter.matches({"region": "eu"})
    assert not meter.matches({"region": "us"})
    assert meter.contribution({"tokens": Decimal("2.5")}) == Decimal("2.5")
    assert meter.contribution({"tokens": "many"}) is None
    assert meter.group({"model": "m"}) == ("m",)


@pytest.mark.parametrize(
    ("frozen_at", "archived_at", "hears"), [(None, None, True), (None, NOW, False), (NOW, NOW, True)]
)
def test_an_archived_meter_goes_on_counting_if_it_was_ever_used(
    frozen_at: datetime | None, archived_at: datetime | None, hears: bool
) -> None:
    a_meter("tokens", frozen_at=frozen_at, archived_at=archived_at)
    assert bool(load_meter_catalogue().meters_for("call")) is hears


def test_the_catalogue_is_read_once_for_a_version(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    a_meter("tokens")
    at = version()
    first = meter_catalogue(at)
    with django_assert_num_queries(0):
        assert meter_catalogue(at) is first


def test_a_new_meter_is_heard_at_the_next_version() -> None:
    a_meter("tokens")
    before = version()
    assert len(meter_catalogue(before).meters_for("call")) == 1
    a_meter("calls", aggregation="count", property_path=None)
    assert version() > before
    assert len(meter_catalogue(version()).meters_for("call")) == 2


def test_the_first_count_freezes_a_meter_for_good(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    row = a_meter("tokens")
    meters = load_meter_catalogue().meters_for("call")
    with django_capture_on_commit_callbacks(execute=True):
        freeze_meters(meters, NOW)
    row.refresh_from_db()
    assert row.frozen_at == NOW
    with django_assert_num_queries(0):
        freeze_meters(meters, NOW)


def test_a_meter_is_not_taken_for_frozen_when_the_count_is_rolled_back() -> None:
    a_meter("tokens")
    meters = load_meter_catalogue().meters_for("call")
    with transaction.atomic():
        freeze_meters(meters, NOW)
        transaction.set_rollback(True)
    assert not meters[0].frozen
    assert Meter.objects.get().frozen_at is None


def test_freezing_again_keeps_the_first_instant(
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    a_meter("tokens")
    stale = load_meter_catalogue().meters_for("call")
    freeze_meters(load_meter_catalogue().meters_for("call"), NOW)
    freeze_meters(stale, NOW.replace(year=2027))
    assert Meter.objects.get().frozen_at == NOW
