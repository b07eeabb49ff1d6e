"""Texts on their way to PostgreSQL as one array: whatever they hold, they arrive as they are."""

from __future__ import annotations

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.sql import nullable_text_array, text_array

TEXTS = st.text(st.characters(exclude_characters="\0\x02", exclude_categories=["Cs"]), max_size=8)


def arrived(literal: str) -> list[str | None]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::text[]", [literal])
        (row,) = cursor.fetchall()
    found: list[str | None] = row[0]
    return found


@pytest.mark.django_db
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(TEXTS | st.sampled_from(['"', "\\", '\\"', '","', "NULL", "{}", "", " ", "\n"]), max_size=6))
def test_any_texts_arrive_as_they_are(texts: list[str]) -> None:
    assert arrived(text_array(texts)) == texts
    assert arrived(nullable_text_array([None, *texts])) == [None, *texts]


def test_a_text_that_would_shift_the_others_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        text_array(["a", "b\0c"])
