"""Counting statements, those of Django and those that go to the server straight on libpq."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core.pipeline import Answer, Pipeline
from core.sql import HotTable


def budgets(part: str) -> dict[str, int]:
    """How many statements each thing of a part may take."""
    found: dict[str, int] = json.loads(Path(__file__).with_name("query_counts.json").read_text())[part]
    return found


BUDGETS: Final = budgets("subscriptions")

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


def rows_read(node: Mapping[str, Any], table: str) -> int:
    """How many rows of a table (and its partitions) a plan that was run looked at, those that were filtered
    out too. `node`: of EXPLAIN (ANALYZE, FORMAT JSON)."""
    own = 0
    if str(node.get("Relation Name", "")).startswith(table):
        seen = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        own = round(seen * node["Actual Loops"])
    return own + sum(rows_read(child, table) for child in node.get("Plans", ()))


@contextmanager
def rows_read_straight(table: str) -> Iterator[list[int]]:
    """Note how many rows of a table each query looks at that the block sends straight on libpq."""
    found: list[int] = []
    run = Pipeline.run

    def noting_run(pipeline: Pipeline) -> None:
        for query, params, _ in pipeline._queue:
            if table in query and query.lstrip().startswith(("SELECT", "WITH")):
                explained, answer = Pipeline(pipeline.connection), Answer()
                explained._queue.append((f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", params, answer))
                run(explained)
                ((plan,),) = answer
                plan = json.loads(plan) if isinstance(plan, str) else plan
                found.append(rows_read(plan[0]["Plan"], table))
        run(pipeline)

    with mock.patch.object(Pipeline, "run", noting_run):
        yield found


def statements_of(client: Client, address: str, headers: Mapping[str, str] | None = None) -> int:
    """How many statements a page takes, when the process has what it keeps."""
    assert client.get(address, headers=headers).status_code == 200, address
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address, headers=headers).status_code == 200
    return len([query for query in captured if not query["sql"].startswith(("SAVEPOINT", "RELEASE"))])
