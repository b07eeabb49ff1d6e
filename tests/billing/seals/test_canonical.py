"""The bytes of seals: the tables of docs/algorithms/seals.md, by the product and by the auditor's file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.seals import check_export
from billing.seals.canonical import (
    CHARGE,
    EVENT,
    FIELDS,
    GENESIS,
    PROPERTY,
    TRANSFER,
    USER,
    Entry,
    Parts,
    Place,
    Row,
    Terms,
    commitment,
    pack,
    part_salt,
    record,
    row_hash,
    seal_head,
    unpack,
)
from billing.seals.exporting import row_line
from tests.pricing.documented import documented

SALT = bytes(range(16))
ID = "0198a4c3-0000-7000-8000-000000000001"
AT = "2026-01-15T12:00:00.000000Z"
OCCURRED = "2026-01-15T11:59:59.500000Z"
COMMITTED = documented("seals.md", "What may be erased")
TABLE = {row["what"]: row["hex"] for row in documented("seals.md", "Worked table")}
VALUES = {USER: "ada", "properties.tokens": "5", "properties.who": '"ada"'}
EVENT_ROW = Row(
    Place(2, EVENT),
    ("2", ID, AT, "3", None, "k0", "completion", OCCURRED, None, "0.01", None, "api", "25", "false", "false"),
    Parts(VALUES, {}, {}),
)
CHARGE_ROW = Row(
    Place(2, CHARGE),
    ("2", ID, AT, "3", ID, AT, OCCURRED, "0.05", "USD", '[{"amount": "0.05"}]', "[]", "99.95", "0", "99.95"),
)
TRANSFER_ROW = Row(Place(2, TRANSFER), ("2", "0", AT, "usage", ID, "wallet", "revenue", "0.05", "4"))
ROWS = (EVENT_ROW, CHARGE_ROW, TRANSFER_ROW)


def erased() -> Row:
    """The event once user and `who` are gone: no salt but that of the tokens, no value but theirs."""
    commitments = EVENT_ROW.parts.commitments(SALT) if EVENT_ROW.parts else {}
    gone = {path: commitments[path] for path in (USER, "properties.who")}
    kept = {"properties.tokens": part_salt(SALT, "properties.tokens")}
    return Row(EVENT_ROW.place, EVENT_ROW.fields, Parts({"properties.tokens": "5"}, kept, gone))


def heads() -> tuple[bytes, bytes, bytes]:
    """The heads of the two seals, and the entries of the second."""
    first = seal_head(Terms(1, 7, 1, 1, AT), GENESIS, b"")
    entries = pack(Entry(row.place, row_hash(row, SALT)) for row in ROWS)
    return first, seal_head(Terms(1, 7, 2, 2, "2026-01-15T12:05:00.000000Z"), first, entries), entries


@pytest.mark.parametrize("row", COMMITTED, ids=lambda row: row["path"])
def test_commitments_are_as_documented(row: dict[str, str]) -> None:
    salt = part_salt(SALT, row["path"])
    assert (salt.hex(), commitment(salt, row["value"]).hex()) == (row["salt"], row["commitment"])
    assert VALUES[row["path"]] == row["value"]


def test_rows_and_heads_are_as_documented() -> None:
    first, second, entries = heads()
    assert {
        "head of seal 1 to 1": first.hex(),
        "event 2": row_hash(EVENT_ROW, SALT).hex(),
        "charge 2": row_hash(CHARGE_ROW).hex(),
        "transfer 2": row_hash(TRANSFER_ROW).hex(),
        "first entry of seal 2 to 2": entries[:43].hex(),
        "head of seal 2 to 2": second.hex(),
        "event 2, user and who erased": row_hash(erased()).hex(),
    } == TABLE


@pytest.mark.parametrize("row", [*ROWS, erased()], ids=lambda row: row.place.kind)
def test_the_auditors_file_comes_to_the_same(row: Row) -> None:
    for is_redacted in (False, True):
        line = row_line(row, {row.place: SALT}, is_redacted=is_redacted)
        assert check_export.row_hash(line) == row_hash(row, SALT)


def test_the_auditors_file_knows_the_same_fields() -> None:
    named = {kind: fields.split() for kind, fields in check_export.FIELDS.items()}
    assert named == {kind: list(fields) for kind, fields in FIELDS.items()}


def test_records_are_as_documented() -> None:
    assert [record([None]), record([""]), record(["ab", None, "é"])] == [b"-", b"0:,", "2:ab,-2:é,".encode()]


UNHURRIED = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXTS = st.lists(st.none() | st.text(alphabet=":,-0123456789é", max_size=6), max_size=6)


@UNHURRIED
@given(TEXTS, TEXTS)
def test_no_two_lists_of_fields_give_the_same_bytes(one: list[Any], other: list[Any]) -> None:
    assert (record(one) == record(other)) == (one == other)
    assert record(one) == check_export.record(one)


@UNHURRIED
@given(st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=5), st.data())
def test_erasing_any_parts_leaves_an_events_hash_as_it_is(
    values: dict[str, str], data: st.DataObject
) -> None:
    paths = {PROPERTY + name: text for name, text in values.items()} | {USER: "u"}
    whole = Parts(paths, {}, {})
    gone = set(data.draw(st.lists(st.sampled_from(sorted(paths)), unique=True)))
    commitments = whole.commitments(SALT)
    left = {path: text for path, text in paths.items() if path not in gone}
    rest = Parts(
        left,
        {path: part_salt(SALT, path) for path in left},
        {path: commitments[path] for path in gone},
    )
    rows = [Row(Place(1, EVENT), EVENT_ROW.fields, parts) for parts in (whole, rest)]
    assert row_hash(rows[0], SALT) == row_hash(rows[1], bytes(16))


def test_entries_are_read_as_they_were_written() -> None:
    entries = [
        Entry(Place(2**62, TRANSFER, 32767), bytes(32)),
        Entry(Place(1, EVENT), b"x" * 32),
        Entry(Place(7, CHARGE), b"y" * 32),
    ]
    assert unpack(pack(entries)) == entries
    for wrong in (b"x" * 43, b"e" * 42, pack(entries)[1:]):
        with pytest.raises(ValueError, match="entries"):
            unpack(wrong)
