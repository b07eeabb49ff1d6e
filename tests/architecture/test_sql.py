"""SQL stands in few, named places, binds its values and never asks the server for the time."""

from __future__ import annotations

import ast
import re

from tests.architecture.sources import Source, app_sources, sources, strings, text_files

SQL_PLACES = (
    "core/sql",
    "core/pipeline.py",
    "core/partitions.py",
    "core/triggers.py",
    "core/api/health.py",  # SELECT 1
    "metering/store",
    "pricing/store",
    "billing/store",
    "billing/ledger",
    "billing/book.py",  # a payer's book, written once before the commit
    "billing/charging/",  # the statements of the charge path, their number fixed
    "config/embedded",
)
"""Folders and modules that may hand SQL to the database; migrations may too."""

_RUNNERS = {"execute", "executemany", "copy_expert", "RunSQL", "RawSQL", "raw"}
_NOW = re.compile(
    r"(?i:(?<![\w.])(?:now|(?:clock|statement|transaction)_timestamp)\s*\(\s*\)|\bCURRENT_(?:TIMESTAMP|DATE)\b)"
    r"|\b(?:CURRENT_TIME|LOCALTIME|LOCALTIMESTAMP)\b"
)
_AUDIT = "pgh_created_at"
"""The audit trail's own triggers, which django-pghistory writes, stamp a change with the server's time."""
_SQL_WORD = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b")


def test_sql_is_run_in_named_places_only() -> None:
    found = [
        f"{source.at(node)} {_runner(node)}"
        for source in app_sources()
        if not source.path.startswith(SQL_PLACES)
        for node in ast.walk(source.tree)
        if _runner(node)
    ]
    assert not found


def test_sql_never_asks_the_server_for_the_time() -> None:
    found = [
        source.at(text)
        for source in sources()
        if not source.path.startswith("tests/architecture/")
        for text in strings(source)
        if _NOW.search(str(text.value)) and _AUDIT not in str(text.value)
    ]
    found += [path for path, text in text_files("*.sql") if _NOW.search(text)]
    assert not found, "ask core.clock and bind the instant"


def test_django_never_asks_the_server_for_the_time() -> None:
    found = [
        source.at(node)
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("django.db.models.functions")
        and "Now" in {alias.name for alias in node.names}
    ]
    assert not found, "ask core.clock and bind the instant"


def test_values_are_bound_not_pasted() -> None:
    """`%` and `.format` on a text of SQL paste. (For f-strings, ruff's S608 asks for a reason.)"""
    found = [source.at(node) for source in app_sources() for node in ast.walk(source.tree) if _pastes(node)]
    assert not found


def _runner(node: ast.AST) -> str | None:
    if not isinstance(node, ast.Call):
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name if name in _RUNNERS else None


def _pastes(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        text: ast.AST = node.left
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        text = node.func.value
    else:
        return False
    return (
        isinstance(text, ast.Constant) and isinstance(text.value, str) and bool(_SQL_WORD.search(text.value))
    )


def test_the_check_for_the_time_sees_it() -> None:
    assert _NOW.search("UPDATE t SET at = now()")
    assert _NOW.search("WHERE at < current_timestamp")
    assert not _NOW.search("ask clock.now() instead")


def test_the_check_for_places_sees_a_call() -> None:
    tree = ast.parse("cursor.execute('SELECT 1')")
    assert [_runner(node) for node in ast.walk(tree) if _runner(node)] == ["execute"]
    assert Source("billing/views.py", "", tree).path not in SQL_PLACES
