"""Paging of stored rows: by number, and by keyset in tables that only grow."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.pages import columns
from core.pages.listing import Listing
from core.pages.paging import Page, keyset_page, numbered_page
from core.pages.rows import search_rows, sort_rows
from tests.core.pages.rows import get

pytestmark = pytest.mark.django_db
ORDER = ("-expire_date", "-session_key")
NOW = datetime(2026, 11, 23, 14, 5, 7, 123456, tzinfo=UTC)


@pytest.fixture
def sessions() -> None:
    """Ten rows at five instants, a microsecond apart: ties that a cursor has to break."""
    Session.objects.bulk_create(
        Session(session_key=f"k{index}", expire_date=NOW + timedelta(microseconds=index // 2))
        for index in range(10)
    )


def page(place: dict[str, str] | None = None, size: int = 4) -> Page:
    """The page at a place that another page has given; the first without one."""
    after, before = (place or {}).get("after", ""), (place or {}).get("before", "")
    return keyset_page(Session.objects.all(), ORDER, after, before, size)


def keys(found: Page) -> list[str]:
    return [row.session_key for row in found.rows]


@pytest.mark.usefixtures("sessions")
def test_following_the_cursor_meets_every_row_once_in_order() -> None:
    found, current = [], page()
    while True:
        found += keys(current)
        if current.older is None:
            break
        current = page(current.older)
    assert found == [f"k{index}" for index in range(9, -1, -1)]


@pytest.mark.usefixtures("sessions")
def test_going_back_shows_the_same_page_again() -> None:
    first = page()
    assert first.newer is None
    assert first.older is not None
    second = page(first.older)
    assert second.newer is not None
    assert keys(page(second.newer)) == keys(first)


@pytest.mark.usefixtures("sessions")
def test_new_rows_do_not_shift_the_next_page() -> None:
    first = page()
    Session.objects.create(session_key="newest", expire_date=NOW + timedelta(hours=1))
    assert first.older is not None
    assert keys(page(first.older)) == ["k5", "k4", "k3", "k2"]


@pytest.mark.usefixtures("sessions")
def test_rows_before_the_newest_page_can_be_reached() -> None:
    first = page()
    Session.objects.create(session_key="newest", expire_date=NOW + timedelta(hours=1))
    assert first.older is not None
    second = page(first.older)
    assert second.newer is not None
    back = page(second.newer)
    assert keys(back) == keys(first)
    assert back.newer is not None
    assert keys(page(back.newer)) == ["newest"]


@pytest.mark.usefixtures("sessions")
def test_the_last_page_ends() -> None:
    assert page(size=10).older is None
    assert page(size=9).older is not None


def cursor_of(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.usefixtures("sessions")
@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "é",
        "A" * 2000,
        cursor_of(),
        cursor_of("2026-11-23"),
        cursor_of(None, None),
        cursor_of("not a date", "k"),
        cursor_of(5, "k"),
        cursor_of({"a": 1}, ["b"]),
        cursor_of("2026-11-23T00:00:00Z", "k\x00"),
        cursor_of("9999-99-99T00:00:00Z", "k"),
        base64.urlsafe_b64encode(b"[" * 900).decode(),
    ],
)
def test_a_made_up_cursor_shows_the_first_page(cursor: str) -> None:
    assert keys(page({"after": cursor})) == ["k9", "k8", "k7", "k6"]
    assert keys(page({"before": cursor})) == ["k9", "k8", "k7", "k6"]


@pytest.mark.usefixtures("sessions")
def test_a_keyset_page_costs_one_query_without_a_count_or_an_offset() -> None:
    first = page()
    assert first.older is not None
    with CaptureQueriesContext(
        connection,
    ) as queries:
        page(first.older)
    assert len(queries) == 1
    sql = queries[0]["sql"]
    assert "OFFSET" not in sql
    assert "COUNT" not in sql
    assert '"expire_date" <=' in sql


@pytest.fixture
def no_groups() -> None:
    """Without the groups that the migrations make."""
    Group.objects.all().delete()


@pytest.mark.usefixtures("no_groups")
def test_numbered_pages_count_stored_rows() -> None:
    Group.objects.bulk_create(Group(name=f"g{index}") for index in range(5))
    found = numbered_page(Group.objects.order_by("name"), "2", 2)
    assert [group.name for group in found.rows] == ["g2", "g3"]
    assert (found.first, found.last, found.total) == (3, 4, 5)
    assert (found.newer, found.older) == ({"page": ""}, {"page": "3"})


@pytest.mark.usefixtures("no_groups")
def test_stored_rows_are_searched_and_ordered() -> None:
    Group.objects.bulk_create([Group(name="Beta 50%"), Group(name="alpha"), Group(name="Alphabet")])
    assert [group.name for group in search_rows(Group.objects.all(), ("name",), "ALPHA")] != []
    assert [group.name for group in search_rows(Group.objects.all(), ("name",), "%")] == ["Beta 50%"]
    ordered = sort_rows(Group.objects.all(), "name", is_descending=True)
    assert {group.name for group in ordered} == {"Beta 50%", "alpha", "Alphabet"}
    assert next(iter(ordered)).name == Group.objects.order_by("-name")[0].name


def test_a_listing_of_a_growing_table_has_no_sortable_heads_and_no_count() -> None:
    Session.objects.create(session_key="k", expire_date=NOW)
    listing = Listing(
        key="sessions",
        title="Sessions",
        columns=(columns.text("session_key", "Key"), columns.instant("expire_date", "Until")),
        order=ORDER,
    )
    table = listing.table(get("?sort=session_key"), Session.objects.all())
    assert [head.sort_url for head in table.heads] == ["", ""]
    assert [head.aria_sort for head in table.heads] == ["", ""]
    assert table.count_text == "1 on this page"


@pytest.mark.usefixtures("no_groups")
def test_a_listing_exports_stored_rows_in_chunks() -> None:
    Group.objects.bulk_create(Group(name=f"g{index}") for index in range(3))
    listing = Listing(
        key="groups", title="Groups", columns=(columns.text("name", "Name"),), default_sort="-name"
    )
    response = replace(listing, page_size=1).respond(get("?export=csv"), Group.objects.all())
    assert response.getvalue() == b"name\r\ng2\r\ng1\r\ng0\r\n"
