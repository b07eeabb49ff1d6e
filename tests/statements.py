"""Counting statements, those of Django and those that go to the server straight on libpq."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.pipeline import Pipeline
from core.sql import HotTable

BUDGETS: Final[dict[str, int]] = json.loads(
    (Path(__file__).resolve().parent / "query_counts.json").read_text()
)["subscriptions"]
"""How many statements each verb of subscriptions may take."""

_FRAME = ("SAVEPOINT", "RELEASE SAVEPOINT", "BEGIN", "COMMIT", "ROLLBACK", "SET CONSTRAINTS")


class Statements:
    """What was sent: `texts` of statements, and the number of `trips` to the server that they took."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.trips = 0

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def shown(self) -> str:
        """The statements, for an assertion's message."""
        return "\n".join(
            f"{number}. {' '.join(text.split())[:150]}" for number, text in enumerate(self.texts, 1)
        )


@contextmanager
def counted() -> Iterator[Statements]:
    """Note every statement of the block but those that only begin and end transactions."""
    found = Statements()
    run, copy = Pipeline.run, HotTable.copy
    seen = 0

    def note_django() -> None:
        nonlocal seen
        for one in captured.captured_queries[seen:]:
            text = one["sql"].split(";", 1)[1] if "pghistory.context" in one["sql"] else one["sql"]
            if not text.strip().startswith(_FRAME):
                found.texts.append(text)
                found.trips += 1
        seen = len(captured.captured_queries)

    def noting_run(pipeline: Pipeline) -> None:
        note_django()
        texts = [query for query, _, _ in pipeline._queue if not query.startswith(_FRAME)]
        found.texts += texts
        found.trips += bool(texts)
        run(pipeline)

    def noting_copy(table: HotTable, raw: Any, rows: Any) -> None:
        note_django()
        found.texts.append(table._copy.decode())
        found.trips += 1
        copy(table, raw, rows)

    with (
        CaptureQueriesContext(connection) as captured,
        mock.patch.object(Pipeline, "run", noting_run),
        mock.patch.object(HotTable, "copy", noting_copy),
    ):
        yield found
        note_django()
