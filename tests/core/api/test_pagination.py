"""Cursor pagination by any order that is unique as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from core.api.pagination import CursorPagination
from core.errors import InvalidRequest
from core.models import IdempotentRequest

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def page(ordering: Sequence[str], **parameters: str) -> dict[str, Any]:
    view: Any = SimpleNamespace(ordering=ordering)
    pager = CursorPagination()
    request = Request(APIRequestFactory().get("/v1/rows", parameters))
    rows = pager.paginate_queryset(IdempotentRequest.objects.all(), request, view)
    answer: dict[str, Any] = pager.get_paginated_response([row.key for row in rows]).data
    return answer


def walk(ordering: Sequence[str], limit: int) -> list[str]:
    keys: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = page(ordering, limit=str(limit), **cursor)
        keys += answer["data"]
        if not answer["has_more"]:
            assert answer["next_cursor"] is None
            return keys
        cursor = {"cursor": answer["next_cursor"]}


@pytest.fixture
def _rows() -> None:
    IdempotentRequest.objects.bulk_create(
        IdempotentRequest(
            operation="o",
            key=f"k{number:02}",
            payload={},
            status=number % 3,
            # Three rows an instant, instants a microsecond apart: nothing may be cut off a cursor.
            created_at=NOON + timedelta(microseconds=number // 3),
        )
        for number in range(20)
    )


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 19, 20, 21, 500])
@pytest.mark.parametrize(
    "ordering", [("-created_at", "-key"), ("-created_at", "key"), ("status", "-created_at", "key")]
)
def test_every_row_comes_once_and_in_order(ordering: Sequence[str], limit: int) -> None:
    expected = list(IdempotentRequest.objects.order_by(*ordering).values_list("key", flat=True))
    assert walk(ordering, limit) == expected


def test_an_empty_list_has_one_empty_page() -> None:
    assert page(("key",)) == {"data": [], "has_more": False, "next_cursor": None}


@pytest.mark.usefixtures("_rows")
def test_a_full_last_page_has_no_next() -> None:
    assert page(("key",), limit="20")["has_more"] is False
    assert page(("key",), limit="19")["has_more"] is True


@pytest.mark.usefixtures("_rows")
def test_a_cursor_of_another_order_is_refused() -> None:
    cursor = page(("key",), limit="1")["next_cursor"]
    with pytest.raises(InvalidRequest):
        page(("-key",), cursor=cursor)
