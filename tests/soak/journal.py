"""What the clients did and were told: kept in memory for the checks, and line by line in a file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final

KEPT: Final = (
    *("id", "status", "billing_entity", "amount", "balance", "expires_at", "authorization", "absorbed"),
    *("accepted", "duplicates", "quarantined", "rejected", "errors", "error", "denial", "used", "held"),
    *("charge", "event", "plan_version", "starts_at", "ended_at", "seq"),
)
"""The fields of an answer that somebody asks for."""


@dataclass(slots=True)
class Act:
    """One thing that a client did. `key`: of the header. `about` says what it concerns, for the checks.

    `sent_at` is when it was first sent, `answered_at` when it was answered at last (seconds of the epoch),
    `failures` what came instead of an answer in between. Until it is answered, `status` is 0.
    """

    kind: str
    client: str
    method: str
    path: str
    body: dict[str, Any]
    key: str | None = None
    about: dict[str, Any] = field(default_factory=dict)
    sent_at: float = 0.0
    answered_at: float = 0.0
    status: int = 0
    answer: Any = None
    failures: list[str] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether it was answered by a success."""
        return 200 <= self.status < 300

    @property
    def code(self) -> str:
        """What an answer that is none says is wrong."""
        error = self.answer.get("error", {}) if isinstance(self.answer, dict) else {}
        return str(error.get("code", ""))

    @property
    def amount(self) -> Decimal:
        """What the answer says it came to."""
        return Decimal(self.answer["amount"])


class Journal:
    """All acts, in the order in which they were answered; those under way are in `open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.acts: list[Act] = []
        self.open: dict[int, Act] = {}
        self._file: IO[str] = path.open("w")

    def begin(self, act: Act) -> None:
        """Note what is about to be sent, before it is."""
        self.open[id(act)] = act

    def end(self, act: Act) -> None:
        """Note the answer."""
        del self.open[id(act)]
        if isinstance(act.answer, dict):
            act.answer = {name: act.answer[name] for name in KEPT if name in act.answer}
        self.acts.append(act)
        self._file.write(json.dumps(asdict(act)) + "\n")

    def close(self) -> None:
        """Write what is still open as well, and close the file."""
        for act in self.open.values():
            self._file.write(json.dumps(asdict(act)) + "\n")
        self._file.close()

    def of(self, *kinds: str, done: bool | None = None) -> Iterator[Act]:
        """The acts of some kinds: all, or those that succeeded (`done`) or did not."""
        for act in self.acts:
            if act.kind in kinds and done in (None, act.is_done):
                yield act

    def counts(self) -> Counter[tuple[str, int]]:
        """How many acts of each kind got each status."""
        return Counter((act.kind, act.status) for act in self.acts)
