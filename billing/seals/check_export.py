#!/usr/bin/env python3
"""Check an export of Tollgate's ledger against its seals, and against heads that were kept elsewhere.

    python3 -I -S check_export.py EXPORT.jsonl [--heads HEADS.jsonl]

Needs this file and Python 3.10 or later, nothing else: it shares no line with Tollgate. What it computes is
written down byte by byte in docs/algorithms/seals.md. It reads the export as a stream. For each payer it

1. computes every seal's head from what the seal holds and the head before it, which begins with zeros,
2. computes the hash of every row and looks for it in the row's seal,
3. adds up the transfers and compares the wallet with the balance that each charge told,
4. looks for each head of HEADS among the seals: a history that was written anew does not have it.

It stops at the first row that does not fit, names it, and ends with 1; with 2 if it cannot read a file;
with 0 if everything fits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import Any

FORMAT = "tollgate-seal-1"
ENTRY = struct.Struct(">cqh32s")
KINDS = {b"e": "event", b"c": "charge", b"t": "transfer"}
FIELDS = {
    "event": "seq id recorded_at workspace_id api_key_id idempotency_key name occurred_at costs cost trace"
    " source given unmatched unpriced",
    "charge": "seq id recorded_at workspace_id event_id event_recorded_at occurred_at amount currency lines"
    " funding settled_after held_after available_after",
    "transfer": "seq position recorded_at reason reference source destination amount grant_id",
}
GENESIS = "00" * 32
Line = dict[str, Any]
EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


class Misfit(Exception):
    """Something that does not fit."""


def record(fields: Iterable[str | None]) -> bytes:
    """Fields as bytes: `<length>:<text>,` each, `-` for null."""
    out = b""
    for field in fields:
        raw = b"" if field is None else field.encode()
        out += b"-" if field is None else str(len(raw)).encode() + b":" + raw + b","
    return out


def row_hash(line: Line) -> bytes:
    """The hash of an event, a charge or a transfer."""
    if " ".join(line["fields"]) != FIELDS[line["type"]]:
        raise Misfit(f"this {line['type']} has other fields than it must have, or in another order")
    fields = [line["type"], *line["fields"].values()]
    if line["type"] == "event":
        parts = dict(line["erased"])
        values = {"properties." + name: text for name, text in line["properties"].items()}
        if line["user"] is not None:
            values["user"] = line["user"]
        for path, value in values.items():
            if path in parts:
                raise Misfit(f"{path} is said to be erased and is there")
            salt = bytes.fromhex(line["salts"].get(path, ""))
            parts[path] = hashlib.sha256(salt + value.encode()).hexdigest()
        fields.append(parts.pop("user", None))
        for path in sorted(parts, key=lambda each: each.encode()):
            fields += [path[len("properties.") :], parts[path]]
    return hashlib.sha256(record(fields)).digest()


class Payer:
    """What has been read of one payer."""

    def __init__(self, line: Line) -> None:
        if line.get("format") != FORMAT:
            raise Misfit(f"this is no export of the format {FORMAT}")
        self.customer, self.id = str(line["customer"]), str(line["billing_entity"])
        self.name = line.get("billing_entity_id", self.id)
        self.head, self.upto = GENESIS, 0
        self.heads: dict[int, str] = {}
        self.entries: list[Any] = []
        self.next = 0
        self.low = 1
        self.seals = self.rows = 0
        self.wallet = Decimal(0)
        self.told: tuple[int, Decimal] | None = None
        self.is_whole = False

    def seal(self, line: Line) -> None:
        """The next seal: it must follow the one before it and be what it says."""
        self.close()
        packed = bytes.fromhex(line["entries"])
        name = f"seal {line['from_seq']} to {line['to_seq']}"
        if line["from_seq"] != self.upto + 1 or line["previous_head"] != self.head:
            raise Misfit(f"{name} does not follow the seal before it, which ended at {self.upto}")
        if len(packed) % ENTRY.size:
            raise Misfit(f"{name} has a part of a row")
        terms = [FORMAT, self.customer, self.id, line["from_seq"], line["to_seq"], len(packed) // ENTRY.size]
        terms += [line["sealed_at"], line["previous_head"], hashlib.sha256(packed).hexdigest()]
        if hashlib.sha256(record(map(str, terms))).hexdigest() != line["head"]:
            raise Misfit(f"{name} is not what its head says")
        self.entries, self.next = list(ENTRY.iter_unpack(packed)), 0
        self.head, self.low, self.upto = line["head"], line["from_seq"], line["to_seq"]
        self.heads[self.upto] = self.head
        self.seals += 1

    def row(self, line: Line) -> None:
        """The next row: it must be the one that its seal has next, with that hash."""
        name = row_name(line["type"], line["seq"], line.get("position", 0))
        if str(line["seq"]) != line["fields"]["seq"]:
            raise Misfit(f"{name} says another number of itself")
        if self.next == len(self.entries):
            raise Misfit(f"{name} is not under its seal")
        letter, seq, position, digest = self.entries[self.next]
        expected = row_name(KINDS.get(letter), seq, position)
        if expected != name:
            raise Misfit(f"{expected} is not here, where {name} is")
        if row_hash(line) != digest:
            raise Misfit(f"{name} is not what it was when it was sealed")
        self.next += 1
        self.rows += 1
        self.money(line)

    def money(self, line: Line) -> None:
        """Add up the wallet; a charge has told its balance after all transfers of its number."""
        if self.told is not None and self.told[0] != line["seq"]:
            self.compare()
        fields = line["fields"]
        if line["type"] == "charge":
            self.told = (line["seq"], Decimal(fields["settled_after"]))
        elif line["type"] == "transfer":
            amount = Decimal(fields["amount"])
            if fields["source"] == "wallet":
                self.wallet = EXACT.subtract(self.wallet, amount)
            if fields["destination"] == "wallet":
                self.wallet = EXACT.add(self.wallet, amount)

    def compare(self) -> None:
        """The balance that the last charge told, against the transfers up to it."""
        told, self.told = self.told, None
        if told is not None and told[1] != self.wallet:
            raise Misfit(f"charge {told[0]} told a balance of {told[1]}; transfers say {self.wallet}")

    def close(self) -> None:
        """The seal's rows are over: none may be left, and no number may have none."""
        if self.next < len(self.entries):
            letter, seq, position, _ = self.entries[self.next]
            raise Misfit(f"{row_name(KINDS.get(letter), seq, position)} is gone")
        numbers = {entry[1] for entry in self.entries}
        for seq in range(self.low, self.upto + 1):
            if seq not in numbers:
                raise Misfit(f"number {seq} has no row")
        self.compare()

    def end(self, line: Line) -> None:
        """The export's last line about the payer."""
        self.close()
        if (line["seals"], line["rows"]) != (self.seals, self.rows):
            raise Misfit(f"the last line counts {line['seals']} seals and {line['rows']} rows")
        self.is_whole = True

    def expect(self, head: Line) -> None:
        """A head that was kept elsewhere must be one of the seals'."""
        seq = head["to_seq"]
        if seq > self.upto:
            raise Misfit(f"the export ends at number {self.upto}, before the kept head at {seq}")
        if self.heads.get(seq) != head["head"]:
            raise Misfit(f"the kept head at number {seq} is not the head of a seal here")


