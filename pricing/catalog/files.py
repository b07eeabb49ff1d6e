"""Plan files on disk: one file, or every .yaml and .yml file in a directory and below."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pricing.catalog.catalog import Catalog, read_catalog
from pricing.catalog.problems import CatalogError, Problem
from pricing.catalog.yaml_source import BYTES_MAX, Document, read_documents

FILES_MAX: Final = 1000
SUFFIXES: Final = (".yaml", ".yml")


def load_catalog(path: Path) -> Catalog:
    """The catalog of a file or a directory. Raises CatalogError with the problems of all files."""
    documents: list[Document] = []
    problems: list[Problem] = []
    for file in plan_files(path):
        try:
            documents += read_documents(_read(file), str(file))
        except CatalogError as error:
            problems += error.problems
    if not problems and not documents:
        problems = [Problem("no_plans", "Nothing is defined here.", file=str(path))]
    if problems:
        raise CatalogError(problems)
    return read_catalog(documents)


def plan_files(path: Path) -> list[Path]:
    """The plan files at `path`, sorted; names that begin with a point are left out. Raises CatalogError."""
    if not path.is_dir():
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix in SUFFIXES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    )
    if not found:
        raise CatalogError(
            [Problem("no_files", "No .yaml or .yml file is in this directory.", file=str(path))]
        )
    if len(found) > FILES_MAX:
        says = f"A directory holds at most {FILES_MAX:,} plan files; this one has {len(found):,}."
        raise CatalogError([Problem("too_large", says, file=str(path))])
    return found


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(BYTES_MAX + 1)
    except OSError as error:
        says = f"The file cannot be read: {error.strerror or error}."
        raise CatalogError([Problem("unreadable_file", says, file=str(file))]) from error
