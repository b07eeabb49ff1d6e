"""How long things may be. What outgrows its budget is two things."""

from __future__ import annotations

import ast
from statistics import median

from tests.architecture.sources import (
    APPS,
    Source,
    app_sources,
    client_sources,
    length,
    sources,
    text_files,
    written_sources,
)

FILE_LINES_MAX = 400
FILE_LINES_MEDIAN = 120
FUNCTION_LINES_MAX = 60
VIEW_LINES_MAX = 25
TEMPLATE_LINES_MAX = 120
README_LINES_MAX = 40
TESTS_PER_SOURCE_MIN = 0.9
"""The goal is 1. This is where it stands: raise it when tests come, never lower it."""


def test_no_file_is_longer_than_400_lines() -> None:
    long = [
        f"{source.path}: {source.line_count}"
        for source in written_sources()
        if source.line_count > FILE_LINES_MAX
    ]
    assert not long


def test_no_stylesheet_or_script_is_longer_than_400_lines() -> None:
    files = text_files("*.css", "*.js")
    assert not [path for path, text in files if len(text.splitlines()) > FILE_LINES_MAX]


def test_half_of_the_files_are_shorter_than_120_lines() -> None:
    files = [*app_sources(), *client_sources()]
    assert median(source.line_count for source in files if source.text) < FILE_LINES_MEDIAN


def test_no_function_is_longer_than_60_lines() -> None:
    long = [
        f"{source.at(function)} {function.name}: {length(function)}"
        for source in written_sources()
        for function in source.functions()
        if length(function) > FUNCTION_LINES_MAX
    ]
    assert not long


def test_no_view_is_longer_than_25_lines() -> None:
    long = [
        f"{source.at(function)} {function.name}: {length(function)}"
        for source in app_sources()
        if _holds_views(source)
        for function in source.functions()
        if _is_view(function) and length(function) > VIEW_LINES_MAX
    ]
    assert not long


def test_no_template_is_longer_than_120_lines() -> None:
    files = text_files("templates/*.html", "templates/**/*.html")
    assert not [path for path, text in files if len(text.splitlines()) > TEMPLATE_LINES_MAX]


def test_no_readme_of_an_app_is_longer_than_40_lines() -> None:
    files = [(path, text) for path, text in text_files("*/README.md") if path.split("/")[0] in APPS]
    assert len(files) >= 5
    assert not [path for path, text in files if len(text.splitlines()) > README_LINES_MAX]


def test_the_tests_are_about_as_long_as_the_source() -> None:
    source_lines = sum(source.line_count for source in (*app_sources(), *client_sources()))
    test_lines = sum(source.line_count for source in sources() if source.is_test)
    assert test_lines >= TESTS_PER_SOURCE_MIN * source_lines


def _holds_views(source: Source) -> bool:
    return source.path.endswith("views.py") or "/views/" in source.path or "/api/" in source.path


def _is_view(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    names = [argument.arg for argument in function.args.args[:2]]
    return "request" in names and not function.name.startswith("_")
