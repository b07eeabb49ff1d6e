"""`/events`: filters, pages, live tail, and one event with its JSON."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.keys import issue_api_key
from billing.charging import Mode, charge_many
from metering.models import UsageEvent
from pricing.models import PlanVersion
from tests.billing.pages.conftest import NOW, now_is
from tests.billing.pages.reading import page, read, rows
from tests.billing.world import Tenant, charge, make_tenant, request

pytestmark = pytest.mark.django_db
Cast = dict[str, Any]


@pytest.fixture
def cast(acme: Tenant, version: PlanVersion) -> Cast:
    """Two customers; events priced, unmatched and unpriced, of a user, a key and a trace."""
    other = make_tenant(version)
    key = issue_api_key(workspace=acme.workspace, name="k", user=None).key
    charge(acme, "priced", Mode.REPORT, properties={"tokens": 300}, user="ada", trace="job/1")
    charge(acme, "keyed", Mode.REPORT, api_key=key.public_id, properties={"tokens": 1})
    charge(acme, "unheard", Mode.REPORT, event="misspelt")
    charge(other, "others", Mode.REPORT, properties={"tokens": 5}, user="bob")
    lone = make_tenant(None)
    charge(lone, "unpriced", Mode.REPORT, properties={"tokens": 5})
    return {"acme": acme, "other": other, "key": key, "lone": lone}


def keys(client: Client, query: str = "") -> set[str]:
    return {row["event_idempotency_key"] for row in rows(client, f"/events?export=csv{query}")}


def test_the_latest_events_of_everyone_are_listed(staff: Client, cast: Cast) -> None:
    assert keys(staff) == {"priced", "keyed", "unheard", "others", "unpriced"}
    text = read(staff, "/events")
    assert "completion Charged 15 Jan 2026, 12:00:00 UTC" in text
    assert "misspelt Unmatched" in text
    assert "USD 2.00" in text


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("&customer={acme}", {"priced", "keyed", "unheard"}),
        ("&payer={payer}", {"priced", "keyed", "unheard"}),
        ("&workspace={workspace}", {"priced", "keyed", "unheard"}),
        ("&key={key}", {"keyed"}),
        ("&name=misspelt", {"unheard"}),
        ("&name=misspelt&customer={other}", set()),
        ("&user=ada", {"priced"}),
        ("&user=ada&customer={acme}", {"priced"}),
        ("&trace=job/1", {"priced"}),
        ("&trace=job/1&customer={other}", set()),
        ("&flag=unmatched", {"unheard"}),
        ("&flag=unpriced", {"unpriced"}),
        ("&flag=unmatched&customer={acme}", {"unheard"}),
        ("&flag=nonsense", {"priced", "keyed", "unheard", "others", "unpriced"}),
        ("&user=%00", {"priced", "keyed", "unheard", "others", "unpriced"}),
    ],
)
def test_events_are_filtered(staff: Client, cast: Cast, query: str, expected: set[str]) -> None:
    names = {
        "acme": cast["acme"].customer.public_id,
        "other": cast["other"].customer.external_id,
        "payer": cast["acme"].payer.external_id,
        "workspace": cast["acme"].workspace.public_id,
        "key": cast["key"].public_id,
    }
    assert keys(staff, query.format(**names)) == expected


def test_a_customer_is_found_by_a_part_of_its_name_that_no_other_has(staff: Client, cast: Cast) -> None:
    name = cast["other"].customer.name
    assert keys(staff, f"&customer={name.upper()}") == {"others"}
    assert "Several customers have" in read(staff, "/events?customer=customer")


@pytest.mark.parametrize(
    "query", ["customer=nobody", "payer=be_1", "workspace=x", "key=key_00000000", "customer=%20x"]
)
def test_a_reference_that_names_nothing_finds_nothing_and_says_why(
    staff: Client, cast: Cast, query: str
) -> None:
    text = read(staff, f"/events?{query}")
    assert "Nothing matches" in text
    assert "There is no" in text or "No customer has" in text


def test_references_of_two_customers_contradict_each_other(staff: Client, cast: Cast) -> None:
    query = f"customer={cast['other'].customer.public_id}&payer={cast['acme'].payer.public_id}"
    assert "do not belong to one customer" in read(staff, f"/events?{query}")


def test_the_window_is_bounded_and_can_be_chosen(staff: Client, acme: Tenant) -> None:
    charge(acme, "old", properties={"tokens": 1})
    for ahead, expected in (
        (timedelta(minutes=50), {"", "1h", "7d", "31d"}),
        (timedelta(hours=2), {"", "7d", "31d"}),
        (timedelta(days=3), {"7d", "31d"}),
        (timedelta(days=20), {"31d"}),
        (timedelta(days=40), set()),
    ):
        now_is(NOW + ahead)
        assert {period for period in ("", "1h", "7d", "31d") if keys(staff, f"&period={period}")} == expected
    assert keys(staff, "&period=custom&start=2026-01-15&end=2026-01-15") == {"old"}
    assert keys(staff, "&period=custom&start=2026-01-16&end=2026-01-17") == set()
    assert keys(staff, "&period=custom&start=2025-01-01&end=2026-12-31") == set()  # cut to 92 days


def test_pages_lead_on_and_back_for_everyone_and_for_one(staff: Client, acme: Tenant) -> None:
    for start in range(0, 60, 20):
        now_is(NOW + timedelta(seconds=start))
        charge_many(
            [request(acme, f"k{start + n}", Mode.REPORT, properties={"tokens": 1}) for n in range(20)]
        )
    for base in ("/events?", f"/events?customer={acme.customer.public_id}&"):
        first = page(staff, base)
        onward = first.split('id="events-older" href="')[1].split('"')[0].replace("&amp;", "&")
        second = page(staff, f"/events{onward}")
        assert (first.count("row-link"), second.count("row-link")) == (50, 10)
        assert 'id="events-older"' not in second
        back = second.split('id="events-newer" href="')[1].split('"')[0].replace("&amp;", "&")
        again = page(staff, f"/events{back}")
        assert again.count("row-link") == 50
        assert 'id="events-newer"' not in again


@pytest.mark.parametrize("cursor", ["x", "zzz", "0" * 80, "%00", "WyJ4Il0", "é"])
def test_a_made_up_cursor_is_the_first_page(staff: Client, cast: Cast, cursor: str) -> None:
    acme = cast["acme"].customer.public_id
    for query in (f"after={cursor}", f"before={cursor}", f"customer={acme}&after={cursor}"):
        assert "completion" in read(staff, f"/events?{query}")


def test_the_live_tail_can_be_switched_on_and_off_by_the_address(staff: Client, cast: Cast) -> None:
    quiet, live = page(staff, "/events"), page(staff, "/events?live=1")
    assert "data-live" not in quiet
    assert 'data-live hx-get="?live=1" hx-trigger="every 3s"' in live
    assert "Stop live" in live
    part = page(staff, "/events?live=1", htmx="events-table")
    assert part.lstrip().startswith('<div class="listing-region"')


def test_a_page_reads_no_more_rows_than_it_shows(staff: Client, acme: Tenant, version: PlanVersion) -> None:
    """Both ways through: neither reads a whole partition."""
    other = make_tenant(version)
    for tenant in (acme, other):
        charge_many([request(tenant, f"k{n}", Mode.REPORT, properties={"tokens": 1}) for n in range(500)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE metering_usageevent")
    for address in ("/events", f"/events?customer={acme.customer.public_id}"):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            page(staff, address)
        plans = [_plan(query["sql"]) for query in captured if "metering_usageevent" in query["sql"]]
        assert plans
        assert not [plan for plan in plans if "Seq Scan on metering_usageevent" in plan]


def test_an_event_shows_its_json_exactly(staff: Client, acme: Tenant) -> None:
    exact = {"tokens": 300, "ratio": "0.10", "deep": {"<b>": [1, None, True]}, "long": 10**17 + 1}
    charge(acme, "a", properties=exact)
    event = UsageEvent.objects.get()
    text = read(staff, f"/events/{event.public_id}")
    assert '"long": 100000000000000001' in text
    assert '"<b>": [' in text
    assert "Charge How it came about Amount USD 2.00 Lines tok USD 2.00" in text
    assert event.public_id in text


def test_an_event_without_a_charge_says_why(staff: Client, cast: Cast) -> None:
    unheard = UsageEvent.objects.get(idempotency_key="unheard")
    unpriced = UsageEvent.objects.get(idempotency_key="unpriced")
    assert "No meter hears this name." in read(staff, f"/events/{unheard.public_id}")
    assert "Nothing prices it." in read(staff, f"/events/{unpriced.public_id}")


def test_an_installation_without_events_says_so(staff: Client) -> None:
    assert "No events in this time" in read(staff, "/events")
    assert "No charges in this time" in read(staff, "/charges")


def _plan(query: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + query)
        return "\n".join(row[0] for row in cursor.fetchall())
