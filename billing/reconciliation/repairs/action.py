"""What a repair is: an action on a discrepancy that writes new rows, or what is derived, and says which.

An action runs under the locks of the customer's payers and does all its work in `carry_out`. A preview is the
same work, done and taken back, or of a large customer only noted: so it shows exactly what would be written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

import msgspec
from django.db.models import Model, QuerySet

from billing.models import Discrepancy
from billing.reconciliation.finding import Finding
from core.errors import Conflict
from core.instants import instant_text
from core.numbers import CONTEXT, plain

MANY: Final = 500
"""Rows that one repair may write: what needs more is no single discrepancy."""
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Write:
    """One row that a repair writes: column -> text, `before` None for a new row.

    `changes`: what each column changes by, or from what to what.
    """

    table: str
    row: str
    before: Mapping[str, str] | None
    after: Mapping[str, str]
    changes: Mapping[str, str] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """As it is kept and shown."""
        return {
            "table": self.table,
            "row": self.row,
            "before": None if self.before is None else dict(self.before),
            "after": dict(self.after),
        }


@dataclass(slots=True)
class Work:
    """What an action is given, and where it notes what it does.

    `finding`: as it is found now; `findings`: all that its link finds of the customer. `seq` is the first
    running number of the entries that it posted. With `is_read_only` what would be written is only noted: the
    preview of a large customer, which holds no lock.
    """

    discrepancy: Discrepancy
    finding: Finding
    now: datetime
    by: str
    reason: str
    is_preview: bool = False
    findings: Sequence[Finding] = ()
    is_read_only: bool = False
    writes: list[Write] = field(default_factory=list)
    seq: int | None = None

    @property
    def payer(self) -> tuple[int, int]:
        """(customer, payer) of the discrepancy; Conflict when it names none."""
        customer_id, payer_id = self.finding.customer_id, self.finding.payer_id
        if customer_id is None or payer_id is None:
            raise Conflict("no_payer", "This discrepancy names no payer, so nothing can be written for one.")
        return customer_id, payer_id

    def set(self, rows: QuerySet[Any], row: str, **values: Any) -> None:
        """Set columns of the one row of `rows` to what is derived; Conflict when there is not just one."""
        found = list(rows.values(*values)[:2])
        if len(found) != 1:
            raise Conflict("row_is_gone", f"{row} is not there any more.")
        if not self.is_read_only:
            rows.update(**values)
        self._note(rows.model, row, found[0], values)

    def insert(self, model: Model, row: str, *columns: str) -> None:
        """Write a row that is missing and is derived from others; `columns` are those to be shown."""
        if not self.is_read_only:
            model.save(force_insert=True)
        self._note(type(model), row, None, {name: getattr(model, name) for name in columns})

    def remove(self, rows: QuerySet[Any], row: str, *columns: str) -> None:
        """Take away the one row of `rows`, which is derived from nothing; `columns` are those to be shown."""
        found = list(rows.values(*columns)[:2])
        if len(found) != 1:
            raise Conflict("row_is_gone", f"{row} is not there any more.")
        if not self.is_read_only:
            rows.delete()
        self._note(rows.model, row, found[0], dict.fromkeys(columns))

    def note(
        self, table: str, row: str, after: Mapping[str, Any], before: Mapping[str, Any] | None = None
    ) -> None:
        """Say of a row that another module wrote."""
        self._write(table, row, before, after)

    def _note(
        self, model: type[Model], row: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]
    ) -> None:
        self._write(str(model._meta.verbose_name), row, before, after)

    def _write(
        self, table: str, row: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]
    ) -> None:
        if len(self.writes) == MANY:
            raise Conflict("too_many_rows", f"A repair may write {MANY} rows; this would write more.")
        shown = {name: text(value) for name, value in after.items()}
        was = None if before is None else {name: text(before[name]) for name in after}
        changes = {name: _change(None if before is None else before[name], after[name]) for name in after}
        self.writes.append(Write(table, row, was, shown, changes))


CarryOut = Callable[[Work], None]


@dataclass(frozen=True, slots=True)
class Action:
    """One repair. `effect` says in a sentence what it does; `fits` (link, type) pairs that it mends.

    `posts`: it posts new entries; else it rebuilds or delivers again. `only_when` narrows it by the finding's
    detail. `needs_facts`: it derives rows from others, which must be in order first. What cannot be taken
    back in this process (`rehearses` False) only says in a preview what it would do.
    """

    name: str
    title: str
    effect: str
    fits: frozenset[tuple[str, str]]
    carry_out: CarryOut
    posts: bool = False
    needs_facts: bool = True
    rehearses: bool = True
    only_when: Callable[[Discrepancy], bool] = lambda discrepancy: True

    def mends(self, discrepancy: Discrepancy) -> bool:
        """Whether it may be offered."""
        return (discrepancy.link, discrepancy.type) in self.fits and self.only_when(discrepancy)


def digest(action: str, finding: Finding, writes: Sequence[Write]) -> str:
    """The facts of a preview: what differs by how much, and what each row changes by.

    Not what stands before and after: traffic moves that, and a repair of a busy payer would never be done.
    """
    facts = [
        action,
        finding.type,
        finding.subject,
        plain(finding.difference),
        [[write.table, write.row, dict(write.changes)] for write in writes],
    ]
    return sha256(_encode(facts)).hexdigest()


def text(value: Any) -> str:
    """A value as repairs show and keep it."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return str(value)


def _change(before: Any, after: Any) -> str:
    if isinstance(after, Decimal | int) and isinstance(before, Decimal | int) and not isinstance(after, bool):
        return plain(CONTEXT.subtract(Decimal(after), Decimal(before)))
    return f"{text(before)} -> {text(after)}"
