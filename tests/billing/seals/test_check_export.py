"""The auditor's file on exports that are written here by hand, by the documented bytes."""

from __future__ import annotations

import json
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from billing.seals import check_export

AT = "2026-01-15T12:00:00.000000Z"
Lines = list[dict[str, Any]]


def netstring(text: str | None) -> bytes:
    """A field, as docs/algorithms/seals.md has it."""
    if text is None:
        return b"-"
    raw = text.encode()
    return b"%d:%s," % (len(raw), raw)


def transfer(seq: int, amount: str, source: str, destination: str, position: int = 0) -> dict[str, Any]:
    fields = {
        "seq": str(seq),
        "position": str(position),
        "recorded_at": AT,
        "reason": "usage",
        "reference": "r",
        "source": source,
        "destination": destination,
        "amount": amount,
        "grant_id": None,
    }
    return {"type": "transfer", "seq": seq, "position": position, "fields": fields}


def charge(seq: int, amount: str, settled: str) -> dict[str, Any]:
    names = check_export.FIELDS["charge"].split()
    known = {"seq": str(seq), "amount": amount, "settled_after": settled, "currency": "USD", "lines": "[]"}
    return {"type": "charge", "seq": seq, "fields": {name: known.get(name) for name in names}}


SALT = b"s" * 32


def event(seq: int, user: str | None, **properties: str) -> dict[str, Any]:
    names = check_export.FIELDS["event"].split()
    salts = {f"properties.{name}": SALT.hex() for name in properties} | ({"user": SALT.hex()} if user else {})
    return {
        "type": "event",
        "seq": seq,
        "fields": {name: str(seq) if name == "seq" else None for name in names},
        "user": user,
        "properties": properties,
        "salts": salts,
        "erased": {},
    }


def hashed(line: dict[str, Any]) -> bytes:
    """The row's hash, worked out here once more."""
    out = netstring(line["type"]) + b"".join(map(netstring, line["fields"].values()))
    if line["type"] == "event":
        salts = {path: bytes.fromhex(salt) for path, salt in line["salts"].items()}
        user = line["user"]
        out += netstring(None if user is None else sha256(salts["user"] + user.encode()).hexdigest())
        for name in sorted(line["properties"], key=str.encode):
            value = salts[f"properties.{name}"] + line["properties"][name].encode()
            out += netstring(name) + netstring(sha256(value).hexdigest())
    return sha256(out).digest()


def sealed(rows: Lines, low: int, high: int, previous: str, payer: int = 7) -> dict[str, Any]:
    """A seal over rows."""
    entries = b"".join(
        row["type"][0].encode() + pack(">qh", row["seq"], row.get("position", 0)) + hashed(row)
        for row in rows
    )
    terms = ["tollgate-seal-1", "1", str(payer), str(low), str(high), str(len(rows)), AT, previous]
    head = sha256(b"".join(map(netstring, [*terms, sha256(entries).hexdigest()]))).hexdigest()
    return {
        "type": "seal",
        "from_seq": low,
        "to_seq": high,
        "rows": len(rows),
        "sealed_at": AT,
        "previous_head": previous,
        "head": head,
        "entries": entries.hex(),
    }


def export(*batches: Lines, payer: int = 7) -> Lines:
    """A whole export of a payer: a seal for each batch of rows."""
    lines: Lines = [{"type": "payer", "format": "tollgate-seal-1", "customer": 1, "billing_entity": payer}]
    head, upto = "00" * 32, 0
    for rows in deepcopy(batches):
        seal = sealed(rows, upto + 1, rows[-1]["seq"], head, payer)
        lines += [seal, *rows]
        head, upto = seal["head"], seal["to_seq"]
    rows_total = sum(map(len, batches))
    return [*lines, {"type": "end", "billing_entity": payer, "seals": len(batches), "rows": rows_total}]


PAID_IN = transfer(1, "100", "cash", "wallet")
CALL: Lines = [
    event(2, "olga", tokens="5", who='"olga"'),
    charge(2, "0.05", "99.95"),
    transfer(2, "0.05", "wallet", "revenue"),
]


def says(lines: Lines, tmp_path: Path, kept: Lines | None = None) -> str:
    path = tmp_path / "export"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    try:
        check_export.check(str(path), kept or [])
    except check_export.Misfit as misfit:
        return str(misfit)
    return "fits"


def test_an_export_by_the_documented_bytes_fits(tmp_path: Path) -> None:
    assert says(export([PAID_IN], CALL), tmp_path) == "fits"
    assert says(export([PAID_IN, *CALL]), tmp_path) == "fits"


