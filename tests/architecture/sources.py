"""The project's own files, read once: what the checks of this folder look at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ("core", "accounts", "metering", "pricing", "billing", "config")
CLIENTS = "clients"
_PYTHON_FOLDERS = (*APPS, CLIENTS, "benchmarks", "tests")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file."""

    path: str
    text: str
    tree: ast.Module

    @property
    def line_count(self) -> int:
        return len(self.text.splitlines())

    @property
    def is_migration(self) -> bool:
        """Migrations are written once, mostly by Django, and never edited; budgets do not fit them."""
        return "/migrations/" in self.path

    @property
    def is_test(self) -> bool:
        return self.path.startswith("tests/")

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def at(self, node: ast.AST) -> str:
        """`path:line` of a node, for a message that an editor can follow."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


@cache
def sources() -> tuple[Source, ...]:
    """All Python files, tests included."""
    paths = [ROOT / "manage.py", *(path for name in _PYTHON_FOLDERS for path in (ROOT / name).rglob("*.py"))]
    return tuple(_read(path) for path in sorted(paths))


def app_sources() -> tuple[Source, ...]:
    """The Python files of the apps, without migrations."""
    return tuple(
        source for source in sources() if source.path.split("/")[0] in APPS and not source.is_migration
    )


def client_sources() -> tuple[Source, ...]:
    """The Python files of what runs in other people's programs."""
    return tuple(source for source in sources() if source.path.startswith(f"{CLIENTS}/"))


def written_sources() -> tuple[Source, ...]:
    """All Python files that somebody writes by hand: everything but migrations."""
    return tuple(source for source in sources() if not source.is_migration)


def length(function: Function) -> int:
    """Lines from `def` to the last, docstring included, decorators not."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def docstrings(tree: ast.Module) -> set[int]:
    """The ids of the constants that are docstrings, of functions, classes, the module and its names."""
    found = set()
    for node in ast.walk(tree):
        for statement in getattr(node, "body", []) if not isinstance(node, ast.Lambda | ast.IfExp) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                found.add(id(statement.value))
    return found


def strings(source: Source) -> Iterator[ast.Constant]:
    """Every string of the program that is not a docstring, parts of f-strings included."""
    skipped = docstrings(source.tree)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node


def text_files(*patterns: str) -> Iterator[tuple[str, str]]:
    """(path, text) of the project's files that match a pattern such as `*.html`."""
    skipped = {".git", ".venv", "var", ".hypothesis", ".pytest_cache"}
    for pattern in patterns:
        for path in sorted(ROOT.rglob(pattern)):
            relative = path.relative_to(ROOT)
            if path.is_file() and not skipped & set(relative.parts):
                yield str(relative), path.read_text(errors="replace")


def _read(path: Path) -> Source:
    text = path.read_text()
    return Source(str(path.relative_to(ROOT)), text, ast.parse(text))
