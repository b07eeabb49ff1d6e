"""`GET /v1/usage` where only events can tell: a user, a key, a trace, latest and weighted_sum."""

from __future__ import annotations

from core.ids import public_id
from tests.metering.conftest import Api, Tenant
from tests.metering.usage_rows import WINDOW, a_meter, an_event, only


def test_a_user_a_key_and_a_trace_are_read_from_events(api: Api, acme: Tenant, rival: Tenant) -> None:
    a_meter()
    an_event(acme, "2026-03-01 01:10", {"tokens": 1}, user="maria")
    an_event(acme, "2026-03-01 01:20", {"tokens": "2.5"}, user="maria", trace="t1")
    an_event(acme, "2026-03-02 01:20", {"tokens": 4}, user="joe", api_key_id=None)
    an_event(acme, "2026-03-02 01:20", {"tokens": "no number"}, user="joe")
    an_event(rival, "2026-03-01 01:10", {"tokens": 100}, user="maria", trace="t1")
    series = only(api.get(f"usage?customer=acme&{WINDOW}&user=maria"))
    assert (series["total"], series["events"], len(series["points"])) == ("3.5", 2, 1)
    assert only(api.get(f"usage?customer=acme&{WINDOW}&trace=t1"))["total"] == "2.5"
    assert only(api.get(f"usage?customer=acme&{WINDOW}&api_key={acme.key.public_id}"))["total"] == "3.5"
    assert api.get(f"usage?customer=acme&{WINDOW}&user=nobody").body["data"] == []


def test_numbers_in_events_are_exact(api: Api, acme: Tenant) -> None:
    a_meter()
    an_event(acme, "2026-03-01 01:10", {"tokens": "99999999999999999999.999999999999"}, user="u")
    an_event(acme, "2026-03-01 01:10", {"tokens": 9007199254740993}, user="u")
    series = only(api.get(f"usage?customer=acme&{WINDOW}&user=u"))
    assert series["total"] == "100009007199254740992.999999999999"


def test_latest_and_weighted_sum_are_read_from_events(api: Api, acme: Tenant) -> None:
    a_meter("level", "latest"), a_meter("seats", "weighted_sum")
    an_event(acme, "2026-03-01 12:00", {"tokens": 4})
    an_event(acme, "2026-03-01 06:00", {"tokens": 8})
    data = api.get("usage?customer=acme&from=2026-03-01&to=2026-03-03&meter=level,seats").body["data"]
    assert [(row["meter"], row["total"]) for row in data] == [("level", "4"), ("seats", "10")]
    assert [[point["value"] for point in row["points"]] for row in data] == [["4"], ["8"]]


def test_a_level_that_is_carried_over_holds_in_empty_periods(api: Api, acme: Tenant) -> None:
    a_meter("seats", "weighted_sum", carry_over=True)
    an_event(acme, "2026-01-15 00:00", {"tokens": 10})
    an_event(acme, "2026-03-02 12:00", {"tokens": -4})
    series = only(api.get("usage?customer=acme&from=2026-03-01&to=2026-03-04&meter=seats"))
    assert [point["value"] for point in series["points"]] == ["10", "8", "6"]
    assert series["total"] == "8"
    assert [point["events"] for point in series["points"]] == [0, 1, 0]


def test_events_are_filtered_and_divided_as_the_meter_says(api: Api, acme: Tenant) -> None:
    a_meter(filter=[{"property": "region", "op": "eq", "value": "eu"}], group_by=["model"])
    for properties in (
        {"tokens": 1, "region": "eu", "model": "m"},
        {"tokens": 2, "region": "us", "model": "m"},
        {"tokens": 4, "region": "eu"},
    ):
        an_event(acme, "2026-03-01 01:10", properties, user="u")
    data = api.get(f"usage?customer=acme&{WINDOW}&user=u&group_by=model,workspace,region").body["data"]
    workspace = public_id("ws", acme.workspace.pk)
    assert [(row["group"], row["total"]) for row in data] == [
        ({"model": "m", "workspace": workspace, "region": None}, "1"),
        ({"model": None, "workspace": workspace, "region": None}, "4"),
    ]