def row_name(kind: str | None, seq: int, position: int) -> str:
    """How a row is called."""
    return f"{kind} {seq}/{position}" if position else f"{kind} {seq}"


def lines_of(path: str) -> Iterator[tuple[int, Line]]:
    """(line number, object) of a file of JSON lines; `-` is standard input."""
    with open(0 if path == "-" else path, encoding="utf-8") as stream:
        for number, text in enumerate(stream, 1):
            if text.strip():
                yield number, json.loads(text)


class Export:
    """A whole export: payers one after the other, each with a first and a last line."""

    def __init__(self) -> None:
        self.payers: list[Payer] = []

    @property
    def payer(self) -> Payer | None:
        """The payer whose rows are being read."""
        return self.payers[-1] if self.payers and not self.payers[-1].is_whole else None

    def take(self, line: Line) -> None:
        """The next line."""
        kind, payer = line["type"], self.payer
        if kind == "payer":
            self.close()
            self.payers.append(Payer(line))
        elif payer is None:
            raise Misfit(f"a line of the type {kind} stands outside of a payer's rows")
        elif kind in ("seal", "end"):
            (payer.seal if kind == "seal" else payer.end)(line)
        elif kind in KINDS.values():
            payer.row(line)
        else:
            raise Misfit(f"there are no lines of the type {kind}")

    def close(self) -> None:
        """Nothing of a payer may be missing at its end."""
        if self.payer is not None:
            self.payer.close()
            raise Misfit("the last line about this payer is missing: the export is not whole")

    def expect(self, heads: Iterable[Line]) -> None:
        """Each kept head of a payer of the export must be in it."""
        for head in heads:
            for payer in self.payers:
                if (payer.customer, payer.id) == (str(head["customer"]), str(head["billing_entity"])):
                    payer.expect(head)


def check(path: str, heads: Iterable[Line]) -> list[Payer]:
    """Check an export; gives its payers, raises Misfit that names the line and what does not fit."""
    export, number = Export(), 0
    try:
        for number, line in lines_of(path):  # noqa: B007 - it is told below
            export.take(line)
        export.close()
        if not export.payers:
            raise Misfit("there is nothing in it")
        export.expect(heads)
    except Misfit as misfit:
        name = export.payers[-1].name if export.payers else path
        raise Misfit(f"{name}, line {number}: {misfit}") from misfit
    except (KeyError, TypeError, AttributeError, ArithmeticError, struct.error) as error:
        raise Misfit(f"line {number} is not of the format ({type(error).__name__}: {error})") from error
    return export.payers


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what the command line names; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("export", help="JSON lines of `manage.py export_ledger`; - for standard input")
    parser.add_argument("--heads", help="JSON lines of `manage.py export_seals`, kept elsewhere")
    asked = parser.parse_args(arguments)
    try:
        heads = [line for _, line in lines_of(asked.heads)] if asked.heads else []
        payers = check(asked.export, heads)
    except Misfit as misfit:
        print(f"DOES NOT FIT: {misfit}")
        return 1
    except (OSError, ValueError) as error:
        print(f"cannot be read: {error}")
        return 2
    for payer in payers:
        counts = f"{payer.rows} rows under {payer.seals} seals, numbers up to {payer.upto}"
        print(f"{payer.name}: fits; {counts}, head {payer.head}")
    if not heads:
        print("No kept heads were given: that nothing was written anew can only be seen with them.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
