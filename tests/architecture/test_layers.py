"""Calculation stands apart from I/O. (The order of the apps themselves is import-linter's contract.)"""

from __future__ import annotations

import ast
import sys

import pytest

from tests.architecture.sources import APPS, ROOT, Source, app_sources, client_sources

PURE = ("pricing/rating", "pricing/cycles", "metering/aggregation", "metering/payload")
"""Packages (or modules) that calculate only: numbers in, numbers out, no clock, nothing stored."""

OPEN_TO_PURE = {
    "core.errors",
    "core.numbers",
    "core.currencies",
    "core.instants",
    "core.jsonio",
    "core.payloads",
}
"""What pure code may take from core."""

CALCULATING_LIBRARIES = {"dateutil", "msgspec"}
"""Third-party packages that only calculate."""


@pytest.mark.parametrize("package", PURE)
def test_pure_code_imports_only_the_standard_library_and_cores_calculations(package: str) -> None:
    allowed = set(sys.stdlib_module_names) | CALCULATING_LIBRARIES
    found = [
        f"{source.at(node)} {name}"
        for source in app_sources()
        if _is_inside(source.path, package)
        for node in ast.walk(source.tree)
        for name in _imported(node)
        if name.split(".")[0] not in allowed
        and not any(_is_inside(name.replace(".", "/"), pure) for pure in PURE)
        and not any(_is_inside(name, module) for module in OPEN_TO_PURE)
    ]
    assert not found


def test_the_client_needs_nothing_but_the_standard_library_and_httpx() -> None:
    """It runs in other people's programs, without Tollgate's own code beside it."""
    allowed = {*sys.stdlib_module_names, "httpx", "tollgate_client"}
    assert len(client_sources()) >= 10
    found = [
        f"{source.at(node)} {name}"
        for source in client_sources()
        for node in ast.walk(source.tree)
        for name in _imported(node)
        if name.split(".")[0] not in allowed
    ]
    assert not found


def test_every_app_says_what_it_owns() -> None:
    missing = [app for app in APPS if app != "config" and not (ROOT / app / "README.md").exists()]
    assert not missing


def test_no_app_but_config_reads_the_environment() -> None:
    found = [
        source.at(node)
        for source in app_sources()
        if not source.path.startswith("config/")
        for node in ast.walk(source.tree)
        if _reads_environment(node)
    ]
    assert not found, "a setting comes from django.conf.settings"


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def _reads_environment(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}


def _is_inside(path: str, package: str) -> bool:
    return path == package or path.startswith((f"{package}/", f"{package}.", f"{package}.py"))


def test_the_check_of_pure_code_sees_a_foreign_import() -> None:
    source = Source("pricing/rating/x.py", "", ast.parse("from django.db import models\nimport decimal"))
    names = [name for node in ast.walk(source.tree) for name in _imported(node)]
    assert names == ["django.db.models", "decimal"]
