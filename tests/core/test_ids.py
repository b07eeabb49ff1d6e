"""An id says what it names and where it lies; whatever is not one names nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from core.errors import NotFound
from core.ids import decode, encode, hot_id, hot_row, new_uuids7, public_id, row_id, uuid7_at

UUID_7 = UUID("019c0c1e-7b00-7123-8abc-0123456789ab")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (31, "z"),
        (32, "10"),
        (1023, "zz"),
        (2**63 - 1, "7zzzzzzzzzzzz"),
        (2**128 - 1, "7" + "z" * 25),
    ],
)
def test_a_number_is_written_in_base_32_and_read_back(number: int, text: str) -> None:
    assert encode(number) == text
    assert decode(text) == number


@pytest.mark.parametrize(
    "text", ["", "i", "l", "o", "u", "A", "-1", "1 ", " 1", "1_0", "é", "٣", "\x00", "z" * 40]
)
def test_what_is_no_base_32_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode(text)


@pytest.mark.parametrize("number", [1, 49, 32**8 - 1, 32**8, 2**63 - 1])
def test_a_row_is_found_by_its_public_id(number: int) -> None:
    public = public_id("cus", number)
    assert public.startswith("cus_")
    assert len(public) >= len("cus_") + 8
    assert row_id("cus", public) == number


def test_public_ids_are_as_documented() -> None:
    assert public_id("cus", 49) == "cus_0000001h"


@pytest.mark.parametrize(
    "public",
    [
        "ws_0000001h",  # another noun
        "cus_1h",  # too short: it may be the operator's own
        "cus_00000001h",  # one zero too many
        "cus_0000001H",
        "cus-0000001h",
        "cus_",
        "cus",
        "",
        "_0000001h",
        "cus_cus_0000001h",
        "cus_8000000000000",  # 2**63, which no row has
        "cus_0000000\x00",
        "cus_" + "z" * 500,
    ],
)
def test_what_is_no_public_id_of_the_noun_names_no_row(public: str) -> None:
    with pytest.raises(NotFound) as caught:
        row_id("cus", public)
    assert len(caught.value.message) < 150 + 4 * 80


@pytest.mark.parametrize("customer_id", [1, 31, 32, 2**63 - 1])
@pytest.mark.parametrize("number", [0, 1, 2**128 - 1, UUID_7.int])
def test_a_hot_row_is_found_by_its_public_id(customer_id: int, number: int) -> None:
    assert hot_row("ch", hot_id("ch", customer_id, UUID(int=number))) == (customer_id, UUID(int=number))


@pytest.mark.parametrize(
    "public",
    [
        "evt_1" + "0" * 26,  # another noun
        "ch_" + "0" * 26,  # no customer
        "ch_1" + "0" * 24 + "u0",
        "ch_1" + "8" + "0" * 25,  # 2**128
        "ch_8000000000000" + "0" * 26,  # customer 2**63
        "ch_" + "z" * 900,
        "ch_",
        "ch",
        "",
        "\x00",
    ],
)
def test_what_is_no_hot_id_of_the_noun_names_no_row(public: str) -> None:
    with pytest.raises(NotFound):
        hot_row("ch", public)


def test_a_new_id_has_the_version_the_variant_and_the_millisecond_of_its_instant() -> None:
    at = datetime(2026, 1, 15, 12, 0, 0, 123999, tzinfo=UTC)
    made = new_uuids7(at, 200)
    assert {uuid.version for uuid in made} == {7}
    assert {uuid.variant for uuid in made} == {"specified in RFC 4122"}
    assert {uuid7_at(uuid) for uuid in made} == {datetime(2026, 1, 15, 12, 0, 0, 123000, tzinfo=UTC)}
    assert len(set(made)) == 200


def test_later_ids_are_greater() -> None:
    instants = [datetime(2026, 1, 15, 12, 0, second, tzinfo=UTC) for second in range(20)]
    made = [new_uuids7(at, 1)[0] for at in instants]
    assert made == sorted(made)
    assert [hot_id("evt", 1, uuid) for uuid in made] == sorted(hot_id("evt", 1, uuid) for uuid in made)
