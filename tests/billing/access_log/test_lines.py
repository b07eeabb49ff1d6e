"""Reading one line: whose call, what it took, and what is to become of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from accounts.secrets import fingerprint
from billing.access_log.lines import Fate, Line, read_line
from core import clock
from core.errors import TollgateError
from core.ids import hot_id
from metering.catalogue import MeterCatalogue
from metering.events import EventInput
from tests.billing.access_log.log_lines import line

HOLD = (7, UUID(int=5))
NO_METERS = MeterCatalogue([])


def read(**fields: Any) -> Line:
    return read_line(json.dumps(line(**fields)).encode())


def event_of(one: Line) -> EventInput:
    return one.event(clock.now(), NO_METERS)


@pytest.mark.parametrize(
    ("fate", "fields"),
    [
        (Fate.HELD, {"tollgate": "200", "authorization": hot_id("auth", *HOLD)}),
        (Fate.PASSED, {"tollgate": ""}),
        (Fate.PASSED, {"tollgate": "-"}),
        (Fate.PASSED, {"tollgate": "503", "reason": "fail_open"}),
        (Fate.STOPPED, {"tollgate": "503", "reason": "unavailable"}),
        (Fate.STOPPED, {"tollgate": "402", "reason": "insufficient_funds"}),
        (Fate.STOPPED, {"tollgate": "401", "reason": "unknown_key"}),
        (Fate.STOPPED, {"tollgate": "403", "reason": "closed"}),
    ],
)
def test_what_becomes_of_a_line_hangs_on_what_tollgate_said(fate: Fate, fields: dict[str, str]) -> None:
    assert read(**fields).fate is fate


def test_a_line_of_a_gateway_that_asks_nobody_is_an_event() -> None:
    bare = {name: value for name, value in line().items() if name not in ("tollgate", "reason")}
    assert read_line(json.dumps(bare).encode()).fate is Fate.EVENT


def test_the_hold_is_named_by_its_public_id() -> None:
    assert read(authorization=hot_id("auth", *HOLD)).authorization == HOLD
    assert read().authorization is None
    with pytest.raises(TollgateError) as raised:
        read(authorization="auth_nonsense")
    assert (raised.value.code, raised.value.param) == ("unknown_authorization", "authorization")


@pytest.mark.parametrize(
    ("is_free", "fields"),
    [
        (False, {"status": "200"}),
        (False, {"status": "404"}),
        (False, {"status": "499"}),
        (True, {"status": "500"}),
        (True, {"status": "502"}),
        (False, {"status": "500", "usage": "3"}),
        (False, {"status": ""}),
        (False, {"status": "many"}),
    ],
)
def test_a_call_that_failed_is_free_unless_the_upstream_says_what_it_used(
    is_free: bool, fields: dict[str, str]
) -> None:
    assert read(**fields).is_free is is_free


def test_from_which_status_a_call_is_free_is_the_operators_choice() -> None:
    raw = json.dumps(line(status="429")).encode()
    assert read_line(raw, free_from=400).is_free
    assert not read_line(raw).is_free


@pytest.mark.parametrize(
    ("used", "fields"),
    [
        ({"bytes": 512}, {}),
        ({}, {"bytes": ""}),
        ({"bytes": 0}, {"bytes": "0"}),
        ({"bytes": 512, "quantity": 7}, {"usage": "7"}),
        ({"bytes": 512, "quantity": Decimal("0.25")}, {"usage": "0.25"}),
        ({"bytes": 512, "tokens": 42, "model": "m"}, {"usage": '{"tokens": 42, "model": "m"}'}),
        ({"bytes": 1}, {"usage": '{"bytes": 1}'}),
    ],
)
def test_the_upstreams_word_and_the_bytes_sent_are_what_the_call_took(
    used: dict[str, Any], fields: dict[str, str]
) -> None:
    assert read(**fields).used == used


def test_usage_may_be_json_of_its_own() -> None:
    raw = {**line(), "usage": {"tokens": 3}, "bytes": 9}
    assert read_line(json.dumps(raw).encode()).used == {"bytes": 9, "tokens": 3}
    assert read_line(json.dumps(raw | {"usage": 2.5}).encode()).used == {
        "bytes": 9,
        "quantity": Decimal("2.5"),
    }


@pytest.mark.parametrize(
    ("sent", "read_as"),
    [
        ("2026-01-15T12:00:00+01:00", datetime(2026, 1, 15, 11, tzinfo=UTC)),
        ("1768474800.250", datetime(2026, 1, 15, 11, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_both_of_nginxs_notations_of_the_time_are_read(sent: str, read_as: datetime) -> None:
    assert read(time=sent).occurred_at == read_as


def test_an_event_takes_what_was_expected_where_nobody_says_more() -> None:
    event = read(caller="Bearer secret", quantity="100", user="ada", usage='{"tokens": 5}').event(
        clock.now(), NO_METERS
    )
    assert event.properties == {"quantity": 100, "bytes": 512, "tokens": 5}
    assert (event.api_key, event.user) == (fingerprint("secret"), "ada")
    assert event_of(read(caller="x", quantity="100", usage="30")).properties["quantity"] == 30


@pytest.mark.parametrize("presented", ["Bearer s3cret", "s3cret", "Token s3cret", "Basic czNjcmV0Og=="])
def test_the_caller_is_known_by_the_key_however_it_was_presented(presented: str) -> None:
    assert event_of(read(caller=presented)).api_key == fingerprint("s3cret")


@pytest.mark.parametrize("said", [b"\xff\xfe", b"a\\tb", b"x" * 300, "\u00e9".encode(), b"ada"])
def test_nobody_goes_unpaid_by_calling_itself_something_odd(said: bytes) -> None:
    raw = json.dumps(line(caller="s3cret", user="NAME")).encode().replace(b"NAME", said)
    event = event_of(read_line(raw))
    assert event.api_key == fingerprint("s3cret")
    assert event.user in (None, "\ufffd\ufffd", "\u00e9", "ada")


def test_a_caller_that_a_gateway_writes_as_a_number_is_its_text() -> None:
    assert event_of(read(caller=12345)).api_key == fingerprint("12345")


def test_neither_an_id_of_ours_nor_a_fingerprint_is_taken_for_a_callers_key() -> None:
    for presented in ("key_00000001", fingerprint("s3cret")):
        assert event_of(read(caller=presented)).api_key == fingerprint(presented)


@pytest.mark.parametrize(
    ("code", "raw"),
    [
        ("invalid_json", b"10.0.0.1 - - [15/Jan/2026] GET / 200"),
        ("invalid_json", b'{"request_id": "a", "time'),
        ("invalid_line", b"[]"),
        ("invalid_instant", b'{"request_id": "\xff"}'),
        ("no_request_id", b"{}"),
        ("no_request_id", b'{"request_id": ""}'),
        ("no_request_id", b'{"request_id": 7}'),
        ("no_request_id", json.dumps(line(request_id="x" * 256)).encode()),
        ("invalid_instant", b'{"request_id": "a"}'),
        ("invalid_instant", json.dumps(line(time="15/Jan/2026")).encode()),
        ("invalid_decimal", json.dumps(line(bytes="many")).encode()),
        ("invalid_decimal", json.dumps(line(usage="1e3")).encode()),
        ("invalid_json", json.dumps(line(usage='{"tokens": ')).encode()),
        ("invalid_text", json.dumps(line(user="a\x00")).encode()),
    ],
)
def test_a_line_that_cannot_be_read_says_why(code: str, raw: bytes) -> None:
    with pytest.raises(TollgateError) as raised:
        read_line(raw)
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("fields", "is_free"),
    [
        ({"status": "499", "upstream": ""}, True),
        ({"status": "499", "upstream": "-"}, True),
        ({"status": "0", "upstream": "-"}, True),  # as Envoy has it
        ({"status": "499", "upstream": "10.0.0.1:9000"}, False),
        ({"status": "499"}, False),  # a gateway whose log does not say
        ({"status": "200", "upstream": ""}, False),  # the gateway's own answer
        ({"status": "499", "upstream": "", "usage": "3"}, False),
    ],
)
def test_who_hangs_up_before_the_api_is_asked_owes_nothing(fields: dict[str, str], is_free: bool) -> None:
    assert read(**fields).is_free is is_free