def test_texts_of_any_alphabet_fit(tmp_path: Path) -> None:
    call = [event(2, "Ольга ☂", **{"näme": '"ß"', "名": "1.50", "": "null"}), *CALL[1:]]
    assert says(export([PAID_IN, *call]), tmp_path) == "fits"


def test_two_payers_stand_one_after_the_other(tmp_path: Path) -> None:
    lines = export([PAID_IN], CALL) + export([PAID_IN], payer=8)
    assert says(lines, tmp_path) == "fits"
    lines[-2]["fields"]["amount"] = "99"
    assert says(lines, tmp_path) == "8, line 11: transfer 1 is not what it was when it was sealed"


def test_a_payer_that_is_cut_short_before_another_is_told(tmp_path: Path) -> None:
    lines = export([PAID_IN], CALL)[:-1] + export([PAID_IN], payer=8)
    assert "the last line about this payer is missing" in says(lines, tmp_path)


def test_sums_are_exact_however_long_the_amounts(tmp_path: Path) -> None:
    tiny, huge = "0.000000000000000001", "12345678901234567890123456789012345678901"
    rows = [
        transfer(1, huge, "cash", "wallet"),
        charge(2, tiny, f"{int(huge) - 1}.999999999999999999"),
        transfer(2, tiny, "wallet", "revenue"),
    ]
    assert says(export(rows), tmp_path) == "fits"
    rows[1] = charge(2, tiny, huge)
    assert "charge 2 told a balance of" in says(export(rows), tmp_path)


def test_transfers_of_one_number_are_told_apart_by_their_positions(tmp_path: Path) -> None:
    rows = [PAID_IN, transfer(1, "5", "wallet", "breakage", 1), transfer(1, "5", "wallet", "breakage", 2)]
    assert says(export(rows), tmp_path) == "fits"
    lines = export(rows)
    del lines[3]
    assert "transfer 1/1 is not here, where transfer 1/2 is" in says(lines, tmp_path)


def test_kept_heads_are_looked_for_among_all_seals(tmp_path: Path) -> None:
    lines = export([PAID_IN], CALL)
    heads = [
        {"customer": 1, "billing_entity": 7, "to_seq": line["to_seq"], "head": line["head"]}
        for line in lines
        if line["type"] == "seal"
    ]
    assert says(lines, tmp_path, heads) == "fits"
    stranger = {"customer": 1, "billing_entity": 9, "to_seq": 5, "head": "00"}
    assert says(lines, tmp_path, [stranger]) == "fits", "another payer's is not this export's affair"
    assert "at number 1 is not the head of a seal here" in says(lines, tmp_path, [heads[0] | {"head": "00"}])
    assert "ends at number 2, before the kept head at 3" in says(lines, tmp_path, [heads[0] | {"to_seq": 3}])


def test_something_cannot_be_erased_and_there(tmp_path: Path) -> None:
    lines = export([PAID_IN], CALL)
    lines[4]["erased"] = {"user": "00"}
    assert "user is said to be erased and is there" in says(lines, tmp_path)


def test_blank_lines_say_nothing_and_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_text("\n\n".join(map(json.dumps, export([PAID_IN], CALL))))
    assert check_export.main([str(path)]) == 0
    assert check_export.main([str(tmp_path / "none")]) == 2


@pytest.mark.parametrize("name", ["type", "seq", "fields", "user", "properties", "salts", "erased"])
def test_a_line_without_one_of_its_parts_is_told(tmp_path: Path, name: str) -> None:
    lines = export([PAID_IN], CALL)
    del lines[4][name]
    assert says(lines, tmp_path) != "fits"


@pytest.mark.parametrize("name", ["from_seq", "to_seq", "sealed_at", "previous_head", "head", "entries"])
def test_a_seal_without_one_of_its_parts_is_told(tmp_path: Path, name: str) -> None:
    lines = export([PAID_IN], CALL)
    del lines[1][name]
    assert "line 2 is not of the format" in says(lines, tmp_path)


@pytest.mark.parametrize("bit", range(0, 43 * 8, 7))
def test_any_bit_of_an_entry_counts(tmp_path: Path, bit: int) -> None:
    lines = export([PAID_IN], CALL)
    raw = bytearray.fromhex(lines[3]["entries"])
    raw[bit // 8] ^= 1 << bit % 8
    lines[3]["entries"] = raw.hex()
    assert "seal 2 to 2 is not what its head says" in says(lines, tmp_path)
