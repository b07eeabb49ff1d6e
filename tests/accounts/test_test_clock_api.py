"""`POST /v1/test-clock`"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from core import clock, test_clock
from tests.accounts.caller import Caller

PATH = "/v1/test-clock"


@pytest.fixture
def enabled(settings: Any) -> Iterator[None]:
    settings.TOLLGATE_TEST_CLOCK = True
    test_clock.install()
    yield
    clock.use(None)


def test_an_admin_key_puts_the_clock(admin: Caller, enabled: None) -> None:
    answer = admin.post(PATH, {"now": "2027-02-03T04:05:06+01:00"})
    assert (answer.status, answer.json) == (200, {"now": "2027-02-03T03:05:06Z"})
    assert admin.made("/v1/customers", {"name": "x"})["created_at"] == "2027-02-03T03:05:06Z"


def test_a_reader_may_not_and_nobody_may_where_it_is_off(
    admin: Caller, reader: Caller, settings: Any
) -> None:
    assert reader.post(PATH, {"now": "2027-02-03T04:05:06Z"}).status == 403
    assert Caller().post(PATH, {"now": "2027-02-03T04:05:06Z"}).status == 401
    assert admin.post(PATH, {"now": "2027-02-03T04:05:06Z"}).status == 404


@pytest.mark.parametrize(
    "now", [None, 5, "", "soon", "2027-02-03", "2027-02-03T04:05:06", "9999-01-01T00:00:00Z"]
)
def test_the_instant_must_be_one(admin: Caller, enabled: None, now: object) -> None:
    answer = admin.post(PATH, {"now": now})
    assert (answer.status, answer.error["param"]) == (400, "now")
